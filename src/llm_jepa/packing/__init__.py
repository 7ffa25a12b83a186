"""Samples -> forests of segments -> packed rows of tensors, and what each token sees."""
