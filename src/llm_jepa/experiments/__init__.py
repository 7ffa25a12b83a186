"""Runs as folders, the verbs of the command line, statistics, reports."""
