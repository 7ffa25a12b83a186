"""Files and folders that are on the disk whole or not at all, whatever ends the process or the machine.

A file is written beside its place, forced to the disk, renamed, and then the renaming is forced to the disk too. So a kill
leaves the old content or the new one, and so does a power failure.
"""

import os
from pathlib import Path


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
