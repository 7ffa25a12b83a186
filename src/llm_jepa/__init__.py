"""LLM-JEPA."""
