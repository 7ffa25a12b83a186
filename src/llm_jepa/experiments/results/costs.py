"""Accuracy against compute: what an arm scored after how many floating-point operations (the paper's Figure 5, Table 6)."""

from collections.abc import Sequence
from dataclasses import dataclass

from llm_jepa.experiments.results.collected import RunSummary, arms, of_arm
from llm_jepa.experiments.results.measures import ABSENT
from llm_jepa.experiments.results.run_records import BY_EPOCH
from llm_jepa.experiments.results.statistics import describe

PETA = 1e15
_FLOPS = "flops"
_MOST_LEVELS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """What one arm scored along its training.

    Attributes:
        arm: its name.
        curves: for each seed the points (PFLOPs, accuracy in percent), in order; one point where only the end is known.
    """

    arm: str
    curves: tuple[tuple[tuple[float, float], ...], ...]


def spendings(runs: Sequence[RunSummary]) -> tuple[Spending, ...]:
    """Return every arm's points; arms without a count of operations are left out.

    A score during training counts with the operations logged on its line, or last before it; where no run has one, the
    final scores are taken. Seeds differ a little in their operations, so the n-th score of each arm stands at the mean of
    its seeds.
    """
    read = _curve if any(_curve(run) for run in runs) else _end
    found: list[Spending] = []
    for arm in arms(runs):
        curves = [curve for run in of_arm(runs, arm) if (curve := read(run))]
        if curves:
            longest = max(map(len, curves))
            x = [describe([curve[i][0] for curve in curves if i < len(curve)]).mean for i in range(longest)]
            placed = tuple(tuple((x[i], y) for i, (_, y) in enumerate(curve)) for curve in curves)
            found.append(Spending(arm=arm, curves=placed))
    return tuple(found)


def at_equal_compute(found: Sequence[Spending]) -> list[tuple[float, list[str]]]:
    """Return rows of a table: compute in PFLOPs, and every arm's mean and deviation of its last score within it.

    The levels are multiples of the cheapest arm's first score, at most eight, up to the dearest arm's last. An arm that has
    ended before the level is not carried on: its cell is empty. No rows where no arm has two scores.
    """
    if not any(len(curve) > 1 for each in found for curve in each.curves):
        return []
    first = min(curve[0][0] for each in found for curve in each.curves)
    last = max(curve[-1][0] for each in found for curve in each.curves)
    count = max(1, round(last / first)) if first > 0 else 1
    step = last / min(count, _MOST_LEVELS)
    levels = [step * (i + 1) for i in range(min(count, _MOST_LEVELS))]
    rows = [(level, [_at(each, level, step) for each in found]) for level in levels]
    return [(level, cells) for level, cells in rows if set(cells) != {ABSENT}]


def _curve(run: RunSummary) -> list[tuple[float, float]]:
    points: list[tuple[float, float]] = []
    flops: float | None = None
    for line in run.metrics:
        flops = line.get(_FLOPS, flops)
        if BY_EPOCH in line and flops is not None:
            points.append((flops / PETA, 100 * line[BY_EPOCH]))
    return points


def _end(run: RunSummary) -> list[tuple[float, float]]:
    return [(run.results.flops / PETA, 100 * run.results.accuracy)] if run.results.flops else []


def _at(spending: Spending, level: float, step: float) -> str:
    """Return the last score within a level; empty when the level before had the same one and training was over."""
    slack = 1e-9 * level
    scores: list[float] = []
    for curve in spending.curves:
        within = [(x, y) for x, y in curve if x <= level + slack]
        if within and not (len(within) == len(curve) and within[-1][0] <= level - step + slack):
            scores.append(within[-1][1])
    return _told(scores)


def _told(scores: Sequence[float]) -> str:
    if not scores:
        return ABSENT
    found = describe(scores)
    return f"{found.mean:.1f}" + ("" if found.deviation is None else f" ± {found.deviation:.1f}")
