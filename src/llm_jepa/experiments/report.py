"""Runs -> one page that a person can read, print and send: `report.html`, and beside it `report.md`.

The page needs nothing but itself: no network, no script, no font. What models wrote is escaped, and a content security
policy forbids the page to load anything even if something slipped through.
"""

import difflib
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup, escape

from llm_jepa.analysis.figures import styles
from llm_jepa.evaluation.evaluate import PREDICTIONS, read_predictions
from llm_jepa.experiments.differences import groups, visible
from llm_jepa.experiments.measures import ABSENT, TEST_READINGS, counted, p_cell, p_value, points, rows
from llm_jepa.experiments.panels import panels
from llm_jepa.experiments.results import RunSummary, arms, compare_runs, notes, of_arm, read_runs, scored_on_test
from llm_jepa.experiments.statistics import ALPHA, POWER, Comparison
from llm_jepa.experiments.summary import verdict
from llm_jepa.records import Prediction

CONFIG, ENVIRONMENT = "config.yaml", "environment.json"
FIGURES = "report-figures"


def write_report(root: Path, *, title: str) -> Path:
    """Write `report.html`, `report.md` and its figures into `root` from all runs below it; return the page's path.

    Each file is complete or not there: it is written beside its place and then moved. The same runs give the same bytes.

    Raises:
        UserError: there are no runs, or a file of theirs is corrupted.
    """
    found = read_runs(root)
    runs = scored_on_test(found)
    context = _context(root, runs, title=title, left_out=len(found) - len(runs))
    for panel in context["panels"]:
        _write(root / FIGURES / f"{panel.name}.svg", panel.svg)
    environment = _environment()
    _write(root / "report.md", environment.get_template("report.md.jinja").render(context))
    page = root / "report.html"
    _write(page, environment.get_template("report.html.jinja").render(context))
    return page


def _context(root: Path, runs: Sequence[RunSummary], *, title: str, left_out: int) -> dict:
    names = arms(runs)
    comparisons = compare_runs(runs)
    skipped = [f"Not shown: {counted(left_out, 'run')}, scored on other rows."] if left_out else []
    seed, predictions = _predictions(runs)
    return {
        "title": visible(title),
        "verdict": verdict(runs, comparisons),
        "notes": [*skipped, *notes(runs)],
        "split": runs[0].results.split,
        "examples": runs[0].results.examples,
        "arms": [(arm, styles(names)[arm].colour, counted(len(of_arm(runs, arm)), "seed")) for arm in names],
        "order": {arm: i for i, arm in enumerate(names)},
        "rows": rows(runs),
        "test_readings": TEST_READINGS if comparisons else (),
        "comparisons": [_comparison(item) for item in comparisons],
        "alpha": ALPHA,
        "power": POWER,
        "by_seed": _by_seed(runs),
        "panels": panels(runs),
        "figures": FIGURES,
        "seed": seed,
        "groups": groups(predictions),
        "configs": _configs(runs),
        "environments": _environments(root, runs),
        "runs": counted(len(runs), "run"),
    }


def _comparison(item: Comparison) -> dict[str, str]:
    return {
        "treatment": item.treatment,
        "control": item.control,
        "seeds": str(item.n),
        "gain": points(item.gain),
        "holm": p_cell(item),
        "t": ABSENT if item.p_t is None else p_value(item.p_t),
        "sign_flip": ABSENT if item.p_sign_flip is None else p_value(item.p_sign_flip),
        "detectable": ABSENT if item.detectable is None else points(item.detectable),
    }


def _by_seed(runs: Sequence[RunSummary]) -> list[tuple[int, list[str]]]:
    exact = {(run.arm, run.seed): f"{100 * run.results.exact:.1f}" for run in runs}
    return [(seed, [exact.get((arm, seed), ABSENT) for arm in arms(runs)]) for seed in sorted({run.seed for run in runs})]


def _predictions(runs: Sequence[RunSummary]) -> tuple[int | None, Mapping[str, Sequence[Prediction]]]:
    """The predictions of the first seed for which most arms have some."""
    found = {run.seed: [other for other in runs if other.seed == run.seed and _predicted(other)] for run in runs}
    seed = max(sorted(found), key=lambda seed: len(found[seed]))
    if not found[seed]:
        return None, {}
    return seed, {run.arm: read_predictions(run.folder / PREDICTIONS) for run in found[seed]}


def _predicted(run: RunSummary) -> bool:
    return (run.folder / PREDICTIONS).exists()


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


def _environments(root: Path, runs: Sequence[RunSummary]) -> list[tuple[str, str]]:
    """Every distinct environment, with the folders of its runs."""
    by_text: dict[str, list[str]] = {}
    for run in runs:
        path = run.folder / ENVIRONMENT
        if path.exists():
            by_text.setdefault(_text(path), []).append(visible(str(run.folder.relative_to(root))))
    return [(", ".join(folders), text) for text, folders in by_text.items()]


def _text(path: Path) -> str:
    return visible(path.read_bytes().decode("utf-8", "replace").replace("\r\n", "\n"))


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("llm_jepa", "experiments"),
        autoescape=select_autoescape(enabled_extensions=("html.jinja",), default=False),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(drawing=Markup, unbroken=_unbroken, md=_markdown, fence=_fence)
    return environment


def _unbroken(text: str) -> Markup:
    """Escaped text whose numbers keep their unit on the line."""
    return Markup(re.sub(r"(?<=\d) (?=%|points)|(?<=[=<>]) (?=\d)|(?<=\bp) (?==)", "\u00a0", str(escape(text))))


def _markdown(text: str) -> str:
    r"""Text that Markdown shows as it is, on one line: "a|b" -> "a\|b"."""
    return re.sub(r"([\\`*_\[\]<>|~&$#+])", r"\\\1", " ".join(text.split()))


def _fence(text: str) -> str:
    """A code block with a fence longer than any in the text."""
    ticks = "`" * (1 + max([2, *(len(run) for run in re.findall(r"`+", text))]))
    return f"{ticks}text\n{text}\n{ticks}"


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        Path(draft).chmod(0o644)
        Path(draft).replace(path)
    finally:
        Path(draft).unlink(missing_ok=True)
