"""Files and folders that are on the disk whole or not at all, whatever ends the process or the machine.

A file is written beside its place, forced to the disk, renamed, and then the renaming is forced to the disk too. So a kill
leaves the old content or the new one, and so does a power failure.
"""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FULL = 2**20
"""A disk with less than this free, in bytes, when a write failed is taken for full."""


@contextmanager
def drafting(folder: Path) -> Iterator[None]:
    """Remove a folder that is half written when the block that fills it fails.

    Raises:
        OSError: the disk is full (ENOSPC), whatever the libraries that write there have made of it.
    """
    try:
        yield
    except BaseException as error:
        full = is_full(folder.parent)  # told before room is made again
        shutil.rmtree(folder, ignore_errors=True)
        if full and isinstance(error, Exception):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder)) from error
        raise


def is_full(folder: Path) -> bool:
    """Return whether the disk of a folder has no room left; a folder that is gone has no disk."""
    return folder.is_dir() and shutil.disk_usage(folder).free < FULL


def write(path: Path, text: str) -> None:
    """Write a UTF-8 file whole or not at all; a link in its place, or in that of its draft, is replaced and not followed.

    Raises:
        OSError: it cannot be written; what was there stays.
    """
    part = path.with_name(path.name + ".partial")
    part.unlink(missing_ok=True)
    with part.open("x", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    put(part, path)


def put(part: Path, path: Path) -> None:
    """Rename what is on the disk already, and force the renaming to the disk.

    Raises:
        OSError: it cannot be renamed; both stay as they are.
    """
    part.replace(path)
    sync(path.parent)


def sync(path: Path) -> None:
    """Force a file, or the list of names in a folder, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_tree(folder: Path) -> None:
    """Force everything in a folder to the disk."""
    for path in sorted(folder.rglob("*")):
        sync(path)
    sync(folder)
