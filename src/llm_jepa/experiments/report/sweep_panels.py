"""Runs -> heat maps of accuracy over the number of slots k and the weight (the paper's Figure 7)."""

from collections.abc import Sequence

from llm_jepa.analysis.heatmap import Cell, heat_map
from llm_jepa.experiments.report.panel import Panel
from llm_jepa.experiments.results.collected import PLAIN, SHUFFLED, RunSummary, arms, of_arm
from llm_jepa.experiments.results.naming import differing, setting_names, told
from llm_jepa.experiments.results.run_records import SLOTS, WEIGHT
from llm_jepa.experiments.results.statistics import describe


def heat_maps(runs: Sequence[RunSummary]) -> list[Panel]:
    """Return a map for every way of training whose runs vary k and the weight; where they vary more, one for each value."""
    measure = runs[0].results.measure
    found: list[Panel] = []
    for kind, rest, own in _grids(runs):
        cells = _cells(own)
        which = f"{kind}{f', {rest}' if rest else ''}"
        title = f"{measure} over k and weight: {which}"
        seeds = sorted({len(of_arm(own, arm)) for arm in arms(own)})
        over = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
        caption = (
            f"{which}. Mean over {over} seed{'s' * (seeds[-1] > 1)}, in percent; the frame marks the highest of "
            f"{len(cells)} cells. The highest of many cells is high by chance too: choose on validation rows, and test on "
            "others."
        )
        heading = f"{measure} over k and weight"
        drawn = heat_map(cells, title=heading, x_label="[PRED] slots, k", y_label="weight", description=title)
        found.append(Panel(name=f"grid-{len(found) + 1}", title=title, svg=drawn, caption=caption))
    return found


def _grids(runs: Sequence[RunSummary]) -> list[tuple[str, str, list[RunSummary]]]:
    """Return the way of training, what else its runs have in common, and the runs, for at least two values of each."""
    groups: dict[tuple[str, str], list[RunSummary]] = {}
    for kind in dict.fromkeys(run.kind for run in runs if run.kind not in (PLAIN, SHUFFLED)):
        own = [run for run in runs if run.kind == kind and run.results.k is not None and run.results.weight]
        names = setting_names([name for name in differing(own) if name not in (WEIGHT, SLOTS)]) if own else {}
        for run in own:
            rest = ", ".join(f"{short} {told(name, run.settings.get(name))}" for name, short in names.items())
            groups.setdefault((kind, rest), []).append(run)
    return [(*key, own) for key, own in groups.items() if min(_sizes(own)) > 1]


def _sizes(runs: Sequence[RunSummary]) -> tuple[int, int]:
    return len({run.results.k for run in runs}), len({run.results.weight for run in runs})


def _cells(runs: Sequence[RunSummary]) -> dict[tuple[float, float], Cell]:
    by_place: dict[tuple[float, float], list[float]] = {}
    for run in runs:
        if run.results.k is not None and run.results.weight is not None:
            by_place.setdefault((run.results.k, run.results.weight), []).append(100 * run.results.accuracy)
    described = {place: describe(values) for place, values in by_place.items()}
    return {place: Cell(value=found.mean, deviation=found.deviation) for place, found in described.items()}
