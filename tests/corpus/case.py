"""What a mistake is, and the steps that make one in a folder of good input."""

import gzip
import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Step = Callable[[Path], object]
"""Spoils something in the folder that it is given."""

GOOD = '{"text": "a digit", "code": "[0-9]"}\n'


@dataclass(frozen=True)
class Case:
    """One mistake.

    Attributes:
        steps: spoil the folder of good input (`tests/test_corpus.py` describes it), in order.
        command: the command line after `llm-jepa`, as in a shell.
        leaves: what the command may have written before it stopped, by path; nothing else may be there afterwards.
    """

    steps: tuple[Step, ...]
    command: str
    leaves: tuple[str, ...] = ()


def case(*steps: Step, command: str, leaves: tuple[str, ...] = ()) -> Case:
    """Return a mistake."""
    return Case(steps, command, leaves)


def write(name: str, content: str | bytes) -> Step:
    """Write a file, compressed where its name ends with .gz."""
    data = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content

    def step(here: Path) -> None:
        path = here / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(data, mtime=0) if name.endswith(".gz") else data)

    return step


def raw(name: str, content: bytes) -> Step:
    """Write bytes as they are, whatever the name says."""
    return lambda here: (here / name).write_bytes(content)


def remove(*names: str) -> Step:
    """Remove files."""
    return lambda here: [(here / name).unlink() for name in names]


def cut(name: str, length: int) -> Step:
    """Keep the first bytes of a file, or with a negative length lose so many at its end."""
    return lambda here: (here / name).write_bytes((here / name).read_bytes()[:length])


def append(name: str, content: str) -> Step:
    """Add to the end of a file."""
    return lambda here: (here / name).open("a", encoding="utf-8").write(content)


def swap(name: str, old: str, new: str) -> Step:
    """Replace a text in a file, which must be there."""

    def step(here: Path) -> None:
        text = (here / name).read_text(encoding="utf-8")
        assert old in text, (name, old)
        (here / name).write_text(text.replace(old, new), encoding="utf-8")

    return step


def keys(name: str, **values: Any) -> Step:
    """Change keys of a JSON object in a file."""

    def step(here: Path) -> None:
        row: Mapping[str, Any] = json.loads((here / name).read_text(encoding="utf-8"))
        (here / name).write_text(json.dumps({**row, **values}), encoding="utf-8")

    return step


def folder(name: str) -> Step:
    """Make an empty folder."""
    return lambda here: (here / name).mkdir(parents=True)


def link(name: str, target: str) -> Step:
    """Make a symbolic link."""
    return lambda here: os.symlink(target, here / name)


def copy(old: str, new: str) -> Step:
    """Copy a file, or a folder with all in it."""

    def step(here: Path) -> None:
        if (here / old).is_dir():
            shutil.copytree(here / old, here / new)
        else:
            shutil.copy(here / old, here / new)

    return step


def move(old: str, new: str) -> Step:
    """Rename something."""
    return lambda here: (here / old).rename(here / new)
