"""The trainer and what watches it."""
