"""A run that ended before it was finished: by a signal, or because its time was over."""

from collections.abc import Callable

from accelerate import PartialState

from llm_jepa.training.callbacks import CleanStop
from llm_jepa.training.deadline import UNFINISHED


class Interrupted(Exception):
    """A run stopped early; its folder continues with the same command.

    Attributes:
        signal: the signal's number; None if the time was over.
        step: optimizer steps that are saved.
    """

    def __init__(self, signal: int | None, step: int) -> None:
        super().__init__(signal, step)  # what an exception needs to come back from another process
        self.signal, self.step = signal, step

    def __str__(self) -> str:
        """Return why and where it stopped."""
        why = "the time was over" if self.signal is None else f"stopped by signal {self.signal}"
        return f"{why} after step {self.step}"

    @property
    def exit_code(self) -> int:
        """What the command ends with: 128 + signal as in a shell, or 75 where the time was over."""
        return UNFINISHED if self.signal is None else 128 + self.signal


class Stoppable:
    """Passes the progress of making answers on, and stops between two batches; at least one is always answered.

    All processes are told of every batch, and stop at the same.

    Args:
        progress: called with (finished examples, all examples).
        stop: says when.
        step: optimizer steps that are saved.

    Raises:
        Interrupted: by a call that tells of a new batch, when it is time to stop.
    """

    def __init__(self, progress: Callable[[int, int], None], stop: CleanStop, step: int) -> None:
        self._progress, self._stop, self._step = progress, stop, step
        self._first: int | None = None

    def __call__(self, done: int, total: int) -> None:
        """Tell the progress."""
        self._progress(done, total)
        if self._first is None:
            self._first = done
        elif done > self._first and self._stop.due_anywhere(PartialState().device):
            raise Interrupted(self._stop.signal, self._step)
