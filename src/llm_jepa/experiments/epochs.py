"""Accuracy by epoch: after every epoch the validation split is answered and scored, and the run is none the wiser.

The weights are saved first and scored then, so that an interruption in the middle goes on where it was: the answers that
are there stay, and an epoch's score is neither lost nor made twice. No random number is drawn.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import SaveStrategy

from llm_jepa.experiments.files import RunFolder
from llm_jepa.experiments.interruption import Interrupted, Stoppable
from llm_jepa.experiments.show import Show
from llm_jepa.training.callbacks import CleanStop, whole_epochs
from llm_jepa.training.trainer import JEPATrainer

ACCURACY, STOP_RATE = "eval_accuracy", "eval_stop_rate"
"""The names of an epoch's scores in `metrics.jsonl`."""

Score = Callable[[Path, Callable[[int, int], None]], dict[str, Any]]
"""Answers and scores the split: (folder of the answers, progress) -> figures, as in `results.json`."""


class EpochScores(TrainerCallback):
    """Scores after every epoch, and at the end of a training that ends within one.

    Args:
        trainer: whose logs the scores go to; this must be the last of its callbacks.
        score: makes and scores the answers of the model as it is.
        run: the run's folder.
        stop: says when to stop in the middle.
        show: how progress is told.
    """

    def __init__(self, trainer: JEPATrainer, score: Score, run: RunFolder, stop: CleanStop, show: Show) -> None:
        self._trainer, self._score, self._run, self._stop, self._show = trainer, score, run, stop, show
        self._due = False

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Take back answers of steps that are not saved, and catch up on the score that an interruption left out."""
        del kwargs
        if state.is_world_process_zero:
            for folder in self._run.epochs.glob("step-*"):
                if int(folder.name.rpartition("-")[2]) > state.global_step or state.global_step == 0:
                    shutil.rmtree(folder)
        ended = whole_epochs(state) or state.global_step >= state.max_steps
        if state.global_step and ended and not self._is_scored(state.global_step):
            self._score_now(args, state, control)
            if self._stop.stopped:  # Trainer asks only after a step, and this one would be lost to the unscored epoch
                self._stop.release()
                raise Interrupted(self._stop.signal, state.global_step)

    def on_epoch_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Have the epoch's weights saved and then scored; of a training that keeps no checkpoints, scored at once."""
        del kwargs
        if self._stop.stopped or not (whole_epochs(state) or control.should_training_stop):
            return
        if args.save_strategy in (SaveStrategy.NO, SaveStrategy.BEST):
            self._score_now(args, state, control)
        else:
            self._due = control.should_save = True

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Score what was saved at the end of an epoch."""
        del kwargs
        if self._due:
            self._due = False
            self._score_now(args, state, control)

    def _score_now(self, args: TrainingArguments, state: TrainerState, control: TrainerControl) -> None:
        with self._trainer.paused():
            costs = self._trainer.totals()
            found = self._answers(state)
            if found is not None and state.is_world_process_zero:
                self._trainer.log(found | costs)
            PartialState().wait_for_everyone()
            self._stop.agree(args, control)

    def _answers(self, state: TrainerState) -> dict[str, float] | None:
        """Return the scores; None where there was no time to finish them."""
        self._show.say(f"scoring epoch {state.epoch:g}")
        folder = self._run.epochs / f"step-{state.global_step}"
        try:
            result = self._score(folder, Stoppable(self._show.evaluate, self._stop, state.global_step))
        except Interrupted:
            return None
        named = {ACCURACY: result["accuracy"], STOP_RATE: result.get("stop_rate")}
        return {name: value for name, value in named.items() if value is not None}

    def _is_scored(self, step: int) -> bool:
        """Return whether the first process has logged a score for this step."""
        found = [False]
        if self._trainer.is_world_process_zero() and self._run.metrics.exists():
            lines = map(json.loads, self._run.metrics.read_text(encoding="utf-8").splitlines())
            found = [any(line["step"] == step and ACCURACY in line for line in lines)]
        return bool(broadcast_object_list(found)[0])
