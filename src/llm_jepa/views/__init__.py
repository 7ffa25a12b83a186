"""Example -> tokens with spans, by construction; no torch beyond the tokenizer."""
