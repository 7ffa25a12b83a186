"""The measures of a run: what each is called, how it is written, and how it is read. Tables are made of these."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from llm_jepa.experiments.results import RunSummary
from llm_jepa.experiments.statistics import Comparison, describe

ABSENT = "–"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One row of the table of results.

    Attributes:
        label: its name, with the unit.
        group: heading under which it stands.
        value: reads it from a run; None when the run does not have it.
        write: a number in the unit of the label -> text.
        reading: one neutral line on what it is and how to read it.
        setting: whether it was chosen rather than measured; then distinct values are listed instead of averaged.
    """

    label: str
    group: str
    value: Callable[[RunSummary], float | None]
    write: Callable[[float], str]
    reading: str
    setting: bool = False


def percent(share: float) -> str:
    """A share as percent: 0.531 -> "53.1 %"."""
    return f"{100 * share:.1f} %"


def points(difference: float) -> str:
    """A difference of shares in percentage points with its sign: 0.013 -> "+1.3"."""
    return f"{100 * difference:+.1f}".replace("-", "−")


def p_value(p: float) -> str:
    """A p-value to two digits, never rounded to 0 or 1: "p = 0.037", "p < 0.001", "p > 0.999"."""
    if p < 0.001:
        return "p < 0.001"
    if p > 0.999:
        return "p = 1" if p == 1 else "p > 0.999"
    return f"p = {p:.3f}" if p > 0.99 else f"p = {p:.2g}"


def seeds(n: int) -> str:
    """A number of seeds in words: "1 seed", "5 seeds"."""
    return "1 seed" if n == 1 else f"{n} seeds"


def cell(measure: Measure, runs: Sequence[RunSummary]) -> str:
    """One arm's value of a measure: mean and, over several seeds, sample standard deviation ("54.4 ± 1.0").

    When only some seeds have the value, the cell says how many.
    """
    values = [value for run in runs if (value := measure.value(run)) is not None]
    if not values:
        return ABSENT
    if measure.setting:
        return ", ".join(measure.write(value) for value in sorted(set(values)))
    described = describe(values)
    spread = "" if described.deviation is None else f" ± {measure.write(described.deviation)}"
    partial = "" if len(values) == len(runs) else f" ({len(values)} of {len(runs)} seeds)"
    return f"{measure.write(described.mean)}{spread}{partial}".replace("-", "−")


def p_cell(comparison: Comparison) -> str:
    """The p of one comparison with all that belongs to it: seeds and correction; or why there is none."""
    if comparison.p_t_holm is None:
        return comparison.reason
    many = f" over {comparison.tests} comparisons" if comparison.tests > 1 else " (one comparison)"
    return f"{p_value(comparison.p_t_holm)} ({seeds(comparison.n)}, Holm{many})"


def _share(share: float) -> str:
    return f"{100 * share:.1f}"


def _cosine(value: float) -> str:
    return f"{value:.3f}"


def _amount(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


MEASURES = (
    Measure(
        label="Exact match (%)",
        group="Task",
        value=lambda run: run.results.exact,
        write=_share,
        reading="Share of the test examples that the task's scorer calls right. Higher is better.",
    ),
    Measure(
        label="Prefix match (%)",
        group="Task",
        value=lambda run: run.results.prefix,
        write=_share,
        reading="Share of outputs that begin with the expected answer. What it has above exact match are answers that "
        "were right until the model went on.",
    ),
    Measure(
        label="Stop rate (%)",
        group="Task",
        value=lambda run: run.results.stop_rate,
        write=_share,
        reading="Share of outputs that a stop token ended; the token limit ended the others.",
    ),
    Measure(
        label="Cosine, matched",
        group="Embeddings",
        value=lambda run: run.results.cosine_matched,
        write=_cosine,
        reading="Mean cosine between the predicted and the actual embedding of the same example's other view. Alone it "
        "says little: it is 1 when all embeddings are the same.",
    ),
    Measure(
        label="Cosine, shuffled",
        group="Embeddings",
        value=lambda run: run.results.cosine_shuffled,
        write=_cosine,
        reading="The same between different examples: how alike any two embeddings are.",
    ),
    Measure(
        label="Gap",
        group="Embeddings",
        value=lambda run: run.results.cosine_gap,
        write=_cosine,
        reading="Matched minus shuffled. Near 0, the embeddings do not tell which views belong together.",
    ),
    Measure(
        label="Retrieval at 1 (%)",
        group="Embeddings",
        value=lambda run: run.results.retrieval_at_1,
        write=_share,
        reading="Share of examples whose own other view is the nearest of all candidates. Chance is 1 / candidates.",
    ),
    Measure(
        label="Retrieval candidates",
        group="Embeddings",
        value=lambda run: run.results.retrieval_candidates,
        write=_amount,
        reading="Number of views to choose from. Retrieval over different numbers cannot be compared.",
        setting=True,
    ),
    Measure(
        label="Effective rank",
        group="Embeddings",
        value=lambda run: run.results.effective_rank,
        write=_amount,
        reading="Number of directions that the embeddings spread over. 1 is a single direction.",
    ),
    Measure(
        label="JEPA weight",
        group="Settings and cost",
        value=lambda run: run.results.weight,
        write=lambda value: f"{value:g}",
        reading="Factor of the JEPA term beside next-token prediction. 0: the term is only monitored.",
        setting=True,
    ),
    Measure(
        label="[PRED] slots, k",
        group="Settings and cost",
        value=lambda run: run.results.k,
        write=lambda value: f"{value:g}",
        reading="Learned slots after the first view that form the prediction. 0: the view's last token forms it.",
        setting=True,
    ),
    Measure(
        label="Tokens (millions)",
        group="Settings and cost",
        value=lambda run: None if run.results.tokens is None else run.results.tokens / 1e6,
        write=_amount,
        reading="Tokens processed in training, views included.",
    ),
    Measure(
        label="Compute (PFLOPs)",
        group="Settings and cost",
        value=lambda run: None if run.results.flops is None else run.results.flops / 1e15,
        write=_amount,
        reading="Floating-point operations of training, in units of 10^15.",
    ),
    Measure(
        label="Time (s)",
        group="Settings and cost",
        value=lambda run: run.results.seconds,
        write=_amount,
        reading="Duration of training. It depends on the machine and on what else ran there.",
    ),
)
"""The rows of the table of results, in order."""
