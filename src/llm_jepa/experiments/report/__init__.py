"""Runs -> one page that a person reads, prints and sends."""
