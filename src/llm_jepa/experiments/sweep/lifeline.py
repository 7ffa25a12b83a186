"""A file that is locked as long as a process lives: the kernel lets go of it however the process ends.

It tells a dead process from a slow one at once, for processes of one kernel that see the same file. Of others nothing is
known.
"""

import fcntl
import os
import platform
import uuid
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

_BOOT = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Sign:
    """What a process leaves for others to see whether it lives.

    Attributes:
        path: its locked file.
        kernel: the running kernel that holds the lock.
    """

    path: str
    kernel: str

    def alive(self) -> bool | None:
        """Return whether the process lives; None where that cannot be seen from here."""
        if self.kernel != this_kernel():
            return None
        try:
            handle = os.open(self.path, os.O_RDWR)
        except OSError:  # removed by its owner, or another file system
            return None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:  # a file system without locks
            return None
        finally:
            os.close(handle)
        return False


class Lifeline:
    """Holds the lock; a context manager.

    Args:
        folder: where the file lies; made if missing.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / f"{uuid.uuid4().hex}.lock"

    def __enter__(self) -> Sign:
        """Take the lock."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
        fcntl.flock(self._handle, fcntl.LOCK_EX)
        return Sign(path=str(self._path.resolve()), kernel=this_kernel())

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Let go, and remove the file."""
        del kind, error, trace
        self._path.unlink(missing_ok=True)
        os.close(self._handle)


def this_kernel() -> str:
    """Return what tells this running kernel from others."""
    try:
        return _BOOT.read_text(encoding="ascii").strip()
    except OSError:
        return platform.node()
