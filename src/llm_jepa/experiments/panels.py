"""Runs -> the panels of the report: which measure is drawn how, and what its caption says."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from llm_jepa.analysis.figures import Curve, cosine_curves, seed_dots, training_curves
from llm_jepa.experiments.results import RunSummary, arms, of_arm


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One drawn figure.

    Attributes:
        name: file name without its ending.
        title: what it shows; also its alternative text.
        svg: the drawing.
        caption: how to read it; empty where the panel before says it.
    """

    name: str
    title: str
    svg: str
    caption: str


def panels(runs: Sequence[RunSummary]) -> tuple[Panel, ...]:
    """Every panel for which the runs have numbers."""
    band = "Lines are means over seeds, bands reach from the lowest to the highest seed."
    drawn = [
        _dots(
            runs,
            "accuracy",
            "Exact match on the test rows",
            "exact match (%)",
            lambda run: 100 * run.results.exact,
            "A dot a seed, a bar the mean; a thin line joins the runs of one seed, which the tests pair.",
        ),
        _curves(runs, "eval_exact", "Exact match during training", "exact match (%)", band, scale=100),
        _curves(runs, "next_token", "Next-token loss", "nats per label token (log)", band, log=True),
        _curves(
            runs,
            "jepa",
            "JEPA term",
            "mean distance of a pair",
            f"{band} Where the weight is 0, the term is only monitored. A low value alone is no success: it is lowest when "
            "all embeddings are the same.",
        ),
        *_cosines(runs),
        _dots(
            runs,
            "retrieval",
            "Retrieval at 1",
            "own view is the nearest (%)",
            lambda run: None if run.results.retrieval_at_1 is None else 100 * run.results.retrieval_at_1,
            "Whether the predicted embedding finds its own example among all candidates.",
            chance=_chance(runs),
        ),
        _dots(
            runs,
            "rank",
            "Effective rank of the embeddings",
            "directions",
            lambda run: run.results.effective_rank,
            "How many directions the embeddings spread over; 1 is a single one.",
        ),
    ]
    return tuple(panel for panel in drawn if panel is not None)


def _dots(
    runs: Sequence[RunSummary],
    name: str,
    title: str,
    x_label: str,
    value: Callable[[RunSummary], float | None],
    caption: str,
    *,
    chance: float | None = None,
) -> Panel | None:
    values = {arm: {run.seed: found for run in of_arm(runs, arm) if (found := value(run)) is not None} for arm in arms(runs)}
    if not any(values.values()):
        return None
    svg = seed_dots(values, arms(runs), title=title, x_label=x_label, chance=chance)
    return Panel(name=name, title=title, svg=svg, caption=caption)


def _curves(
    runs: Sequence[RunSummary], key: str, title: str, y_label: str, caption: str, *, scale: float = 1, log: bool = False
) -> Panel | None:
    x = _clock(runs)
    curves = {arm: _logged(of_arm(runs, arm), x, key, scale) for arm in arms(runs)}
    if not any(curves.values()):
        return None
    svg = training_curves(curves, arms(runs), title=title, x_label=_CLOCKS[x], y_label=y_label, log=log)
    return Panel(name=key.replace("_", "-"), title=title, svg=svg, caption=caption)


def _cosines(runs: Sequence[RunSummary]) -> list[Panel]:
    """One panel an arm, so that two lines and their gap are all that is to be seen."""
    x, names = _clock(runs), arms(runs)
    found = []
    for i, arm in enumerate(names):
        matched = _logged(of_arm(runs, arm), x, "cosine_matched")
        shuffled = _logged(of_arm(runs, arm), x, "cosine_shuffled")
        if matched or shuffled:
            svg = cosine_curves(matched, shuffled, arm=arm, arms=names, x_label=_CLOCKS[x])
            caption = "" if found else "The distance between the lines is the gap: how far a pair is told from a random one."
            found.append(Panel(name=f"cosine-{i + 1}", title=f"Cosine of pairs: {arm}", svg=svg, caption=caption))
    return found


_CLOCKS = {"epoch": "epoch", "step": "optimizer step"}


def _clock(runs: Sequence[RunSummary]) -> str:
    """The horizontal axis of training: epochs, unless a run logged none."""
    return "epoch" if all("epoch" in line for run in runs for line in run.metrics) else "step"


def _logged(runs: Sequence[RunSummary], x: str, key: str, scale: float = 1) -> list[Curve]:
    curves = [[(line[x], scale * line[key]) for line in run.metrics if x in line and key in line] for run in runs]
    return [sorted(curve) for curve in curves if curve]


def _chance(runs: Sequence[RunSummary]) -> float | None:
    sizes = {run.results.retrieval_candidates for run in runs if run.results.retrieval_candidates}
    return 100 / sizes.pop() if len(sizes) == 1 else None
