"""What watches a training: the metrics file, the progress line, the collapse warning, the clean stop."""

import json
import logging
import math
import signal
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from llm_jepa.objective.monitors import collapsed

logger = logging.getLogger(__name__)


class MetricsFile(TrainerCallback):
    """Appends every log to a JSON Lines file; lines after the checkpoint that training resumes from are taken back.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Keep the lines up to the step that training begins with."""
        del args, control, kwargs
        if not state.is_world_process_zero:
            return
        lines = self._path.read_text(encoding="utf-8").splitlines() if self._path.exists() else []
        kept = [line for line in lines if _step(line) <= state.global_step] if state.global_step else []
        self._path.write_text("".join(line + "\n" for line in kept), encoding="utf-8")

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Append one line; wall-clock figures and Trainer's summary of a session stay out: equal runs have equal files."""
        del args, control, kwargs
        if not state.is_world_process_zero or not logs or "train_loss" in logs:
            return
        values = {name: value for name, value in logs.items() if not name.endswith(("_runtime", "_per_second"))}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": state.global_step, **values}) + "\n")


def _step(line: str) -> float:
    """Return the step of a line, or infinity for a line that a kill tore."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return math.inf


class CollapseWarning(TrainerCallback):
    """Warns once, with the numbers, when all embeddings lie in one direction."""

    def __init__(self) -> None:
        self._warned = False

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Look at the monitors of a log."""
        del args, control, kwargs
        if self._warned or not logs or "cosine_gap" not in logs:
            return
        names = ("cosine_matched", "cosine_shuffled", "retrieval_at_1")
        if collapsed(**{name: logs[name] for name in names}):
            self._warned = True
            logger.warning(
                "step %d: the embeddings lie in one direction: matched pairs have cosine %.3f, shuffled pairs %.3f, "
                "retrieval@1 is %.0f %% of %d pairs, effective rank %.1f. The JEPA loss is small without telling views "
                "apart; a smaller objective.weight, or InfoNCE as the distance, may help",
                state.global_step,
                logs["cosine_matched"],
                logs["cosine_shuffled"],
                100 * logs["retrieval_at_1"],
                logs["pairs"],
                logs["effective_rank"],
            )


class Progress(TrainerCallback):
    """Reports every step to whoever shows progress.

    Args:
        show: called with (step, steps in all, the latest log).
    """

    def __init__(self, show: Callable[[int, int, dict[str, Any]], None]) -> None:
        self._show = show
        self._logs: dict[str, Any] = {}

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Show the step."""
        del args, control, kwargs
        if state.is_world_process_zero:
            self._show(state.global_step, state.max_steps, self._logs)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Keep the log for the next step."""
        del args, state, control, kwargs
        self._logs |= logs or {}


class CleanStop(TrainerCallback):
    """Turns Ctrl-C and SIGTERM into a checkpoint at the end of the running step; a second signal ends at once."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self._before: dict[int, Any] = {}

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Take the signals over."""
        del args, state, control, kwargs
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._note)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Save and stop if a signal came."""
        del args, state, kwargs
        if self.signal is not None:
            control.should_save = True
            control.should_training_stop = True

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Give the signals back."""
        del args, state, control, kwargs
        self.release()

    def release(self) -> None:
        """Give the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def _note(self, number: int, frame: FrameType | None) -> None:
        del frame
        self.signal = number
        self.release()
