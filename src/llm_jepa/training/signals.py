"""Ctrl-C and SIGTERM as a wish to stop: noted, and fulfilled where nothing is lost."""

import signal
import time
from types import FrameType
from typing import Any

APART = 3.0
"""Seconds. A second signal that comes sooner is the same wish, told by another (the scheduler, the launcher, the parent)."""


class Signals:
    """Notes the first signal; a second one, a while later, does at once what it did before.

    Attributes:
        noted: the number of the signal that came; None if none did.
    """

    def __init__(self) -> None:
        self.noted: int | None = None
        self._since = 0.0
        self._before: dict[int, Any] = {}

    def take(self) -> None:
        """Take the signals over, if they are not yet."""
        for number in (signal.SIGINT, signal.SIGTERM):
            if number not in self._before:
                self._before[number] = signal.signal(number, self._note)

    def release(self) -> None:
        """Give the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def note(self, number: int) -> None:
        """Note a signal that came here or to another process; the first one counts."""
        if self.noted is None:
            self.noted, self._since = number, time.monotonic()

    def _note(self, number: int, frame: FrameType | None) -> None:
        del frame
        if self.noted is not None and time.monotonic() - self._since > APART:
            self.release()
            signal.raise_signal(number)
        self.note(number)
