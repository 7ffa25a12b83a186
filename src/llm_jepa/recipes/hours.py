"""What a recipe will cost on the paper's models, from sizes alone: hours of one H200, memory, disk.

Training: 6 operations a parameter and token, at 40 % of the 990 TFLOP/s that an H200 can do in bf16 without
sparsity. Scoring: 32
answers at a time, 25 ms a token, every answer as long as the data set allows. Besides: 20 s a run, and its weights
read and
written once at 1 GB/s. The first is what well-packed training reaches; the others are guesses on the safe side.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from llm_jepa.experiments.presets import Preset
from llm_jepa.recipes.recipe import Recipe, Study, Variant, starts
from llm_jepa.recipes.studies import EPOCHS

PEAK, UTILISATION = 990e12, 0.4
"""Operations a second of an H200 in bf16, and the share of them that training is assumed to reach."""

AT_A_TIME, TOKEN_SECONDS, START_SECONDS, DISK_RATE = 32, 0.025, 20.0, 1e9
GPUS = 8
"""Of a larger machine, on which independent runs are shared out."""

STATES = {Preset.correct: 16, Preset.paper_code: 8}
"""Bytes a parameter for weights, gradients and AdamW's two states: in float32, and in bfloat16."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a recipe costs.

    Attributes:
        runs: number of runs.
        flops: of all trainings.
        hours: of one H200.
        memory: of the largest model's states in training, by preset, in GB.
        disk: of all trained models in float32, in GB.
    """

    runs: int
    flops: float
    hours: float
    memory: dict[Preset, float]
    disk: float


def recipe_cost(recipe: Recipe) -> Cost:
    """Return what all of a recipe costs, with both presets."""
    return cost(recipe.studies, lambda study: study.arms, presets=tuple(Preset), seeds=len(recipe.seeds))


def cost(
    studies: Sequence[Study], arms: Callable[[Study], Sequence[Variant]], *, presets: Sequence[Preset], seeds: int
) -> Cost:
    """Return what some studies cost.

    Args:
        studies: those that are wanted; what they start from is added.
        arms: those of a study that are wanted.
        presets: sets of options they are trained with.
        seeds: how many.
    """
    runs, flops, seconds, disk = 0, 0.0, 0.0, 0.0
    for study in (*starts(studies), *studies):
        times = len(presets) * (seeds if study.pretrained is None else seeds**2)
        for arm in arms(study):
            operations = training_flops(study, arm)
            runs, flops = runs + times, flops + times * operations
            seconds += times * (operations / (PEAK * UTILISATION) + _besides(study))
            disk += times * 4 * study.model.billions
    largest = max(study.model.billions for study in studies)
    memory = {preset: STATES[preset] * largest for preset in presets}
    return Cost(runs=runs, flops=flops, hours=seconds / 3600, memory=memory, disk=disk)


def training_flops(study: Study, arm: Variant) -> float:
    """Return the operations of one training: 6 a parameter and token, [PRED] and the second view's tokens included."""
    rows = study.rows
    extra = 0.0
    if arm.overrides.get("objective.weight"):
        kept = 1 - arm.overrides.get("objective.dropout", 0.0)
        extra = kept * (arm.overrides.get("layout.k", 0) + rows.code)
    tokens = rows.train * (rows.tokens + extra) * study.settings["training.num_train_epochs"]
    return 6e9 * study.model.billions * tokens


def _besides(study: Study) -> float:
    """Return the seconds of a run that are not training."""
    rows, epochs = study.rows, study.settings["training.num_train_epochs"]
    scorings = 0 if not study.scored else 1 + (epochs if epochs > EPOCHS else 0)
    batches = -(-rows.test // AT_A_TIME)
    scoring = scorings * batches * max(rows.answer, 1) * TOKEN_SECONDS
    return scoring + START_SECONDS + 8e9 * study.model.billions / DISK_RATE


def told(recipe: Recipe) -> tuple[str, ...]:
    """Return what docs/reproduce.md says of a recipe: runs, PFLOPs, hours of one and of eight H200, states, disk."""
    found = recipe_cost(recipe)
    return (
        f"{found.runs:,}",
        f"{found.flops / 1e15:,.0f}",
        _hours(found.hours),
        _hours(found.hours / GPUS),
        " / ".join(f"{size:,.0f}" for size in found.memory.values()),
        f"{found.disk:,.0f}",
    )


def _hours(hours: float) -> str:
    return f"{hours:,.1f}" if hours >= 1 else f"{hours:.2f}"
