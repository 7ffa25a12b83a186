"""Finished runs read back: their figures, statistics over seeds, and how both are written."""
