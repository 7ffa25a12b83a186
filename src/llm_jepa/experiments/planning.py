"""What a training will take, told from shapes alone: optimizer steps, and floating-point operations of a step."""

import math
import random
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from transformers import TrainerState, TrainingArguments
from transformers.trainer import TRAINER_STATE_NAME

from llm_jepa.model.flops import CostModel
from llm_jepa.model.parts import core
from llm_jepa.objective.jepa import JEPA
from llm_jepa.packing.collate import SEEN
from llm_jepa.training.callbacks import Budget
from llm_jepa.training.trainer import JEPATrainer

DRAWN = 64
"""Micro-batches that are packed to know what one costs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The extent of a training.

    Attributes:
        steps: optimizer steps.
        steps_per_epoch: optimizer steps of one pass over the data.
        flops_per_step: expected operations of one, over all ranks.
    """

    steps: int
    steps_per_epoch: int
    flops_per_step: float

    @property
    def flops(self) -> float:
        """Expected operations of the whole training."""
        return self.steps * self.flops_per_step


def plan(
    trainer: JEPATrainer, args: TrainingArguments, objective: JEPA, *, seed: int, max_flops: float | None = None
) -> Plan:
    """Return the extent of a training, with batches drawn at random as the training will draw them.

    Args:
        trainer: not begun; its model and samples count.
        args: of the training.
        objective: the trainer's; its dropout rate says how many steps go without the views.
        seed: of the batches that are drawn.
        max_flops: where training ends instead, if it is given.
    """
    steps, steps_per_epoch = _steps(trainer, args)
    flops_per_epoch = _micro_batches(trainer, args) * trainer.accelerator.num_processes
    flops_per_epoch *= _micro_batch(trainer, args, objective, seed=seed)
    flops_per_step = flops_per_epoch / steps_per_epoch
    if max_flops is not None:
        steps = max(1, math.ceil(max_flops / flops_per_step))
    return Plan(steps=steps, steps_per_epoch=steps_per_epoch, flops_per_step=flops_per_step)


def end_training(
    trainer: JEPATrainer, objective: JEPA, *, seed: int, max_flops: float | None, checkpoint: Path | None
) -> None:
    """Let a training end where it should: with the operations that are given, and not after its end.

    Under `max_flops` the learning rate's schedule is laid out for as many steps as the limit is expected to pay for, and
    training ends with the first step that reaches it. If steps turn out cheaper than expected, it ends with the schedule, a
    little below the limit.

    Args:
        trainer: not begun; its arguments and callbacks are changed.
        objective: the trainer's.
        seed: of the batches that are drawn to know what a step costs.
        max_flops: floating-point operations; None: steps or epochs say when training ends.
        checkpoint: what the training will continue from.
    """
    args = trainer.args
    if trainer.streams:
        if checkpoint is None or _reached(checkpoint).global_step < args.max_steps:
            return
        trainer.leave_stream()
    steps, steps_per_epoch = _steps(trainer, args)
    if max_flops is not None:
        args.max_steps = steps = plan(trainer, args, objective, seed=seed, max_flops=max_flops).steps
        trainer.add_callback(Budget(max_flops, trainer.flops))
    if checkpoint is None:
        return
    before = _reached(checkpoint)
    if before.global_step >= steps or (max_flops is not None and before.total_flos >= max_flops):
        # Trainer asks whether it is finished only after a step, so within an epoch it would take one more.
        args.max_steps, args.num_train_epochs = -1, float(before.global_step // steps_per_epoch)


def _reached(checkpoint: Path) -> TrainerState:
    """Return how far a training was when it saved this checkpoint."""
    return TrainerState.load_from_json(str(checkpoint / TRAINER_STATE_NAME))


def _steps(trainer: JEPATrainer, args: TrainingArguments) -> tuple[int, int]:
    """Return the optimizer steps of a training, and of one of its epochs."""
    steps_per_epoch = max(1, math.ceil(_micro_batches(trainer, args) / args.gradient_accumulation_steps))
    return args.max_steps if args.max_steps > 0 else math.ceil(args.num_train_epochs * steps_per_epoch), steps_per_epoch


def _micro_batches(trainer: JEPATrainer, args: TrainingArguments) -> int:
    """Return the micro-batches of each rank in an epoch."""
    samples: Any = trainer.train_dataset
    share = len(samples) / (args.per_device_train_batch_size * trainer.accelerator.num_processes)
    return math.floor(share) if args.dataloader_drop_last else math.ceil(share)


def _micro_batch(trainer: JEPATrainer, args: TrainingArguments, objective: JEPA, *, seed: int) -> float:
    """Return the mean operations of a micro-batch of one rank."""
    data: Any = trainer.train_dataset
    collate: Any = trainer.data_collator
    cost = CostModel.of(core(trainer.trained))
    order = random.Random(f"plan {seed}").sample(range(len(data)), len(data))
    size = args.per_device_train_batch_size
    # The last batch of an epoch may be smaller; where only some are drawn, none of them is that one.
    last = len(order) - size if args.dataloader_drop_last else len(order) - 1
    starts = range(0, max(last, 0) + 1, size * trainer.accelerator.num_processes)[:DRAWN]
    kept = 1 - objective.dropout if objective.trains_views else 0.0
    costs: list[float] = []
    for start in starts:
        packed = collate([data[index] for index in order[start : start + size]])
        found = {name: _flops(cost, packed[name], seen) for name, seen in packed[SEEN].items()}
        plain = found.get("plain", 0.0)  # it is made wherever a step may go without the views
        costs.append(kept * found["full"] + (1 - kept) * plain)
    return fmean(costs)


def _flops(cost: CostModel, batch: dict[str, Any], seen: int) -> int:
    return cost.step(tokens=batch["input_ids"].numel(), seen=seen, labels=batch["label"].numel())
