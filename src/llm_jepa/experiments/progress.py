"""What a person sees while a run works: one live bar with the terms and the gap."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from llm_jepa.experiments.show import Show

_SHOWN = {"loss": "loss", "next_token": "next token", "jepa": "JEPA", "cosine_gap": "gap"}
_LONG = 5_000
"""Examples whose tokenising gets a bar."""


class _Bars:
    """The bars of one run: for tokenising, training and scoring, each made when it begins."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def say(self, line: str) -> None:
        """Print a line above the bars."""
        self._progress.console.print(line, style="dim", markup=False)

    def tokenize(self, done: int, total: int) -> None:
        """Move the bar of tokenising, which is not worth one for a moment's work."""
        if total >= _LONG:
            self._move("tokenising", done, total, "")

    def train(self, step: int, steps: int, logs: dict[str, Any]) -> None:
        """Move the training bar."""
        shown = [f"{label} {logs[name]:.3f}" for name, label in _SHOWN.items() if name in logs]
        self._move("training", step, steps, "  ".join(shown))

    def evaluate(self, done: int, total: int) -> None:
        """Move the scoring bar."""
        self._move("scoring", done, total, "")

    def _move(self, name: str, done: int, total: int, detail: str) -> None:
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(name, total=total, detail="")
        self._progress.update(self._tasks[name], completed=done, total=total, detail=detail)


@contextmanager
def live(console: Console) -> Iterator[Show]:
    """Show the progress of one run, and clear its bars at the end."""
    columns = (
        TextColumn("{task.description:>8}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[detail]}"),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        bars = _Bars(progress)
        yield Show(say=bars.say, tokenize=bars.tokenize, train=bars.train, evaluate=bars.evaluate)
