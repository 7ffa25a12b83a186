"""Processes that do the real work and are really killed, without the seconds that loading the libraries takes each time.

The libraries are imported once, here; every run is a fork of this process that calls the command line in it. What is killed
is therefore the process that trains, by SIGKILL, which it cannot notice.
"""

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkContext
from pathlib import Path

import psutil

from llm_jepa.cli import main

LOOK = 0.0005
"""Seconds between two looks at a run."""


class Copies(ForkContext):
    """Begins processes as copies of this one, which need not import anything.

    A copy must not keep this process's end of a pipe: it could not see then that this process has gone.
    """

    def Pipe(self, duplex: bool = True) -> tuple[Connection, Connection]:  # noqa: FBT001, FBT002 - the library's
        """Return both ends of a pipe, the first of which is closed in all copies."""
        ours, theirs = super().Pipe(duplex)
        os.register_at_fork(after_in_child=ours.close)
        return ours, theirs


@dataclass(frozen=True, slots=True)
class Command:
    """A command line of `llm-jepa`.

    Attributes:
        arguments: after `llm-jepa`.
        told: file that gets what it prints.
        work: is given the arguments, and returns an exit code.
    """

    arguments: Sequence[str]
    told: Path
    work: Callable[[list[str]], int] = main

    def start(self) -> psutil.Process:
        """Return the process that works on it."""
        pid = os.fork()
        if pid == 0:
            self._in_child()
        return psutil.Process(pid)

    def _in_child(self) -> None:
        """Run the command in the child and end it; nothing of the parent's is flushed or finalised there."""
        os.setpgid(0, 0)
        with self.told.open("a", encoding="utf-8") as told:
            os.dup2(told.fileno(), 1)
            os.dup2(told.fileno(), 2)
        code = 1
        try:
            code = self.work(list(self.arguments))
        except BaseException:  # noqa: BLE001 - nothing else would tell of it
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def finish(self) -> float:
        """Run it to its end and return the seconds that took.

        Raises:
            RuntimeError: it ended with another code than 0.
        """
        began = time.monotonic()
        code = os.waitstatus_to_exitcode(os.waitpid(self.start().pid, 0)[1])
        if code != 0:
            raise RuntimeError(f"'{' '.join(self.arguments)}' ended with {code}: {self.told.read_text()[-3000:]}")
        return time.monotonic() - began

    def kill(self, when: Callable[[], bool], *, later: float) -> bool:
        """Start it and kill it `later` seconds after `when` is true for the first time.

        Returns:
            Whether it was killed, and had not ended before.
        """
        process = self.start()
        while not when() and process.status() != psutil.STATUS_ZOMBIE:
            time.sleep(LOOK)
        time.sleep(later)
        killed = process.status() != psutil.STATUS_ZOMBIE
        os.kill(process.pid, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(process.pid, 0)[1])
        if not killed and code not in (0, -signal.SIGKILL):
            raise RuntimeError(f"'{' '.join(self.arguments)}' ended with {code}: {self.told.read_text()[-3000:]}")
        return code == -signal.SIGKILL
