"""A few minutes with the real model, before a run is paid for: alignment, gradients, steps, memory, a batch of answers.

What is measured on the untouched model comes first; then a few real optimizer steps change it, and it is thrown away.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from transformers import PreTrainedModel, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from llm_jepa.analysis.embeddings import Embeddings, embed
from llm_jepa.experiments.experiment import Experiment
from llm_jepa.experiments.files import RunFolder
from llm_jepa.experiments.material import Material
from llm_jepa.experiments.planning import Plan, plan
from llm_jepa.experiments.preflight.measures import Gradients, Memory, gradients, memory, scoring_seconds
from llm_jepa.experiments.preflight.view_facts import SAMPLE, evenly
from llm_jepa.experiments.run import make_trainer
from llm_jepa.experiments.show import QUIET, Show
from llm_jepa.model.parts import core
from llm_jepa.objective.monitors import Alignment, alignment
from llm_jepa.training.callbacks import CleanStop, CollapseWarning, MetricsFile
from llm_jepa.training.trainer import JEPATrainer
from llm_jepa.views.tokenize import Sample

GRADIENT_SAMPLES = 32
"""Samples over which the gradients of both terms are compared."""

LONGEST = 120.0
"""Seconds after which no further probing step begins."""

PROBING: dict[str, Any] = {
    "save_strategy": "no",
    "eval_strategy": "no",
    "report_to": "none",
    "lr_scheduler_type": "constant",
    "warmup_steps": 0,
    "push_to_hub": False,
    "load_best_model_at_end": False,
    "eval_on_start": False,
    "logging_steps": 1_000_000,
}
"""What a few steps do without. There is no schedule, so that they are steps at the full learning rate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Aligned:
    """How the views of some training pairs lie to each other on the untouched model and behind the probing steps.

    Attributes:
        before: Pred(Enc) and target on the untouched model.
        bare: the same without [PRED].
        after: Pred(Enc) and target behind the probing steps.
    """

    before: Alignment
    bare: Alignment
    after: Alignment


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What was measured.

    Attributes:
        aligned: of the views; None for fewer than two pairs.
        gradients: of the two terms; None for fewer than two pairs.
        plan: the extent of the training.
        steps: probing steps that were taken.
        seconds_per_step: of the training; None where a single step used up the time.
        scoring_seconds: the most that answering all held-out examples once can take; None where there are none.
        memory: of the device.
    """

    aligned: Aligned | None
    gradients: Gradients | None
    plan: Plan
    steps: int
    seconds_per_step: float | None
    scoring_seconds: float | None
    memory: Memory


def probe(experiment: Experiment, material: Material, model: PreTrainedModel, *, steps: int, show: Show = QUIET) -> Probe:
    """Measure with the real model; it is changed, and nothing is left on the disk.

    Args:
        experiment: the run, with true pairs.
        material: its data and tokenizer.
        model: as loaded.
        steps: optimizer steps to take; fewer, if they take long.
        show: how progress is told.

    Raises:
        UserError: what training would refuse.
        torch.OutOfMemoryError: the device is too small.
    """
    with TemporaryDirectory(prefix="llm-jepa-preflight-") as folder:
        real = experiment.training_arguments(folder)  # before the trainer: making arguments resets accelerate's state
        trainer = _trainer(experiment, material, model, Path(folder), steps)
        expected = plan(trainer, real, experiment.objective, seed=experiment.seed, max_flops=experiment.max_flops)
        pairs = evenly(material.train, SAMPLE)
        show.say("reading embeddings, and comparing the gradients of both terms")
        untouched = _embeddings(trainer, pairs)
        pulls = gradients(trainer, experiment.objective, pairs[:: -(-len(pairs) // GRADIENT_SAMPLES)]) if untouched else None
        show.say("answering one batch")
        scoring = scoring_seconds(experiment, material, core(trainer.trained))
        show.say(f"taking up to {steps} optimizer steps")
        watch = _Stopwatch(lambda: float(trainer.state.total_flos + trainer.current_flos))
        trainer.add_callback(watch)
        trainer.train()
        rate = watch.rate()
        return Probe(
            aligned=_aligned(untouched, _embeddings(trainer, pairs)),
            gradients=pulls,
            plan=expected,
            steps=len(watch.ends),
            seconds_per_step=None if rate is None else expected.flops_per_step / rate,
            scoring_seconds=scoring,
            memory=memory(trainer, material.train),
        )


@dataclass(slots=True)
class _Stopwatch(TrainerCallback):
    """Notes when steps end and what they computed, and lets no other begin when the time is over."""

    count: Callable[[], float]
    ends: list[float] = field(default_factory=list[float])
    flops: list[float] = field(default_factory=list[float])
    began: float = field(default_factory=time.monotonic)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Note the step."""
        del state, kwargs
        if args.device.type == "cuda":
            torch.cuda.synchronize(args.device)
        self.ends.append(time.monotonic())
        self.flops.append(self.count())
        if self.ends[-1] - self.began > LONGEST:
            control.should_training_stop = True

    def rate(self) -> float | None:
        """Return operations a second, without the first step, which warms up."""
        if len(self.ends) < 2:
            return None
        return (self.flops[-1] - self.flops[0]) / max(self.ends[-1] - self.ends[0], 1e-9)


def _trainer(experiment: Experiment, material: Material, model: PreTrainedModel, folder: Path, steps: int) -> JEPATrainer:
    """Return the run's trainer for a few steps that leave nothing behind."""
    settings = {name: value for name, value in experiment.training.items() if name != "warmup_ratio"}
    brief = replace(experiment, max_flops=None, training=settings | PROBING | {"max_steps": steps})
    trainer, _ = make_trainer(brief, material, model, RunFolder(folder), QUIET)
    for watching in (MetricsFile, CollapseWarning, CleanStop):
        trainer.remove_callback(watching)
    return trainer


def _embeddings(trainer: JEPATrainer, pairs: Sequence[Sample]) -> Embeddings | None:
    if len(pairs) < 2:
        return None
    size = trainer.args.per_device_train_batch_size
    return embed(trainer.trained, pairs, trainer.layout, batch_size=size, one_forward=trainer.one_forward)


def _aligned(untouched: Embeddings | None, trained: Embeddings | None) -> Aligned | None:
    if untouched is None or trained is None:
        return None
    return Aligned(
        before=alignment(untouched.predicted, untouched.code),
        bare=alignment(untouched.text, untouched.code),
        after=alignment(trained.predicted, trained.code),
    )
