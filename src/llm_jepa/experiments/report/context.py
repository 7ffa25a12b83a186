"""Runs -> what the page says, as plain values for its templates."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llm_jepa.analysis.figures import styles
from llm_jepa.evaluation.evaluate import PREDICTIONS, read_predictions
from llm_jepa.experiments.report.differences import groups, visible
from llm_jepa.experiments.report.panels import panels
from llm_jepa.experiments.results.by_example import duels
from llm_jepa.experiments.results.collected import SHUFFLED, RunSummary, arms, compare_runs, notes, of_arm
from llm_jepa.experiments.results.costs import at_equal_compute, spendings
from llm_jepa.experiments.results.measures import ABSENT, counted, overview, points, rows
from llm_jepa.experiments.results.run_records import CONFIG, ENVIRONMENT
from llm_jepa.experiments.results.significance import TEST_READINGS, detectable_cell, p_cell, p_uncorrected
from llm_jepa.experiments.results.statistics import ALPHA, POWER, Comparison
from llm_jepa.experiments.results.summary import Main, main_comparison, verdict
from llm_jepa.experiments.samples import SAMPLES, read_samples
from llm_jepa.records import Prediction

_MOST_ARMS, _MOST_SAMPLES = 6, 8
"""Arms side by side in a table or a figure, and free continuations that are shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a report is about, beside its runs.

    Attributes:
        title: the page's heading.
        remarks: sentences that stand among the notes.
        base: folder to which the folders of runs are shown relative.
    """

    title: str
    remarks: Sequence[str]
    base: Path


def report_context(runs: Sequence[RunSummary], setting: Setting) -> dict[str, Any]:
    """Return the values that the templates show.

    Raises:
        UserError: a file of a run is corrupted.
    """
    comparisons = compare_runs(runs)
    main = main_comparison(runs, comparisons)
    chief = _chief(runs, comparisons, main)
    order = (*chief, *(arm for arm in arms(runs) if arm not in chief))
    shown = tuple(run for run in runs if run.arm in chief)
    seed, predictions = _predictions(shown)
    return {
        "title": visible(setting.title),
        "verdict": verdict(runs, comparisons),
        "notes": [*setting.remarks, *notes(runs)],
        "split": runs[0].results.split,
        "examples": runs[0].results.examples,
        "measure": runs[0].results.measure,
        "runs": counted(len(runs), "run"),
        "colours": [style.colour for style in styles(order).values()],
        "order": {arm: i for i, arm in enumerate(order)},
        "columns": [(arm, counted(len(of_arm(runs, arm)), "seed")) for arm in chief],
        "rows": rows(shown),
        "others": overview(runs) if len(order) > len(chief) else None,
        "readings": _readings(runs),
        "seeds": sorted({run.seed for run in runs}),
        "by_seed": _by_seed(runs),
        "test_readings": TEST_READINGS if comparisons else (),
        "comparisons": [_comparison(item) for item in comparisons if item.treatment in chief],
        "more_comparisons": [_comparison(item) for item in comparisons if item.treatment not in chief],
        "alpha": ALPHA,
        "power": _power(main),
        **_duels(runs, main),
        "costs": _costs(shown),
        "panels": panels(runs, order, chief),
        "seed": seed,
        "groups": groups(predictions),
        "samples": _samples(shown),
        "configs": _configs(runs),
        "environments": _environments(setting.base, runs),
    }


def _chief(runs: Sequence[RunSummary], comparisons: Sequence[Comparison], main: Main | None) -> tuple[str, ...]:
    """All arms; of many only those of the main comparison, with the control on shuffled pairs."""
    names = arms(runs)
    if len(names) <= _MOST_ARMS:
        return names
    if main is None:
        return names[:_MOST_ARMS]
    kinds = {run.arm: run.kind for run in runs}
    item = main.comparison
    controls = {each.control for each in comparisons if each.treatment == item.treatment and kinds[each.control] == SHUFFLED}
    return tuple(arm for arm in names if arm in {item.treatment, item.control, *controls})


def _readings(runs: Sequence[RunSummary]) -> list[tuple[str, str]]:
    return [(measure.label, measure.reading) for _, measures in rows(runs) for measure, _ in measures]


def _by_seed(runs: Sequence[RunSummary]) -> list[tuple[str, list[str]]]:
    shown = {(run.arm, run.seed): f"{100 * run.results.accuracy:.1f}" for run in runs}
    seeds = sorted({run.seed for run in runs})
    return [(arm, [shown.get((arm, seed), ABSENT) for seed in seeds]) for arm in arms(runs)]


def _comparison(item: Comparison) -> dict[str, str]:
    return {
        "treatment": item.treatment,
        "control": item.control,
        "gain": points(item.gain),
        "holm": p_cell(item),
        "t": p_uncorrected(item, item.p_t),
        "sign_flip": p_uncorrected(item, item.p_sign_flip),
        "detectable": detectable_cell(item),
    }


def _power(main: Main | None) -> str:
    """What gain of the main comparison the runs could have shown at all."""
    if main is None:
        return ""
    item = main.comparison
    pair = f"{item.treatment} over {item.control}"
    if item.n == 1:
        return f"One seed allows no test, so no gain of {pair}, however large, could have been shown."
    if item.detectable is None:
        return f"The difference of {pair} is the same for every seed, so what could have been shown is unknown."
    if item.detectable >= 1:
        return f"With {counted(item.n, 'seed')} and this spread, no gain of {pair}, however large, could have been shown."
    return (
        f"With {counted(item.n, 'seed')} and this spread, a true gain of {100 * item.detectable:.1f} points of {pair} would "
        f"have been called one with a probability of {100 * POWER:.0f} %; a smaller one would often go unseen."
    )


def _duels(runs: Sequence[RunSummary], main: Main | None) -> dict[str, Any]:
    if main is None:
        return {"duels": [], "duel": None}
    found = duels(runs, main.comparison)
    return {"duels": [each.cells for each in found], "duel": (main.comparison.treatment, main.comparison.control)}


def _costs(runs: Sequence[RunSummary]) -> dict[str, Any]:
    found = spendings(runs)
    levels = [(f"{level:,.3g}", cells) for level, cells in at_equal_compute(found)]
    return {"arms": [each.arm for each in found], "rows": levels}


def _predictions(runs: Sequence[RunSummary]) -> tuple[int | None, Mapping[str, Sequence[Prediction]]]:
    """The predictions of the first seed for which most arms have some."""
    seed, found = _richest(runs, PREDICTIONS)
    return seed, {run.arm: read_predictions(run.folder / PREDICTIONS) for run in found}


def _samples(runs: Sequence[RunSummary]) -> dict[str, Any]:
    """The first texts that every arm with free continuations continued."""
    seed, found = _richest(runs, SAMPLES)
    by_arm = {run.arm: {item.name: item for item in read_samples(run.folder)} for run in found}
    names = [name for name in next(iter(by_arm.values()), {}) if all(name in items for items in by_arm.values())]
    texts: list[dict[str, Any]] = []
    for name in names[:_MOST_SAMPLES]:
        first = next(iter(by_arm.values()))[name]
        outputs = [(arm, visible(items[name].generated), _end(items[name])) for arm, items in by_arm.items()]
        texts.append({"prompt": visible(first.prompt), "expected": visible(first.expected), "outputs": outputs})
    return {"seed": seed, "texts": texts, "size": len(names)}


def _end(item: Prediction) -> str:
    return "" if item.stopped else f"did not stop within {item.tokens} tokens"


def _richest(runs: Sequence[RunSummary], name: str) -> tuple[int | None, list[RunSummary]]:
    """The first seed for which most runs have a file, and those runs."""
    found = {
        run.seed: [other for other in runs if other.seed == run.seed and (other.folder / name).exists()] for run in runs
    }
    seed = max(sorted(found), key=lambda seed: len(found[seed]))
    return (seed, found[seed]) if found[seed] else (None, [])


def _configs(runs: Sequence[RunSummary]) -> list[tuple[str, str]]:
    """The first arm's configuration in full, and what the others change in it."""
    first = [of_arm(runs, arm)[0] for arm in arms(runs)]
    texts = [(run, _text(run.folder / CONFIG)) for run in first if (run.folder / CONFIG).exists()]
    if not texts:
        return []
    base, whole = texts[0]
    shown = [(f"{base.arm}, seed {base.seed}", whole)]
    for run, text in texts[1:]:
        lines = difflib.unified_diff(whole.splitlines(), text.splitlines(), base.arm, run.arm, n=0, lineterm="")
        changes = [line for line in lines if not line.startswith("@@")]
        shown.append((f"{run.arm}, seed {run.seed}: changes", "\n".join(changes) or "(none)"))
    return shown


def _environments(base: Path, runs: Sequence[RunSummary]) -> list[tuple[str, str]]:
    """Every distinct environment, with the folders of its runs."""
    by_text: dict[str, list[str]] = {}
    for run in runs:
        path = run.folder / ENVIRONMENT
        if path.exists():
            inside = run.folder.resolve().is_relative_to(base.resolve())
            folder = run.folder.resolve().relative_to(base.resolve()) if inside else run.folder
            by_text.setdefault(_text(path), []).append(visible(str(folder)))
    return [(", ".join(folders), text) for text, folders in by_text.items()]


def _text(path: Path) -> str:
    return visible(path.read_bytes().decode("utf-8", "replace").replace("\r\n", "\n"))
