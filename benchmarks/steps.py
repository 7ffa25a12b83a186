"""Training steps of three trainers, made alike: fetch, collate, count the labels, forward, backward.

Each is the trainer's own `get_batch_samples` and `training_step`, so that what a trainer adds around the model is inside the
clock of all of them. Not inside: the optimizer's step, which is the same for all (`optimizer_seconds`), logging, data-loader
workers, and the monitors of a logged step (a variant of their own).
"""

import importlib.util
import itertools
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datasets import Dataset
from torch import Tensor
from transformers import DataCollatorForSeq2Seq, PreTrainedModel, Trainer, TrainingArguments

from benchmarks.timing import Cost
from benchmarks.workload import Workload
from llm_jepa.model.flops import CostModel
from llm_jepa.model.slots import train_slots
from llm_jepa.objective.jepa import JEPA
from llm_jepa.packing.layout import Layout
from llm_jepa.training.trainer import JEPATrainer
from llm_jepa.views.tokenize import Sample

IGNORED = -100
"""The label that transformers leaves out of the loss."""

ROW = 512
"""Tokens of a row of TRL's packing."""

NEVER = 10**9
"""Steps between two logs, so that no timed step is a logged one."""


@dataclass(slots=True, kw_only=True)
class TrainerStep:
    """One micro-batch of a trainer, which holds exactly the samples of the batch.

    Attributes:
        trainer: a trainer whose training set is the batch.
        model: what it trains.
        steps: the numbers of the optimizer steps that are made.
    """

    trainer: Trainer
    model: PreTrainedModel
    steps: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def collated(self) -> Any:
        """Return the collated batch."""
        data: Any = self.trainer.train_dataset
        return self.trainer.data_collator([data[index] for index in range(len(data))])

    def __call__(self) -> Tensor:
        """Make the step, without the optimizer; return the loss."""
        trainer = self.trainer
        trainer.state.global_step = next(self.steps)
        trainer.current_gradient_accumulation_steps = 1
        batches, count = trainer.get_batch_samples(iter([self.collated()]), 1, trainer.args.device)
        return trainer.training_step(self.model, batches[0], count)

    def prepare(self) -> None:
        """Train or freeze the predictor slots as this trainer does; others share the model."""
        if isinstance(self.trainer, JEPATrainer):
            train_slots(self.model, trained=self.trainer.objective.trains_views)


def _options(folder: Path, samples: int) -> dict[str, Any]:
    return {
        "output_dir": str(folder),
        "per_device_train_batch_size": samples,
        "logging_steps": NEVER,
        "report_to": [],
        "use_cpu": True,
        "disable_tqdm": True,
    }


def ours(
    *,
    model: PreTrainedModel,
    workload: Workload,
    folder: Path,
    samples: Sequence[Sample],
    objective: JEPA,
    layout: Layout,
    per_row: int | None = None,
) -> TrainerStep:
    """Return a step of `JEPATrainer`."""
    trainer = JEPATrainer(
        model=model,
        args=TrainingArguments(**_options(folder, len(samples))),
        objective=objective,
        layout=layout,
        samples=samples,
        samples_per_row=per_row,
        processing_class=workload.tokenizer,
    )
    trainer.state.logging_steps = NEVER
    return TrainerStep(trainer=trainer, model=model)


def dropped_only(step: TrainerStep, objective: JEPA) -> TrainerStep:
    """Return the step restricted to the optimizer steps whose coin drops the JEPA term."""
    seed = step.trainer.args.seed
    numbers = (number for number in itertools.count(1) if not objective.uses_views(seed=seed, step=number))
    return TrainerStep(trainer=step.trainer, model=step.model, steps=numbers)


def plain(*, model: PreTrainedModel, workload: Workload, folder: Path, samples: Sequence[Sample]) -> TrainerStep:
    """Return a step of transformers' own `Trainer`: dynamic padding, the same label tokens, logits everywhere."""
    data: Any = [{"input_ids": list(ids), "labels": labels} for ids, labels in map(_labelled, samples)]
    trainer = Trainer(
        model=model,
        args=TrainingArguments(**_options(folder, len(samples))),
        train_dataset=data,
        data_collator=DataCollatorForSeq2Seq(workload.tokenizer, label_pad_token_id=IGNORED),
    )
    return TrainerStep(trainer=trainer, model=model)


def _labelled(sample: Sample) -> tuple[tuple[int, ...], list[int]]:
    sequence = sample.sequences[0]
    marked = zip(sequence.ids, sequence.trained, strict=True)
    return sequence.ids, [token if trained else IGNORED for token, trained in marked]


def has_trl() -> bool:
    """Return whether TRL is installed."""
    return importlib.util.find_spec("trl") is not None


def trl(
    *,
    model: PreTrainedModel,
    workload: Workload,
    folder: Path,
    samples: Sequence[Sample],
    packing: bool = False,
    padding_free: bool = False,
) -> TrainerStep:
    """Return a step of TRL's `SFTTrainer` at its fastest here: float32, no checkpointing, completion-only loss.

    It patches the model's forward, so the model must be its own. With `packing` its best-fit packing puts the whole batch
    into as few rows of 512 tokens as it can (longer where a sample is), and those, without padding, into one; `padding_free`
    puts all samples into one. No sample is cut.
    """
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

    data = Dataset.from_list(
        [
            {"input_ids": list(sample.sequences[0].ids), "completion_mask": [int(x) for x in sample.sequences[0].trained]}
            for sample in samples
        ]
    )
    with warnings.catch_warnings(action="ignore", category=FutureWarning):  # its own name for checkpointing is deprecated
        config = SFTConfig(
            **_options(folder, len(samples)),
            bf16=False,
            gradient_checkpointing=False,
            completion_only_loss=True,
            packing=packing,
            padding_free=padding_free,
            max_length=max(ROW, *(len(sample.sequences[0].ids) for sample in samples)) if packing else None,
        )
    trainer = SFTTrainer(model=model, args=config, train_dataset=data, processing_class=workload.tokenizer)
    return TrainerStep(trainer=trainer, model=model)


def packed_tensors(step: TrainerStep) -> dict[str, Tensor]:
    """Return the batch that a step of ours computes when its coin drops nothing."""
    trainer = step.trainer
    assert isinstance(trainer, JEPATrainer)
    return step.collated()["full" if trainer.objective.trains_views else "plain"]


def packed_cost(costs: CostModel, batch: dict[str, Tensor], samples: int) -> Cost:
    """Return what a packed batch of ours computes."""
    labels, positions = batch["label"].numel(), batch["input_ids"].numel()
    return Cost(
        samples=samples,
        labels=labels,
        tokens=int(batch["tokens"]),
        positions=positions,
        logits=labels,
        flops=costs.step(tokens=positions, seen=int((batch["position"] + 1).sum()), labels=labels),
    )


def padded_cost(costs: CostModel, batch: Any, samples: int, *, everywhere: bool) -> Cost:
    """Return what a padded or flattened batch of transformers computes, with logits everywhere or at labels alone."""
    rows, length = batch["input_ids"].shape
    seen = int((batch["position_ids"] + 1).sum()) if "position_ids" in batch else rows * length * (length + 1) // 2
    labels = int((batch["labels"][:, 1:] != IGNORED).sum())
    logits = rows * length if everywhere else labels
    return Cost(
        samples=samples,
        labels=labels,
        tokens=int(batch["attention_mask"].sum()) if "attention_mask" in batch else rows * length,
        positions=rows * length,
        logits=logits,
        flops=costs.step(tokens=rows * length, seen=seen, labels=logits),
    )


def optimizer_seconds(step: TrainerStep, *, rounds: int) -> float:
    """Return the least time of AdamW's step over all weights, CPU seconds a batch; the first, which allocates, is out."""
    step.prepare()
    step()
    optimizer = step.trainer.create_optimizer()
    times: list[float] = []
    for _ in range(rounds + 1):
        start = time.process_time()
        optimizer.step()
        times.append(time.process_time() - start)
    step.model.zero_grad(set_to_none=True)
    return min(times[1:])
