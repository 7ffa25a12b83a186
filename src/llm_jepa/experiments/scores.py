"""Verdicts on predictions -> the figures of `results.json` and `evaluation.json`, and their table.

measure, accuracy   the name of the scorer's first measure, and its value
titles              the title of every measure by its name
<name>              the mean of every measure over the examples that it counts; null when there is none
excluded            by name how many examples a measure left out; absent when none was
unknown             by name why a value is null; absent when none is
examples            how many were answered
stop_rate           share ended by a stop token, and
mean_tokens         tokens an answer; both absent when answers were chosen and not generated
"""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np
from rich.table import Table
from rich.text import Text

from llm_jepa.experiments.results.measures import percent
from llm_jepa.experiments.results.statistics import bootstrap_interval
from llm_jepa.records import Example, Prediction
from llm_jepa.scoring.scorer import Measure, Scorer, Verdicts, average

_RESAMPLES = 10_000
_SHARE = "share"
"""How the unit of a measure begins that tables show in percent."""


def verdicts(scorer: Scorer, examples: Sequence[Example], predictions: Sequence[Prediction]) -> list[Verdicts]:
    """Return the scorer's verdict on every prediction.

    Args:
        scorer: the judge.
        examples: the examples that were answered.
        predictions: their answers, in the same order.
    """
    return [scorer(example, prediction) for example, prediction in zip(examples, predictions, strict=True)]


def scores(scorer: Scorer, found: Sequence[Verdicts], predictions: Sequence[Prediction]) -> dict[str, Any]:
    """Return the figures that the module describes.

    Args:
        scorer: the judge.
        found: its verdicts on the predictions.
        predictions: the answers, at least one.
    """
    averages = {measure.name: average(measure, found) for measure in scorer.measures}
    main = scorer.measures[0].name
    result: dict[str, Any] = {
        "examples": len(predictions),
        "measure": main,
        "accuracy": averages[main].value,
        "titles": {measure.name: measure.title for measure in scorer.measures},
        **{name: each.value for name, each in averages.items()},
    }
    if excluded := {name: each.excluded for name, each in averages.items() if each.excluded}:
        result["excluded"] = excluded
    unknown = {measure.name: _why(measure, found) for measure in scorer.measures if averages[measure.name].value is None}
    if unknown:
        result["unknown"] = unknown
    if not any(prediction.likelihoods for prediction in predictions):
        result["stop_rate"] = fmean(prediction.stopped for prediction in predictions)
        result["mean_tokens"] = fmean(prediction.tokens for prediction in predictions)
    return result


def intervals(scorer: Scorer, found: Sequence[Verdicts]) -> dict[str, tuple[float, float] | None]:
    """Return the 95 % bootstrap interval of the first measure, under its own name and as that of the accuracy.

    It says how far another set of as many examples could differ; None with fewer than two examples that count.
    """
    main = scorer.measures[0].name
    values = [value for verdict in found if (value := verdict[main]) is not None]
    interval = _interval(values) if len(values) > 1 else None
    return {f"{main}_interval": interval, "accuracy_interval": interval}


def table(scorer: Scorer, result: Mapping[str, Any]) -> Table:
    """Return every measure with its title, what it left out and the interval of the first."""
    shown = Table(show_header=False)
    shown.add_row("examples", str(result["examples"]))
    for measure in scorer.measures:
        notes: list[str] = []
        if interval := result.get(f"{measure.name}_interval"):
            low, high = (_shown(measure, bound) for bound in interval)
            notes += [f"95 % interval {low} to {high}"] if low != high else []
        if left_out := result.get("excluded", {}).get(measure.name):
            notes.append(f"{left_out} left out")
        told = _shown(measure, result[measure.name]) + (f"  ({'; '.join(notes)})" if notes else "")
        shown.add_row(Text(measure.title), Text(told))
    if "stop_rate" in result and "stopped" not in result:
        shown.add_row("stop rate", percent(result["stop_rate"]))
    if "mean_tokens" in result:
        shown.add_row("tokens an answer", f"{result['mean_tokens']:.1f}")
    return shown


def _why(measure: Measure, found: Sequence[Verdicts]) -> str:
    return f"none of {len(found)} examples counts for '{measure.title}': {measure.what}"


def _interval(values: Sequence[float]) -> tuple[float, float]:
    if set(values) <= {0.0, 1.0}:
        return bootstrap_interval([value == 1 for value in values], seed=0)
    weights = np.full(len(values), 1 / len(values))
    draws = np.random.default_rng(0).multinomial(len(values), weights, size=_RESAMPLES) @ np.asarray(values) / len(values)
    low, high = np.quantile(draws, [0.025, 0.975])
    return float(low), float(high)


def _shown(measure: Measure, value: float | None) -> str:
    if value is None:
        return "unknown"
    return percent(value) if measure.unit.startswith(_SHARE) else f"{value:.4g} {measure.unit}"
