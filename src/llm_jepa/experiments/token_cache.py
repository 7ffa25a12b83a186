"""Tokenised samples on disk: written once, read by every later run that would make the same.

A file is named by a checksum of all that its samples depend on, so it is never out of date, only unused. It holds its own
checksum too: what is torn, damaged or something else is told, and made again. A cache that cannot be used stops no run.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from llm_jepa.durable import put
from llm_jepa.experiments.show import Show
from llm_jepa.records import Example
from llm_jepa.tasks.files import fingerprint
from llm_jepa.views.columns import Columns, from_columns, to_columns
from llm_jepa.views.tokenize import Sample, Tokenizer

VARIABLE = "LLM_JEPA_CACHE"
"""The environment variable that names the folder."""

STANDARD = "~/.cache/llm-jepa"
"""The folder without it."""

FORMAT = "1"
"""Of the files."""

_LIBRARIES = ("tokenizers", "transformers", "jinja2")
"""Make tokens of texts, so another version may make others."""


def cache_file(tokenizer: Tokenizer, examples: Sequence[Example]) -> Path:
    """Return where the samples of these examples lie, or would lie.

    Args:
        tokenizer: what makes them.
        examples: at least one.

    Raises:
        UserError: the template does not fit the first example.
    """
    depends = {
        "format": FORMAT,
        "libraries": [version(name) for name in _LIBRARIES],
        "source": _source(),
        "examples": fingerprint(examples),
        "tokenizer": tokenizer.depends_on(examples[0]),
    }
    text = json.dumps(depends, sort_keys=True, default=repr)
    name = hashlib.sha256(text.encode()).hexdigest()
    return Path(os.environ.get(VARIABLE) or STANDARD) / "samples" / f"{name}.safetensors"


def read_cached(path: Path, examples: Sequence[Example], show: Show) -> list[Sample] | None:
    """Return the samples that a file holds; None where there is no such file, or none that is whole.

    Args:
        path: from `cache_file`.
        examples: what the samples were made of; gives them their names.
        show: told what was read, or why it was not.
    """
    try:
        path = path.expanduser()
        if not path.exists():
            return None
        columns = _read(path)
    except (OSError, RuntimeError, SafetensorError, ValueError) as error:
        show.say(f"the cached tokens '{path}' cannot be used ({_reason(error)}); tokenising again")
        return None
    show.say(f"{len(examples):,} tokenised examples read from '{path}'")
    return list(from_columns(columns, [example.name for example in examples]))


def write_cached(path: Path, samples: Sequence[Sample], show: Show) -> None:
    """Write samples whole or not at all; where that fails, it is told, and nothing is left behind.

    Args:
        path: from `cache_file`.
        samples: what to write.
        show: told what was written, or why it was not.
    """
    try:
        path = path.expanduser()
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _write(path, to_columns(samples))
    except (OSError, RuntimeError) as error:
        show.say(f"warning: the tokens were not cached in '{path.parent}' ({_reason(error)}); the run goes on without")
        return
    show.say(f"{len(samples):,} tokenised examples kept in '{path}'")


def _read(path: Path) -> Columns:
    """Return the columns in a file.

    Raises:
        OSError: it cannot be read.
        SafetensorError: it is no such file, or not all of one.
        ValueError: it is not the file that was written under this name.
    """
    with safe_open(path, framework="numpy") as file:
        known = file.metadata() or {}
        columns: Columns = {name: file.get_tensor(name) for name in sorted(file.keys())}
    if known.get("name") != path.stem or known.get("sha256") != _checksum(columns):
        raise ValueError("wrong checksum")
    return columns


def _write(path: Path, columns: Columns) -> None:
    """Write columns beside their place, force them to the disk and rename them: readers see all or nothing."""
    held = save(dict(columns), {"name": path.stem, "sha256": _checksum(columns)})
    handle, part = tempfile.mkstemp(dir=path.parent, suffix=".partial")
    try:
        with open(handle, "wb") as file:
            file.write(held)
            file.flush()
            os.fsync(file.fileno())
        put(Path(part), path)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise


def _checksum(columns: Columns) -> str:
    digest = hashlib.sha256()
    for name in sorted(columns):
        digest.update(f"{name} {columns[name].dtype} {columns[name].shape}\n".encode())
        digest.update(np.ascontiguousarray(columns[name]).data)
    return digest.hexdigest()


def _source() -> str:
    """Return a checksum of the code that makes samples, so that a change of it needs no change of `FORMAT`."""
    digest = hashlib.sha256()
    for file in sorted(files("llm_jepa.views").iterdir(), key=lambda found: found.name):
        if file.name.endswith(".py"):
            digest.update(file.read_bytes())
    return digest.hexdigest()


def _reason(error: Exception) -> str:
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(said.split())
