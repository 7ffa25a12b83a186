"""Readings of a run beyond its accuracy: within so much compute, and on its embeddings."""

from collections.abc import Sequence

from llm_jepa.experiments.results.collected import PLAIN
from llm_jepa.experiments.results.costs import spendings
from llm_jepa.experiments.results.run_analysis import Analysis
from llm_jepa.experiments.results.run_records import RunSummary
from llm_jepa.recipes.recipe import ACCURACY, Reading

_SLACK = 1 + 1e-6


def within(portions: int) -> Reading:
    """Return the last accuracy that a run had reached with so many times the compute of one epoch of plain training."""

    def value(run: RunSummary, others: Sequence[RunSummary]) -> float | None:
        plain = next((other for other in others if other.kind == PLAIN and other.seed == run.seed), None)
        if plain is None:
            return None
        limit = portions * _curve(plain)[0][0] * _SLACK
        return next((accuracy for flops, accuracy in reversed(_curve(run)) if flops <= limit), None)

    return Reading(title=ACCURACY.title, value=value)


def _curve(run: RunSummary) -> Sequence[tuple[float, float]]:
    return spendings((run,))[0].curves[0]


def _analysed(name: str, title: str) -> Reading:
    def value(run: RunSummary, others: Sequence[RunSummary]) -> float | None:
        del others
        return None if run.analysis is None else getattr(run.analysis, name)

    assert name in Analysis.__dataclass_fields__
    return Reading(title=title, value=value)


LINEAR_ERROR = _analysed("linear_map_error", "least-squares error")
TOP_SINGULAR = _analysed("mean_top_100", "mean of the top 100 singular values")
