"""What watches a training: the metrics file, the progress line, the collapse warning, the clean stop, the budget."""

import json
import logging
import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import distributed
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import SaveStrategy

from llm_jepa.durable import write
from llm_jepa.objective.monitors import collapsed
from llm_jepa.training.deadline import NEVER, Deadline, saving_time
from llm_jepa.training.signals import Signals

logger = logging.getLogger(__name__)


class MetricsFile(TrainerCallback):
    """Appends every log to a JSON Lines file; lines after the checkpoint that training resumes from are taken back.

    Args:
        path: the file.
        closing: prefixes of what is logged after training, at its last step; it is logged anew by every session.
    """

    def __init__(self, path: Path, *, closing: tuple[str, ...] = ()) -> None:
        self._path, self._closing = path, closing

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Keep the lines up to the step that training begins with."""
        del args, control, kwargs
        if not state.is_world_process_zero:
            return
        lines = self._path.read_text(encoding="utf-8").splitlines() if self._path.exists() else []
        kept = [line for line in lines if 0 < self._step(line) <= state.global_step]
        write(self._path, "".join(line + "\n" for line in kept))

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
            file.flush()
            os.fsync(file.fileno())  # a checkpoint on the disk must find the lines before it there

    def _step(self, line: str) -> float:
        """Return the step of a line; infinity for one that a kill tore, or that comes after training."""
        try:
            logged = json.loads(line)
            return math.inf if any(name.startswith(self._closing) for name in logged) else float(logged["step"])
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
    """Turns Ctrl-C, SIGTERM and the end of the time into a checkpoint at the end of the running step.

    A second signal, some seconds later, ends at once. All processes stop at the same step. At least one step is taken,
    however late it is.

    Args:
        deadline: by when the process should have ended; the time to save is kept free.

    Attributes:
        stopped: whether training was stopped before its end.
    """

    def __init__(self, deadline: Deadline = NEVER) -> None:
        self.stopped = False
        self._signals = Signals()
        self._deadline = deadline
        self._saving = self._longest = 0.0
        self._began = self._ended = time.monotonic()

    @property
    def signal(self) -> int | None:
        """The number of the signal that came."""
        return self._signals.noted

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Take the signals over."""
        del args, state, control
        self._saving = saving_time(kwargs["model"])
        self._signals.take()

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Note the time."""
        del args, state, control, kwargs
        self._began = time.monotonic()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Save and stop if a signal came, or if there is no time for another step."""
        del state, kwargs
        self._ended = time.monotonic()
        self._longest = max(self._longest, self._ended - self._began)
        if self.agree(args, control, reserve=self._longest):
            control.should_save = True

    def on_epoch_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Leave what belongs to the end of an epoch until the epoch has ended."""
        del args, kwargs
        if self.stopped and not whole_epochs(state):
            control.should_log = control.should_evaluate = control.should_save = False

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Note how long a checkpoint takes, with half as much in reserve."""
        del args, state, control, kwargs
        self._saving = 1.5 * (time.monotonic() - self._ended)

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Give the signals back."""
        del args, state, control, kwargs
        self.release()

    def due(self, *, reserve: float = 0.0) -> bool:
        """Return whether to stop: a signal came, or less time is left than saving and `reserve` seconds more take."""
        return self.signal is not None or self._deadline.passed(reserve=self._saving + reserve)

    def agree(self, args: TrainingArguments, control: TrainerControl, *, reserve: float = 0.0) -> bool:
        """Stop the training in all processes if it is due in one of them; return whether it is."""
        due = self.due_anywhere(args.device, reserve=reserve)
        self.stopped = self.stopped or due
        control.should_training_stop |= due
        return due

    def due_anywhere(self, device: torch.device | None, *, reserve: float = 0.0) -> bool:
        """Return whether it is due in any process; all have to ask, and all then know the signal."""
        number, due = self.signal or 0, self.due(reserve=reserve)
        if distributed.is_initialized() and distributed.get_world_size() > 1:
            flags = torch.tensor([number, due], device=device)
            distributed.all_reduce(flags, op=distributed.ReduceOp.MAX)
            number, due = flags.tolist()
        if number:
            self._signals.note(number)
        return bool(due)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Return a context in which signals are noted after training too, for whoever asks `due`."""
        self._signals.take()
        try:
            yield
        finally:
            self._signals.release()

    def release(self) -> None:
        """Give the signals back."""
        self._signals.release()


class Budget(TrainerCallback):
    """Ends training with the first step whose operations reach a limit.

    Args:
        limit: floating-point operations.
        count: returns those done so far, the same in all processes.
    """

    def __init__(self, limit: float, count: Callable[[], float]) -> None:
        self._limit, self._count = limit, count

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """End training when the limit is reached."""
        del state, kwargs
        if self._count() >= self._limit:
            control.should_training_stop = True
            control.should_save |= args.save_strategy != SaveStrategy.NO


def whole_epochs(state: TrainerState) -> bool:
    """Return whether the last step was the last of an epoch."""
    return state.epoch is not None and abs(state.epoch - round(state.epoch)) < 1e-9
