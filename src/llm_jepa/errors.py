"""What ends a command early: a user's mistake, which the command line prints as a sentence and exits with 2; and SIGTERM."""

import difflib
from collections.abc import Iterable
from types import FrameType
from typing import NoReturn


class UserError(Exception):
    """A mistake in what the user gave: the message says what is wrong, where, and what to do.

    Example:
        >>> raise UserError("train.jsonl:3: 'text' is empty; remove the row or fill it")
        Traceback (most recent call last):
        ...
        llm_jepa.errors.UserError: train.jsonl:3: 'text' is empty; remove the row or fill it
    """


class Terminated(BaseException):
    """SIGTERM came, where nothing had to be saved first. As `KeyboardInterrupt`, it is no error, and nothing swallows it."""


def terminate(number: int, frame: FrameType | None) -> NoReturn:
    """Handle SIGTERM.

    Raises:
        Terminated: always.
    """
    del number, frame
    raise Terminated


MOST_SHOWN = 40
"""Characters of a user's own words that a message repeats."""


def shown(said: object) -> str:
    """Return a user's own words as a message repeats them: on one line, and of long ones the beginning.

    Example:
        >>> shown("two  spaces"), shown("x" * 1000) == "x" * 40 + "…"
        ('two spaces', True)
    """
    line = " ".join(str(said).split())
    return line if len(line) <= MOST_SHOWN else f"{line[:MOST_SHOWN]}…"


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a hint that names the known word nearest to `name`, or an empty string.

    Example:
        >>> nearest("wieght", ["weight", "gamma"])
        "; did you mean 'weight'?"
    """
    match = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean '{match[0]}'?" if match else ""
