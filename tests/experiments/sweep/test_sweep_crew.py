"""The processes of a sweep are replaced whenever they die, also between two trials."""

import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import pytest
from benchmarks.faults.process import Copies

from llm_jepa.experiments.sweep import crew as crews
from llm_jepa.experiments.sweep.crew import Processes
from llm_jepa.experiments.sweep.lifeline import Sign
from llm_jepa.experiments.sweep.worker import News

TRIALS: Any = ["a trial"]


@dataclass(frozen=True)
class Nothing:
    """A stand-in for what a process needs."""

    devices: str | None = None


def serve_nothing(desk: object, channel: Connection) -> None:
    """A stand-in for work: every trial is over at once."""
    del desk
    channel.send(Sign(path=str(os.getpid()), kernel="this"))
    with suppress(EOFError):
        while True:
            channel.recv()
            channel.send(News())


def idle_again(crew: Processes) -> int:
    """Wait until the process has told who it is, and that it is idle; return its number."""
    while not crew.signs():
        crew.watch(0.1)
    (member,) = crew._members.values()
    while member.news != crews.IDLE:
        crew.watch(0.1)
    (sign,) = crew.signs()
    return int(sign.path)


def test_a_process_that_is_killed_while_it_is_idle_is_replaced(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(crews, "serve", serve_nothing)
    desk: Any = Nothing()
    with Processes(desk, 1, context=Copies()) as crew:
        assert crew.give(TRIALS)
        killed = idle_again(crew)
        os.kill(killed, signal.SIGKILL)
        crew._members[0].process.join()
        assert not crew.give(TRIALS)
        _, dead = crew.watch(5.0)
        assert [sign.path for sign in dead] == [str(killed)]
        assert crew.give(TRIALS)
        assert idle_again(crew) != killed
