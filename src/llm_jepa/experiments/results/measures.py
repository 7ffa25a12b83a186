"""The measures of a run: what each is called, how it is written, and how it is read. Tables are made of these."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from llm_jepa.experiments.results.collected import RunSummary, arms, of_arm
from llm_jepa.experiments.results.statistics import describe

ABSENT = "–"
TASK = "Task"
_OVERVIEW = frozenset({"Gap", "Retrieval at 1 (%)", "Effective rank", "Time (s)"})
_READINGS = {
    "prefix match": "Share of outputs that begin with the expected answer. What it has above exact match are answers that "
    "were right until the model went on.",
}


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


def rows(runs: Sequence[RunSummary]) -> list[tuple[str, list[tuple[Measure, list[str]]]]]:
    """The table of results: for each group its measures with one cell an arm; measures that no run has are left out."""
    by_group: dict[str, list[tuple[Measure, list[str]]]] = {}
    for measure in (*_task_measures(runs), *MEASURES):
        cells = [cell(measure, of_arm(runs, arm)) for arm in arms(runs)]
        if set(cells) != {ABSENT}:
            by_group.setdefault(measure.group, []).append((measure, cells))
    return list(by_group.items())


def overview(runs: Sequence[RunSummary]) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """A table with one arm a row, for many arms: the labels of its columns, then every arm with its cells."""
    validation = Measure(
        label="On validation rows (%)",
        group=TASK,
        value=lambda run: _percent(run.results.validation),
        reading="",
        decimals=1,
    )
    wanted = [measure for measure in MEASURES if measure.label in _OVERVIEW]
    columns = [_task_measures(runs)[0], validation, *wanted]
    table = [(arm, [cell(column, of_arm(runs, arm)) for column in columns]) for arm in arms(runs)]
    kept = [i for i in range(len(columns)) if any(cells[i] != ABSENT for _, cells in table)]
    seeds = {arm: str(len(of_arm(runs, arm))) for arm in arms(runs)}
    labels = ["Seeds", *(columns[i].label for i in kept)]
    return labels, [(arm, [seeds[arm], *(cells[i] for i in kept)]) for arm, cells in table]


def capital(title: str) -> str:
    """A title as the beginning of a line: "exact match" -> "Exact match"."""
    return title[:1].upper() + title[1:]


def _task_measures(runs: Sequence[RunSummary]) -> list[Measure]:
    """The task's own measure, then the others that its scorer reports."""
    first = runs[0].results
    own = Measure(
        label=f"{capital(first.measure)} (%)",
        group=TASK,
        value=lambda run: _percent(run.results.accuracy),
        decimals=1,
        reading="Share of the test examples that this measure, the task's own, calls right. Comparisons are made on it.",
    )
    others = {title: None for run in runs for title in run.results.scores}
    return [own, *(_score(title) for title in others)]


def _score(title: str) -> Measure:
    return Measure(
        label=f"{capital(title)} (%)",
        group=TASK,
        value=lambda run: _percent(run.results.scores.get(title)),
        decimals=1,
        reading=_READINGS.get(title, "Another measure of the same outputs, never in place of the first."),
    )


def _decimals(mean: float) -> int:
    """Digits after the point with which a number has three digits in all; at most nine."""
    return 0 if mean == 0 else min(9, max(0, 2 - math.floor(math.log10(abs(mean)))))


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def _scaled(amount: float | None, unit: float) -> float | None:
    return None if amount is None else amount / unit


MEASURES = (
    Measure(
        label="Stop rate (%)",
        group=TASK,
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
        label="Mean of the top 100 singular values",
        group="Embeddings",
        value=lambda run: None if run.analysis is None else run.analysis.mean_top_100,
        reading="Of the differences Enc(Text) − Enc(Code). It is small when views agree, and also when all embeddings are "
        "the same.",
    ),
    Measure(
        label="Linear map, error",
        group="Embeddings",
        value=lambda run: None if run.analysis is None else run.analysis.linear_map_error,
        reading="How far the best linear map from Text to Code embeddings misses (the paper's Table 14). It shrinks with "
        "the embeddings, so read it with the share below.",
    ),
    Measure(
        label="Linear map, unexplained (%)",
        group="Embeddings",
        value=lambda run: None if run.analysis is None else _percent(run.analysis.unexplained),
        decimals=1,
        reading="Share of the Code embeddings' variance that the map leaves, on the pairs it was fitted to.",
    ),
    Measure(
        label="Linear map, unexplained on other pairs (%)",
        group="Embeddings",
        value=lambda run: None if run.analysis is None else _percent(run.analysis.unexplained_held_out),
        decimals=1,
        reading="The same on pairs that the map was not fitted to. Above 100 it is worse than the mean embedding.",
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
