"""The processes of a sweep on this machine: each is given trials, tells what it does, and is replaced when it dies."""

import multiprocessing
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkContext, SpawnContext
from multiprocessing.process import BaseProcess
from typing import Protocol

from llm_jepa.errors import UserError
from llm_jepa.experiments.sweep.lifeline import Sign
from llm_jepa.experiments.sweep.plan import Trial
from llm_jepa.experiments.sweep.worker import Desk, News, serve

IDLE = News()
AFRESH = multiprocessing.get_context("spawn")
"""How processes begin. Another way would hand them what the asking one holds, a CUDA context for instance."""


class Crew(Protocol):
    """Whoever works on trials.

    Attributes:
        size: how many trials at a time.
    """

    size: int

    def give(self, trials: Sequence[Trial]) -> bool:
        """Let an idle one claim a trial; False if none is idle."""
        ...

    def signs(self) -> frozenset[Sign]:
        """Return those who belong to it, and were not told to be dead."""
        ...

    def watch(self, seconds: float) -> tuple[list[News], list[Sign]]:
        """Wait for news, so many seconds at most; return what all do, and who died."""
        ...


@dataclass(slots=True)
class _Member:
    """One process. Its news are None from when it is given trials until it tells what it does."""

    process: BaseProcess
    channel: Connection
    sign: Sign | None = None
    news: News | None = IDLE


class Processes:
    """Processes that work on trials; a context manager that stops them.

    Args:
        desk: what they need.
        size: how many; they are begun when there is work for them.
        devices: CUDA devices to share out; empty: each sees all.
        context: how they begin.
    """

    def __init__(
        self, desk: Desk, size: int, *, devices: Sequence[str] = (), context: SpawnContext | ForkContext = AFRESH
    ) -> None:
        self.size = size
        self._desk, self._devices = desk, devices
        self._context = context
        self._members: dict[int, _Member] = {}

    def __enter__(self) -> "Processes":
        """Begin with none."""
        return self

    def __exit__(self, *raised: object) -> None:
        """Stop all: those that train save a checkpoint first."""
        del raised
        for member in self._members.values():
            if member.news == IDLE:
                member.channel.close()  # it waits for work, and ends when there will be none
            else:
                member.process.terminate()
        for member in self._members.values():
            member.process.join()

    def give(self, trials: Sequence[Trial]) -> bool:
        """Let an idle process claim a trial; False if none is idle."""
        for place in range(self.size):
            member = self._members.get(place) or self._begin(place)
            if member.news == IDLE:
                member.news = None
                with suppress(OSError):  # it was killed while it was idle, which `watch` will find
                    member.channel.send(list(trials))
                    return True
        return False

    def signs(self) -> frozenset[Sign]:
        """Return the processes that run, as far as they have told."""
        return frozenset(member.sign for member in self._members.values() if member.sign is not None)

    def watch(self, seconds: float) -> tuple[list[News], list[Sign]]:
        """Wait for news, so many seconds at most; return what all do, and who died."""
        ready = wait([member.channel for member in self._members.values()], timeout=seconds)
        dead: list[Sign] = []
        for place, member in list(self._members.items()):
            if member.channel in ready and not _read(member):
                member.process.join()
                del self._members[place]
                if member.sign is None:
                    raise UserError(f"a process of the sweep ended before it began (exit code {member.process.exitcode})")
                dead.append(member.sign)
        return [member.news for member in self._members.values() if member.news and member.news.title], dead

    def _begin(self, place: int) -> _Member:
        ours, theirs = self._context.Pipe()
        devices = self._devices[place % len(self._devices)] if self._devices else None
        process = self._context.Process(target=serve, args=(replace(self._desk, devices=devices), theirs))
        process.start()
        theirs.close()
        self._members[place] = _Member(process, ours)
        return self._members[place]


def _read(member: _Member) -> bool:
    """Take all that a process has sent; return whether it lives."""
    try:
        while member.channel.poll():
            said = member.channel.recv()
            if isinstance(said, Sign):
                member.sign = said
            else:
                member.news = said
    except (EOFError, OSError):
        return False
    return True
