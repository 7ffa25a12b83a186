"""Strings -> verdict; no torch."""
