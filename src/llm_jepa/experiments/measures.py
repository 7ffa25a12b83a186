"""The measures of a run: what each is called, how it is written, and how it is read. Tables are made of these."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from llm_jepa.experiments.results import RunSummary, arms, of_arm
from llm_jepa.experiments.statistics import POWER, Comparison, describe

ABSENT = "–"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One row of the table of results.

    Attributes:
        label: its name, with the unit.
        group: heading under which it stands.
        value: reads it from a run; None when the run does not have it.
        decimals: digits after the point; None: as many as give the mean three digits.
        reading: one neutral line on what it is and how to read it.
        setting: whether it was chosen rather than measured; then distinct values are listed instead of averaged.
    """

    label: str
    group: str
    value: Callable[[RunSummary], float | None]
    reading: str
    decimals: int | None = None
    setting: bool = False


def percent(share: float) -> str:
    """A share as percent: 0.531 -> "53.1 %"."""
    return f"{100 * share:.1f} %"


def points(difference: float) -> str:
    """A difference of shares in percentage points with its sign: 0.013 -> "+1.3"."""
    return f"{100 * difference:+z.1f}".replace("-", "−")


def p_value(p: float) -> str:
    """A p-value to two digits, never rounded to 0 or 1: "p = 0.037", "p < 0.001", "p > 0.999"."""
    if p < 0.001:
        return "p < 0.001"
    if p > 0.999:
        return "p = 1" if p == 1 else "p > 0.999"
    return f"p = {p:.3f}" if p > 0.99 else f"p = {p:.2g}"


def counted(n: int, noun: str) -> str:
    """A number with its noun: "1 seed", "2,000 seeds"."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def cell(measure: Measure, runs: Sequence[RunSummary]) -> str:
    """One arm's value of a measure: mean and, over several seeds, sample standard deviation ("54.4 ± 1.0").

    When only some seeds have the value, the cell says how many.
    """
    values = [value for run in runs if (value := measure.value(run)) is not None]
    if not values:
        return ABSENT
    if measure.setting:
        return ", ".join(f"{value:,.6g}" for value in sorted(set(values)))
    described = describe(values)
    decimals = _decimals(described.mean) if measure.decimals is None else measure.decimals
    spread = "" if described.deviation is None else f" ± {described.deviation:z,.{decimals}f}"
    partial = "" if len(values) == len(runs) else f" ({len(values)} of {len(runs)} seeds)"
    return f"{described.mean:z,.{decimals}f}{spread}{partial}".replace("-", "−")


def p_cell(comparison: Comparison) -> str:
    """The p of one comparison with all that belongs to it: seeds and correction; or why there is none."""
    if comparison.p_t_holm is None:
        return comparison.reason
    correction = f"Holm over {comparison.tests}" if comparison.tests > 1 else "one comparison"
    return f"{p_value(comparison.p_t_holm)} ({counted(comparison.n, 'seed')}, {correction})"


def rows(runs: Sequence[RunSummary]) -> list[tuple[str, list[tuple[Measure, list[str]]]]]:
    """The table of results: for each group its measures with one cell an arm; measures that no run has are left out."""
    by_group: dict[str, list[tuple[Measure, list[str]]]] = {}
    for measure in MEASURES:
        cells = [cell(measure, of_arm(runs, arm)) for arm in arms(runs)]
        if set(cells) != {ABSENT}:
            by_group.setdefault(measure.group, []).append((measure, cells))
    return list(by_group.items())


def _decimals(mean: float) -> int:
    """Digits after the point with which a number has three digits in all; at most nine."""
    return 0 if mean == 0 else min(9, max(0, 2 - math.floor(math.log10(abs(mean)))))


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def _scaled(amount: float | None, unit: float) -> float | None:
    return None if amount is None else amount / unit


MEASURES = (
    Measure(
        label="Exact match (%)",
        group="Task",
        value=lambda run: _percent(run.results.exact),
        decimals=1,
        reading="Share of the test examples that the task's scorer calls right. Higher is better.",
    ),
    Measure(
        label="Prefix match (%)",
        group="Task",
        value=lambda run: _percent(run.results.prefix),
        decimals=1,
        reading="Share of outputs that begin with the expected answer. What it has above exact match are answers that "
        "were right until the model went on.",
    ),
    Measure(
        label="Stop rate (%)",
        group="Task",
        value=lambda run: _percent(run.results.stop_rate),
        decimals=1,
        reading="Share of outputs that a stop token ended; the token limit ended the others.",
    ),
    Measure(
        label="Cosine, matched",
        group="Embeddings",
        value=lambda run: run.results.cosine_matched,
        decimals=3,
        reading="Mean cosine between the predicted and the actual embedding of the same example's other view. Alone it "
        "says little: it is 1 when all embeddings are the same.",
    ),
    Measure(
        label="Cosine, shuffled",
        group="Embeddings",
        value=lambda run: run.results.cosine_shuffled,
        decimals=3,
        reading="The same between different examples: how alike any two embeddings are.",
    ),
    Measure(
        label="Gap",
        group="Embeddings",
        value=lambda run: run.results.cosine_gap,
        decimals=3,
        reading="Matched minus shuffled. Near 0, the embeddings do not tell which views belong together.",
    ),
    Measure(
        label="Retrieval at 1 (%)",
        group="Embeddings",
        value=lambda run: _percent(run.results.retrieval_at_1),
        decimals=1,
        reading="Share of examples whose own other view is the nearest of all candidates. Chance is 1 / candidates.",
    ),
    Measure(
        label="Retrieval candidates",
        group="Embeddings",
        value=lambda run: run.results.retrieval_candidates,
        reading="Number of views to choose from. Retrieval over different numbers cannot be compared.",
        setting=True,
    ),
    Measure(
        label="Effective rank",
        group="Embeddings",
        value=lambda run: run.results.effective_rank,
        reading="Number of directions that the embeddings spread over. 1 is a single direction.",
    ),
    Measure(
        label="JEPA weight",
        group="Settings and cost",
        value=lambda run: run.results.weight,
        reading="Factor of the JEPA term beside next-token prediction. 0: the term is only monitored.",
        setting=True,
    ),
    Measure(
        label="[PRED] slots, k",
        group="Settings and cost",
        value=lambda run: run.results.k,
        reading="Learned slots after the first view that form the prediction. 0: the view's last token forms it.",
        setting=True,
    ),
    Measure(
        label="Tokens (millions)",
        group="Settings and cost",
        value=lambda run: _scaled(run.results.tokens, 1e6),
        reading="Tokens processed in training, views included.",
    ),
    Measure(
        label="Compute (TFLOPs)",
        group="Settings and cost",
        value=lambda run: _scaled(run.results.flops, 1e12),
        reading="Floating-point operations of training, in units of 10^12.",
    ),
    Measure(
        label="Time (s)",
        group="Settings and cost",
        value=lambda run: run.results.seconds,
        reading="Duration of training. It depends on the machine and on what else ran there.",
    ),
)
"""The rows of the table of results, in order."""

TEST_READINGS = (
    (
        "Paired t-test",
        "Probability of at least the observed gain if both arms were equally good, from the differences of runs with the "
        "same seed. Near 1 speaks for the second arm.",
    ),
    (
        "Corrected",
        "Holm's correction: with several comparisons one small p is to be expected, so each is raised to what the whole "
        "table allows.",
    ),
    (
        "Sign flips",
        "The same question without assuming a normal distribution. With n seeds it cannot fall below 1 / 2^n.",
    ),
    (
        "Detectable",
        "Smallest true gain that this number of seeds with this spread would have shown with a probability of "
        f"{100 * POWER:.0f} %. A smaller gain would often go unseen.",
    ),
)
"""How to read the columns of the table of tests."""
