"""Runs -> the panels of the report: which measure is drawn how, and what its caption says."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from llm_jepa.analysis.curves import compute_lines
from llm_jepa.analysis.figures import Curve, cosine_curves, seed_dots, training_curves
from llm_jepa.experiments.report.panel import Panel
from llm_jepa.experiments.report.structure_panels import structure_panels
from llm_jepa.experiments.report.sweep_panels import heat_maps
from llm_jepa.experiments.results.collected import RunSummary, of_arm
from llm_jepa.experiments.results.costs import spendings

_BAND = "Lines are means over seeds, bands reach from the lowest to the highest seed."


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scene:
    """What is drawn.

    Attributes:
        runs: all runs.
        few: those of the arms whose training is drawn.
        order: all arms, those first, so that no two of them look alike.
        part: a sentence on what is left out; empty when nothing is.
    """

    runs: tuple[RunSummary, ...]
    few: tuple[RunSummary, ...]
    order: tuple[str, ...]
    part: str

    @property
    def clock(self) -> str:
        """The horizontal axis of training: epochs, unless a run logged none."""
        return "epoch" if all("epoch" in line for run in self.few for line in run.metrics) else "step"


def panels(runs: Sequence[RunSummary], order: Sequence[str], chief: Sequence[str]) -> tuple[Panel, ...]:
    """Every panel for which the runs have numbers.

    Args:
        runs: all runs.
        order: all arms, in the order that their colours go by.
        chief: the arms whose training is drawn; with many arms a few, as more lines than that cannot be told apart.
    """
    few = tuple(run for run in runs if run.arm in chief)
    part = "" if len(chief) == len(order) else f" Drawn are {len(chief)} of {len(order)} arms."
    scene = _Scene(runs=tuple(runs), few=few, order=tuple(order), part=part)
    measure = runs[0].results.measure
    drawn = [
        _dots(
            scene,
            "accuracy",
            f"{measure} on the {runs[0].results.split} rows",
            f"{measure.lower()} (%)",
            lambda run: 100 * run.results.accuracy,
            "A dot a seed, a bar the mean; a thin line joins the runs of one seed, which the tests pair.",
        ),
        *heat_maps(runs),
        _by_epoch(scene),
        *_compute(scene),
        _curves(scene, "next_token", "Next-token loss", "nats per label token (log)", _BAND, log=True),
        _curves(
            scene,
            "jepa",
            "JEPA term",
            "mean distance of a pair",
            f"{_BAND} Where the weight is 0, the term is only monitored. A low value alone is no success: it is lowest when "
            "all embeddings are the same.",
        ),
        *_cosines(scene),
        *_embeddings(scene),
        *structure_panels(few, order),
    ]
    return tuple(panel for panel in drawn if panel is not None)


def _embeddings(scene: _Scene) -> list[Panel | None]:
    return [
        _dots(
            scene,
            "retrieval",
            "Retrieval at 1",
            "own view is the nearest (%)",
            lambda run: None if run.results.retrieval_at_1 is None else 100 * run.results.retrieval_at_1,
            "Whether the predicted embedding finds its own example among all candidates.",
            chance=_chance(scene.runs),
        ),
        _dots(
            scene,
            "rank",
            "Effective rank of the embeddings",
            "directions",
            lambda run: run.results.effective_rank,
            "How many directions the embeddings spread over; 1 is a single one.",
        ),
    ]


def _by_epoch(scene: _Scene) -> Panel | None:
    """The accuracy that was measured during training, on the rows that `results.json` names."""
    measure = scene.runs[0].results.measure
    rows = {run.results.epoch_split for run in scene.few} - {""}
    on = f" Scored on the {rows.pop()} rows." if len(rows) == 1 else ""
    title = f"{measure} by {_CLOCKS[scene.clock]}"
    return _curves(scene, "eval_accuracy", title, f"{measure.lower()} (%)", f"{_BAND}{on}", scale=100)


def _compute(scene: _Scene) -> list[Panel]:
    found = spendings(scene.few)
    if not found:
        return []
    measure = scene.runs[0].results.measure
    title = f"{measure} against compute"
    curves = {each.arm: each.curves for each in found}
    svg = compute_lines(curves, scene.order, title=title, x_label="training, PFLOPs", y_label=f"{measure.lower()} (%)")
    caption = f"A marker a score, higher and further left is better; bars and bands reach over the seeds.{scene.part}"
    return [Panel(name="compute", title=title, svg=svg, caption=caption)]


def _dots(
    scene: _Scene,
    name: str,
    title: str,
    x_label: str,
    value: Callable[[RunSummary], float | None],
    caption: str,
    *,
    chance: float | None = None,
) -> Panel | None:
    values = {
        arm: {run.seed: found for run in of_arm(scene.few, arm) if (found := value(run)) is not None} for arm in scene.order
    }
    if not any(values.values()):
        return None
    names = tuple(arm for arm in scene.order if arm in {run.arm for run in scene.few})
    svg = seed_dots(values, names, title=title, x_label=x_label, chance=chance)
    return Panel(name=name, title=title, svg=svg, caption=caption + scene.part)


def _curves(
    scene: _Scene, key: str, title: str, y_label: str, caption: str, *, scale: float = 1, log: bool = False
) -> Panel | None:
    x = scene.clock
    curves = {arm: _logged(of_arm(scene.few, arm), x, key, scale) for arm in scene.order}
    if not any(curves.values()):
        return None
    svg = training_curves(curves, scene.order, title=title, x_label=_CLOCKS[x], y_label=y_label, log=log)
    return Panel(name=key.replace("_", "-"), title=title, svg=svg, caption=caption + scene.part)


def _cosines(scene: _Scene) -> list[Panel]:
    """One panel an arm, so that two lines and their gap are all that is to be seen."""
    found: list[Panel] = []
    for i, arm in enumerate(scene.order):
        own = of_arm(scene.few, arm)
        matched = _logged(own, scene.clock, "cosine_matched")
        shuffled = _logged(own, scene.clock, "cosine_shuffled")
        if matched or shuffled:
            svg = cosine_curves(matched, shuffled, arm=arm, arms=scene.order, x_label=_CLOCKS[scene.clock])
            caption = "" if found else "The distance between the lines is the gap: how far a pair is told from a random one."
            found.append(Panel(name=f"cosine-{i + 1}", title=f"Cosine of pairs: {arm}", svg=svg, caption=caption))
    return found


_CLOCKS = {"epoch": "epoch", "step": "optimizer step"}


def _logged(runs: Sequence[RunSummary], x: str, key: str, scale: float = 1) -> list[Curve]:
    curves = [[(line[x], scale * line[key]) for line in run.metrics if x in line and key in line] for run in runs]
    return [sorted(curve) for curve in curves if curve]


def _chance(runs: Sequence[RunSummary]) -> float | None:
    sizes = {run.results.retrieval_candidates for run in runs if run.results.retrieval_candidates}
    return 100 / sizes.pop() if len(sizes) == 1 else None
