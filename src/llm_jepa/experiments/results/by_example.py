"""Two trained models on the same examples: who is right where, seed by seed.

Tests over seeds ask whether a way of training is better; these ask whether two models are, on these examples. Right is what
the task's own measure says, from `verdicts.jsonl`. Without that file it is literal equality with the expected text, and only
where that gives the very accuracy of `results.json`; else nothing is compared.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from llm_jepa.evaluation.evaluate import PREDICTIONS, read_predictions
from llm_jepa.experiments.results.collected import RunSummary, of_arm
from llm_jepa.experiments.results.measures import counted, points
from llm_jepa.experiments.results.significance import p_told
from llm_jepa.experiments.results.statistics import Comparison, holm, mcnemar, paired_bootstrap_interval
from llm_jepa.experiments.verdict_file import read_verdicts

_ROUNDED = 1e-4
"""Results that were written with four digits still count as the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Duel:
    """One seed's pair of models.

    Attributes:
        seed: the seed.
        examples: number of examples that both answered and that count.
        only_treatment: on how many of them the treatment alone is right.
        only_control: on how many the control alone is right.
        interval: paired bootstrap interval of the gain, 95 %, fractions.
        p: two-sided p of McNemar's exact test, after Holm over the seeds; None where the two never differ.
        tests: number of p-values corrected together.
    """

    seed: int
    examples: int
    only_treatment: int
    only_control: int
    interval: tuple[float, float]
    p: float | None
    tests: int = 1

    @property
    def cells(self) -> tuple[str, ...]:
        """The row of the table: seed, examples, right alone, gain with its interval in points, p."""
        gain = (self.only_treatment - self.only_control) / self.examples
        low, high = (points(bound) for bound in self.interval)
        told = "no example differs"
        if self.p is not None:
            told = p_told(self.p, counted(self.examples, "example"), self.tests)
        alone = (f"{self.only_treatment:,}", f"{self.only_control:,}")
        return str(self.seed), f"{self.examples:,}", *alone, f"{points(gain)} [{low}, {high}]", told


def duels(runs: Sequence[RunSummary], comparison: Comparison) -> tuple[Duel, ...]:
    """Compare the two arms of a comparison on every seed they share and for which both have usable predictions.

    Raises:
        UserError: a file of predictions or verdicts is corrupted.
    """
    sides = {arm: {run.seed: run for run in of_arm(runs, arm)} for arm in (comparison.treatment, comparison.control)}
    found: list[Duel] = []
    for seed in comparison.seeds:
        ours, theirs = (_right(sides[arm][seed]) for arm in (comparison.treatment, comparison.control))
        shared = [name for name in ours if name in theirs]
        if len(shared) > 1:
            found.append(_duel(seed, [ours[name] for name in shared], [theirs[name] for name in shared]))
    known = [each.p for each in found if each.p is not None]
    adjusted = iter(holm(known))
    return tuple(each if each.p is None else replace(each, p=next(adjusted), tests=len(known)) for each in found)


def _duel(seed: int, ours: Sequence[bool], theirs: Sequence[bool]) -> Duel:
    return Duel(
        seed=seed,
        examples=len(ours),
        only_treatment=sum(a and not b for a, b in zip(ours, theirs, strict=True)),
        only_control=sum(b and not a for a, b in zip(ours, theirs, strict=True)),
        interval=paired_bootstrap_interval(ours, theirs, seed=0),
        p=mcnemar(ours, theirs),
    )


def _right(run: RunSummary) -> Mapping[str, bool]:
    """Return by name whether each answer is right; empty where that cannot be told, or a measure has values between."""
    values = read_verdicts(run.folder, run.results.measure_name)
    if values is not None:
        known = {name: value for name, value in values.items() if value is not None}
        return {name: value == 1 for name, value in known.items()} if set(known.values()) <= {0, 1} else {}
    if not (run.folder / PREDICTIONS).exists():
        return {}
    right = {
        each.name: each.generated.strip() == each.expected.strip() for each in read_predictions(run.folder / PREDICTIONS)
    }
    share = sum(right.values()) / max(1, len(right))
    return right if math.isclose(share, run.results.accuracy, abs_tol=_ROUNDED) else {}
