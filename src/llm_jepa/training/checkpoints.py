"""Checkpoints that are whole or not there, and that tell what has become of them since.

A checkpoint is written in a folder of its own, beside the others; then its manifest, the size and the SHA-256 of every file;
then all of it is forced to the disk, and renamed. A kill leaves no half of one. What a disk does to it later shows in the
manifest, and the checkpoint before it is taken.
"""

import hashlib
import json
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from llm_jepa.durable import put, sync_tree, write

logger = logging.getLogger(__name__)

MANIFEST = "manifest.json"
DRAFTS = "_unfinished"
"""Folder beside the checkpoints where the next one is written; what a kill left there is removed."""
_OLD = "_replaced"
_PREFIX = "checkpoint-"


def seal(draft: Path, checkpoint: Path) -> None:
    """Give a folder its manifest, force it to the disk and put it in its place.

    Args:
        draft: the folder, filled.
        checkpoint: its place; what lies there is replaced.

    Raises:
        OSError: the disk is full, for instance; what lies there stays.
    """
    files = {name: {"bytes": path.stat().st_size, "sha256": _digest(path)} for name, path in _files(draft)}
    write(draft / MANIFEST, json.dumps({"files": files}, indent=1) + "\n")
    sync_tree(draft)
    old = draft.with_name(_OLD)
    try:
        if checkpoint.exists():
            checkpoint.replace(old)  # a folder takes a free name only; `recover` closes the gap that a kill leaves
        put(draft, checkpoint)
    except BaseException:
        if old.exists() and not checkpoint.exists():
            old.replace(checkpoint)
        raise
    shutil.rmtree(draft.parent, ignore_errors=True)


def recover(folder: Path) -> None:
    """Put a checkpoint in its place that a kill left ready beside it, and remove what a kill left half written."""
    for draft in checkpoints(folder / DRAFTS):
        if not damage(draft) and not (folder / draft.name).exists():
            put(draft, folder / draft.name)
    shutil.rmtree(folder / DRAFTS, ignore_errors=True)


def damage(checkpoint: Path) -> str:
    """Return what is wrong with a checkpoint, one file by name; empty if it is as it was written."""
    try:
        kept: dict[str, dict[str, Any]] = json.loads((checkpoint / MANIFEST).read_text(encoding="utf-8"))["files"]
        for name, file in kept.items():
            problem = _damage(checkpoint / name, file["bytes"], file["sha256"])
            if problem:
                return f"{name} {problem}"
    except FileNotFoundError:
        return f"{MANIFEST} is missing"
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return f"{MANIFEST} cannot be read ({error})"
    return ""


def _damage(path: Path, size: int, digest: str) -> str:
    if not path.is_file():
        return "is missing"
    found = path.stat().st_size
    if found != size:
        return f"has {found} bytes instead of {size}"
    return "" if _digest(path) == digest else "has another content than was written"


def checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoints in a folder by their steps, whole or not; no clock decides."""
    found = [path for path in folder.glob(_PREFIX + "*") if path.is_dir() and _step(path).isdecimal()]
    return sorted(found, key=step_of)


def latest_whole(folder: Path) -> Path | None:
    """Return the newest whole checkpoint in a folder, and name in a warning every damaged one that is passed over."""
    for path in reversed(checkpoints(folder)):
        problem = damage(path)
        if not problem:
            return path
        logger.warning("%s is damaged: %s; it is left out, and the one before it is taken", path.name, problem)
    return None


def step_of(checkpoint: Path) -> int:
    """Return the optimizer steps after which a checkpoint was written."""
    return int(_step(checkpoint))


def rotate(folder: Path, *, limit: int | None, best: str | None) -> None:
    """Remove the oldest checkpoints, by their steps, until `limit` are left; the newest and the best one stay.

    Args:
        folder: holds them.
        limit: how many stay; None or 0: all.
        best: path of the best one, if any is known.
    """
    if not limit:
        return
    found = checkpoints(folder)
    kept = {found[-1], *(path for path in found if best is not None and path.samefile(best))} if found else set[Path]()
    surplus = len(found) - max(limit, len(kept))
    for path in [path for path in found if path not in kept][: max(surplus, 0)]:
        shutil.rmtree(path, ignore_errors=True)


def _step(checkpoint: Path) -> str:
    return checkpoint.name.removeprefix(_PREFIX)


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != MANIFEST:
            yield path.relative_to(folder).as_posix(), path


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
