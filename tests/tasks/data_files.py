"""Data files that a test writes into its own folder."""

import gzip
from pathlib import Path


def write(name: str, content: bytes | str) -> str:
    """Write a file, compressed if its name says so, and return its name."""
    data = content.encode() if isinstance(content, str) else content
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return name
