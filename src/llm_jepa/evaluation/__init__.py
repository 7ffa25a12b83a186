"""Batched generation and resumable evaluation."""
