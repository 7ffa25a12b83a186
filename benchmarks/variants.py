"""The variants that are timed, all built on the same batch; all models with the same weights.

One model is ours (packed attention, predictor slots), one is left as transformers makes it, the others are TRL's, which
patches their forward. Loss dropout is not run with its coin: a step costs either what a full step costs or what a dropped
one costs, so both are measured and mixed with the exact rate; the coin's own luck in a few steps would only add noise.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor
from transformers import PreTrainedModel

from benchmarks import official
from benchmarks.steps import (
    TrainerStep,
    dropped_only,
    has_trl,
    ours,
    packed_cost,
    packed_tensors,
    padded_cost,
    plain,
    raw_ours,
    raw_plain,
    trl,
)
from benchmarks.timing import Result, Variant
from benchmarks.workload import SLOTS, Workload
from llm_jepa.model.flops import CostModel
from llm_jepa.objective.jepa import JEPA
from llm_jepa.packing.layout import Layout

NTP, NTP_RAW = "our NTP", "our NTP, raw"
NTP_LOGGED = "our NTP, logged (monitors)"
SHARED, SHARED_RAW = "LLM-JEPA shared, k = 1", "LLM-JEPA shared, k = 1, raw"
SHARED_4, SHARED_ROWS = "LLM-JEPA shared, k = 4", "LLM-JEPA shared, 4 a row"
SHARED_ONE = "LLM-JEPA shared, 1 a row"
FRAMED, BARE = "LLM-JEPA separate, framed", "LLM-JEPA separate, bare"
DROPPED = "LLM-JEPA shared, dropped step"
DROPOUT_75, DROPOUT_50 = "LLM-JEPA shared, dropout 0.75", "LLM-JEPA shared, dropout 0.5"
TRAINER, TRAINER_RAW = "plain Trainer", "plain Trainer, raw"
TRL, TRL_PACKED = "TRL SFTTrainer", "TRL SFTTrainer, packing"
THREE, ADDITIVE = "official, 3 x 512", "official, 2 x 512"
FORWARDS = "three forwards, dynamic padding"
RAW = {NTP_RAW: (NTP_RAW, TRAINER_RAW), SHARED_RAW: (NTP_RAW, TRAINER_RAW), TRAINER_RAW: (NTP_RAW, TRAINER_RAW)}
"""Rows that are compared with the raw NTP and the raw Trainer row instead of the steps."""
SAME_LOSS = ((NTP, NTP_RAW, NTP_LOGGED, DROPPED, TRAINER, TRAINER_RAW, TRL, TRL_PACKED), (THREE, ADDITIVE))
"""Variants that compute the same loss; if they did not, their times could not be compared."""
TOLERANCE = 1e-4
"""Largest relative difference of two such losses, in float32."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is measured.

    Attributes:
        variants: what is timed.
        clear: drops the gradients of all models.
        optimizer: the step whose optimizer is timed once, for all.
    """

    variants: list[Variant]
    clear: Callable[[], None]
    optimizer: TrainerStep


def plan(workload: Workload, folder: Path) -> Plan:
    """Return what is measured on this workload; trainers keep their files in `folder`."""
    model, other = workload.packed_model(), workload.model()
    models: list[PreTrainedModel] = [model, other]
    variants = [*_ours(workload, model, folder), *_plain(workload, other, folder)]
    if has_trl():
        patched = [workload.model(), workload.model()]
        models += patched
        variants += _trl(workload, patched, folder)
    variants += _official(workload, other)
    step = variants[0].run
    assert isinstance(step, TrainerStep)

    def clear() -> None:
        for item in models:
            item.zero_grad(set_to_none=True)

    return Plan(variants=variants, clear=clear, optimizer=step)


def check_losses(results: Sequence[Result]) -> None:
    """Check that what should be the same is the same.

    Raises:
        ValueError: two variants that should compute the same loss do not.
    """
    losses = {result.name: result.loss for result in results}
    for names in SAME_LOSS:
        known = [name for name in names if name in losses]
        for name in known[1:]:
            if abs(losses[name] - losses[known[0]]) > TOLERANCE * abs(losses[known[0]]):
                raise ValueError(f"{name} has the loss {losses[name]}, but {known[0]} has {losses[known[0]]}")


def with_dropout(results: Sequence[Result]) -> list[Result]:
    """Return the results with the two rates of loss dropout in the place of the dropped step."""
    full = next(result for result in results if result.name == SHARED)
    mixed: list[Result] = []
    for result in results:
        if result.name == DROPPED:
            mixed += [full.mixed(result, rate, name=name) for rate, name in ((0.75, DROPOUT_75), (0.5, DROPOUT_50))]
        else:
            mixed.append(result)
    return mixed


def _ours(workload: Workload, model: PreTrainedModel, folder: Path) -> list[Variant]:
    samples = workload.batch(workload.size.batch)
    costs = CostModel.of(model)

    def make(objective: JEPA, layout: Layout, per_row: int | None = None) -> TrainerStep:
        return ours(
            model=model,
            workload=workload,
            folder=folder,
            samples=samples,
            objective=objective,
            layout=layout,
            per_row=per_row,
        )

    def variant(name: str, step: TrainerStep, run: Callable[[], Tensor], *, rare: bool = False) -> Variant:
        cost = packed_cost(costs, packed_tensors(step), len(samples))
        return Variant(name=name, run=run, cost=cost, prepare=step.prepare, rare=rare)

    none, trained, dropout = JEPA(weight=0.0), JEPA(weight=1.0), JEPA(weight=1.0, dropout=0.75)
    ntp, logged, shared = (make(objective, Layout(k=1)) for objective in (none, none, trained))
    logged.trainer.state.logging_steps = 1
    dropped = dropped_only(make(dropout, Layout(k=1)), dropout)
    one, rows = (make(trained, Layout(k=1), per_row=count) for count in (1, 4))
    four = make(trained, Layout(k=SLOTS))
    framed = make(trained, Layout(k=1, shared=False, framed=True))
    bare = make(trained, Layout(k=1, shared=False))
    return [
        variant(NTP, ntp, ntp),
        variant(NTP_RAW, ntp, raw_ours(ntp)),
        variant(NTP_LOGGED, ntp, logged, rare=True),
        variant(SHARED, shared, shared),
        variant(SHARED_RAW, shared, raw_ours(shared)),
        replace(variant(NTP, ntp, dropped), name=DROPPED, prepare=dropped.prepare),
        variant(SHARED_ONE, one, one),
        variant(SHARED_ROWS, rows, rows),
        variant(SHARED_4, four, four, rare=True),
        variant(BARE, bare, bare, rare=True),
        variant(FRAMED, framed, framed, rare=True),
    ]


def _plain(workload: Workload, model: PreTrainedModel, folder: Path) -> list[Variant]:
    samples = workload.batch(workload.size.batch)
    step = plain(model=model, workload=workload, folder=folder, samples=samples)
    cost = padded_cost(CostModel.of(model), step.collated(), len(samples), everywhere=True)
    return [
        Variant(name=TRAINER, run=step, cost=cost),
        Variant(name=TRAINER_RAW, run=raw_plain(step), cost=cost),
    ]


def _trl(workload: Workload, models: Sequence[PreTrainedModel], folder: Path) -> list[Variant]:
    samples = workload.batch(workload.size.batch)
    variants: list[Variant] = []
    for name, model, packing in ((TRL, models[0], False), (TRL_PACKED, models[1], True)):
        step = trl(model=model, workload=workload, folder=folder, samples=samples, packing=packing)
        batch: Any = step.collated()
        cost = padded_cost(CostModel.of(model), batch, len(samples), everywhere=False)
        variants.append(Variant(name=name, run=step, cost=cost))
    return variants


def _official(workload: Workload, model: PreTrainedModel) -> list[Variant]:
    """Return the rewrites; 512-token rows cost the same for every sample, so one of middle length is measured."""
    middle = workload.batch(1)[0]
    three, three_cost = official.three_rows(model, middle, pad=workload.pad)
    two, two_cost = official.two_rows(model, middle, pad=workload.pad)
    forwards, cost = official.three_forwards(model, workload.batch(workload.size.batch), pad=workload.pad)
    return [
        Variant(name=FORWARDS, run=forwards, cost=cost, rare=True),
        Variant(name=THREE, run=three, cost=three_cost, rare=True),
        Variant(name=ADDITIVE, run=two, cost=two_cost, rare=True),
    ]
