"""How a run tells its progress, whoever listens."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


def _nothing(*told: object) -> None:
    del told


@dataclass(frozen=True, slots=True, kw_only=True)
class Show:
    """How a run tells its progress.

    Attributes:
        say: called with a line of text when a stage begins.
        tokenize: called with (tokenised examples, all examples).
        train: called with (step, steps in all, latest log).
        evaluate: called with (finished examples, all examples).
    """

    say: Callable[[str], None] = _nothing
    tokenize: Callable[[int, int], None] = _nothing
    train: Callable[[int, int, dict[str, Any]], None] = _nothing
    evaluate: Callable[[int, int], None] = _nothing


QUIET = Show()
