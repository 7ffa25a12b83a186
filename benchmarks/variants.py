"""The variants that are timed, all built on the same batch; all models with the same weights.

One model is ours (packed attention, predictor slots), one is left as transformers makes it, the others are TRL's, which
patches their forward. Loss dropout is not run with its coin: a step costs either what a full step costs or what a dropped
one costs, so both are measured and mixed with the exact rate; the coin's own luck in a few steps would only add noise.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
    trl,
)
from benchmarks.timing import Result, Variant
from benchmarks.workload import SLOTS, Workload
from llm_jepa.model.flops import CostModel
from llm_jepa.model.slots import NAME
from llm_jepa.objective.jepa import JEPA
from llm_jepa.packing.layout import Layout

NTP, NTP_LOGGED = "our NTP", "our NTP, logged (monitors)"
SHARED, SHARED_0, SHARED_4 = (f"LLM-JEPA shared, k = {k}" for k in (1, 0, 4))
SHARED_ONE, SHARED_ROWS = "LLM-JEPA shared, 1 a row", "LLM-JEPA shared, 4 a row"
FRAMED, BARE = "LLM-JEPA separate, framed", "LLM-JEPA separate, bare"
DROPPED = "LLM-JEPA shared, dropped step"
DROPOUT_75, DROPOUT_50 = "LLM-JEPA shared, dropout 0.75", "LLM-JEPA shared, dropout 0.5"
TRAINER = "plain Trainer"
TRL, TRL_PACKED, TRL_FREE = "TRL SFTTrainer", "TRL SFTTrainer, packing", "TRL SFTTrainer, padding-free"
THREE, ADDITIVE = "official, 3 x 512", "official, 2 x 512"
FORWARDS = "three forwards, dynamic padding"
SAME_LOSS = ((NTP, NTP_LOGGED, DROPPED, TRAINER, TRL, TRL_PACKED, TRL_FREE), (THREE, ADDITIVE))
"""Variants that compute the same loss; if they did not, their times could not be compared."""
TOLERANCE = 1e-4
"""Largest relative difference of two such losses, in float32."""
CORE = frozenset({NTP, SHARED, DROPPED, TRAINER, TRL, TRL_PACKED})
"""What every target on time needs; a run of it alone is short."""
OURS: Mapping[str, tuple[JEPA, Layout, int | None]] = {
    NTP_LOGGED: (JEPA(weight=0.0), Layout(k=1), None),
    SHARED: (JEPA(weight=1.0), Layout(k=1), None),
    DROPPED: (JEPA(weight=1.0, dropout=0.75), Layout(k=1), None),
    SHARED_0: (JEPA(weight=1.0), Layout(k=0), None),
    SHARED_4: (JEPA(weight=1.0), Layout(k=SLOTS), None),
    SHARED_ONE: (JEPA(weight=1.0), Layout(k=1), 1),
    SHARED_ROWS: (JEPA(weight=1.0), Layout(k=1), 4),
    BARE: (JEPA(weight=1.0), Layout(k=1, shared=False), None),
    FRAMED: (JEPA(weight=1.0), Layout(k=1, shared=False, framed=True), None),
}
"""Objective, layout and samples a row (None: as many as pay off) of our steps, the plain one excepted."""
MOST = CORE | {NTP_LOGGED, SHARED_0, SHARED_4, SHARED_ONE, FRAMED, FORWARDS, THREE, ADDITIVE}
"""The same with the side figures and the slow comparisons."""


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


def plan(workload: Workload, folder: Path, *, names: frozenset[str] | None = None) -> Plan:
    """Return what is measured on this workload.

    Args:
        workload: model, tokenizer and samples.
        folder: trainers keep their files there.
        names: the variants; None: all.
    """
    model = workload.packed_model()
    other = _sharing(workload.model(), model)
    models: list[PreTrainedModel] = [model, other]
    step, variants = _ours(workload, model, folder, names)
    variants += _plain(workload, other, folder)
    if has_trl():
        settings = {TRL: {}, TRL_PACKED: {"packing": True}, TRL_FREE: {"padding_free": True}}
        chosen = {name: options for name, options in settings.items() if names is None or name in names}
        patched = [_sharing(workload.model(), other) for _ in chosen]
        models += patched
        variants += _trl(workload, patched, folder, chosen)
    variants += _official(workload, other)

    def clear() -> None:
        for item in models:
            item.zero_grad(set_to_none=True)

    kept = [variant for variant in variants if names is None or variant.name in names]
    return Plan(variants=kept, clear=clear, optimizer=step)


def _sharing(model: PreTrainedModel, source: PreTrainedModel) -> PreTrainedModel:
    """Return the model with its weights, which are equal to those of `source`, in the same memory as those."""
    model.load_state_dict({name: value for name, value in source.state_dict().items() if NAME not in name}, assign=True)
    model.tie_weights()
    return model


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


def _ours(
    workload: Workload, model: PreTrainedModel, folder: Path, names: frozenset[str] | None
) -> tuple[TrainerStep, list[Variant]]:
    """Return the plain step, and those of our variants that are wanted."""
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

    plain_step = make(JEPA(weight=0.0), Layout(k=1))
    plain_cost = packed_cost(costs, packed_tensors(plain_step), len(samples))
    variants = [Variant(name=NTP, run=plain_step, cost=plain_cost, prepare=plain_step.prepare)]
    for name, (objective, layout, per_row) in OURS.items():
        if names is not None and name not in names:
            continue
        step = make(objective, layout, per_row)
        if name == NTP_LOGGED:
            step.trainer.state.logging_steps = 1
        if name == DROPPED:
            step = dropped_only(step, objective)
        plainly = name in (NTP_LOGGED, DROPPED)
        cost = plain_cost if plainly else packed_cost(costs, packed_tensors(step), len(samples))
        variants.append(Variant(name=name, run=step, cost=cost, prepare=step.prepare, rare=name not in CORE))
    return plain_step, variants


def _plain(workload: Workload, model: PreTrainedModel, folder: Path) -> list[Variant]:
    samples = workload.batch(workload.size.batch)
    step = plain(model=model, workload=workload, folder=folder, samples=samples)
    cost = padded_cost(CostModel.of(model), step.collated(), len(samples), everywhere=True)
    return [Variant(name=TRAINER, run=step, cost=cost)]


def _trl(
    workload: Workload, models: Sequence[PreTrainedModel], folder: Path, settings: Mapping[str, Mapping[str, bool]]
) -> list[Variant]:
    samples = workload.batch(workload.size.batch)
    variants: list[Variant] = []
    for model, (name, options) in zip(models, settings.items(), strict=True):
        step = trl(model=model, workload=workload, folder=folder, samples=samples, **options)
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
        Variant(name=THREE, run=three, cost=three_cost, once=True),
        Variant(name=ADDITIVE, run=two, cost=two_cost, once=True),
    ]
