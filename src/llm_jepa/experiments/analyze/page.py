"""An analysis -> its page: `analysis.html`, `analysis.md` and the figures beside them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llm_jepa.analysis.bars import bars, dumbbells
from llm_jepa.analysis.curves import cloud, spectrum_lines
from llm_jepa.analysis.figures import Curve, styles, training_curves
from llm_jepa.analysis.geometry import TOP
from llm_jepa.analysis.structure import Relation
from llm_jepa.experiments.analyze.measures import table
from llm_jepa.experiments.analyze.record import Analysed
from llm_jepa.experiments.report.differences import visible
from llm_jepa.experiments.report.page import templates, write_page
from llm_jepa.experiments.report.panel import Panel
from llm_jepa.experiments.results.measures import counted
from llm_jepa.experiments.results.run_records import METRICS, read_metrics

FIGURES = "analysis-figures"
TITLE = "Structure or collapse?"
_MOST_COLUMNS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What a page is made of.

    Attributes:
        items: the models, in the order given.
        headline: what is to be known first.
        sentences: one for each model.
        remarks: what else a reader should know.
        source: name of the data.
        environment: versions, machine and checksum of the data.
    """

    items: Sequence[Analysed]
    headline: str
    sentences: Sequence[str]
    remarks: Sequence[str]
    source: str
    environment: Mapping[str, Any]


def write_analysis(folder: Path, page: Page) -> Path:
    """Write the page with its figures, in place of those that an earlier analysis left; return its path.

    Raises:
        UserError: the folder cannot be one, or metrics of a run are corrupted.
    """
    panels = analysis_panels(page.items)
    values = {**_context(page), "panels": panels, "figures": FIGURES}
    for old in (folder / FIGURES).glob("*.svg"):
        if old.stem not in {panel.name for panel in panels}:
            old.unlink()
    for panel in panels:
        write_page(folder / FIGURES / f"{panel.name}.svg", panel.svg)
    known = templates()
    write_page(folder / "analysis.md", known.get_template("analysis.md.jinja").render(values))
    path = folder / "analysis.html"
    write_page(path, known.get_template("analysis.html.jinja").render(values))
    return path


def _context(page: Page) -> dict[str, Any]:
    items = page.items
    labels = [item.label for item in items]
    count = -(-len(items) // _MOST_COLUMNS)
    size = -(-len(items) // count)
    blocks = [
        {"models": labels[start : start + size], "rows": table(items[start : start + size])}
        for start in range(0, len(items), size)
    ]
    readings = {row.label: row.reading for block in blocks for _, rows in block["rows"] for row, _ in rows if row.reading}
    return {
        "title": TITLE,
        "headline": page.headline,
        "sentences": page.sentences,
        "remarks": page.remarks,
        "facts": f"{counted(len(items), 'model')}, read on {counted(items[0].structure.pairs, 'pair')} of "
        f"“{visible(page.source)}”",
        "colours": [style.colour for style in styles(labels).values()],
        "order": {label: index for index, label in enumerate(labels)},
        "blocks": blocks,
        "readings": list(readings.items()),
        "models": [(item.label, visible(item.subject.name), item.weights) for item in items],
        "environment": json.dumps(page.environment, indent=2, ensure_ascii=False),
    }


def analysis_panels(items: Sequence[Analysed]) -> list[Panel]:
    """Return every panel that there are numbers for."""
    labels = [item.label for item in items]
    found = [_spectrum(items, relative=False), _spectrum(items, relative=True), _retrieval(items), _cosines(items)]
    return [*found, *_losses(items, labels), *_clouds(items)]


def _spectrum(items: Sequence[Analysed], *, relative: bool) -> Panel:
    def read(relation: Relation) -> list[float]:
        return list((relation.relative_singular_values if relative else relation.singular_values)[:TOP])

    lines = {item.label: [read(item.structure.encoded)] for item in items}
    title = "Singular values over Code's own spread" if relative else "Singular values of Enc(Text) − Enc(Code)"
    caption = (
        "The same, divided by how far Code lies from its own mean: what a mere shrinking does not lower."
        if relative
        else f"The largest {TOP}, as in the paper's Figure 3. Low values alone are no structure: they are lowest when all "
        "embeddings are the same."
    )
    svg = spectrum_lines(lines, list(lines), title=title)
    return Panel(name="spectrum-relative" if relative else "spectrum", title=title, svg=svg, caption=caption)


def _retrieval(items: Sequence[Analysed]) -> Panel:
    values = {
        item.label: (100 * item.structure.trained.forward.at[1], 100 * item.structure.trained.backward.at[1])
        for item in items
    }
    title = "Finding the partner"
    chance = 100 / items[0].structure.pairs
    svg = bars(values, ("from Text", "from Code"), title=title, x_label="own partner is the nearest (%)", chance=chance)
    caption = "Text is read at the last [PRED] token where the model has any. A collapse cannot do better than chance."
    return Panel(name="retrieval", title=title, svg=svg, caption=caption)


def _cosines(items: Sequence[Analysed]) -> Panel:
    pairs = {item.label: (item.structure.trained.cosine_shuffled, item.structure.trained.cosine_matched) for item in items}
    title = "Cosine of matched and shuffled pairs"
    svg = dumbbells(pairs, title=title, x_label="cosine")
    caption = "The length of the line is the gap. Both ends near 1: all embeddings point in one direction."
    return Panel(name="gap", title=title, svg=svg, caption=caption)


_LOSSES = (
    ("next_token", "Next-token loss", "nats per label token (log)", True),
    ("jepa", "JEPA term", "mean distance of a pair", False),
)


def _losses(items: Sequence[Analysed], labels: Sequence[str]) -> list[Panel]:
    """Both losses over training (the paper's Figure 3, right), of the runs that logged them."""
    logs = {item.label: list(read_metrics(item.subject.run.root / METRICS)) for item in items if item.subject.run}
    clock = "epoch" if all("epoch" in line for lines in logs.values() for line in lines) else "step"
    found: list[Panel] = []
    for key, title, unit, log in _LOSSES:
        lines = {
            label: [sorted((line[clock], line[key]) for line in logged if key in line and clock in line)]
            for label, logged in logs.items()
        }
        curves: dict[str, list[Curve]] = {label: [*curve] for label, curve in lines.items() if curve != [[]]}
        if curves:
            name = {"epoch": "epoch", "step": "optimizer step"}[clock]
            svg = training_curves(curves, labels, title=title, x_label=name, y_label=unit, log=log)
            apart = _APART if key == "jepa" and len({_distance(item) for item in items if item.label in curves}) > 1 else ""
            found.append(Panel(name=key.replace("_", "-"), title=title, svg=svg, caption=_CAPTIONS[key] + apart))
    return found


_CAPTIONS = {
    "next_token": "As in the paper's Figure 3, right.",
    "jepa": "Where the weight is 0 the term is only monitored. It is lowest when all embeddings are the same.",
}


_APART = " The runs have different distances, so that their levels cannot be compared."


def _distance(item: Analysed) -> str:
    return type(item.subject.experiment.objective.distance).__name__


def _clouds(items: Sequence[Analysed]) -> list[Panel]:
    found: list[Panel] = []
    for index, item in enumerate(items, start=1):
        if item.clouds is None:
            continue
        title = f"t-SNE: {item.label}"
        caption = "Distances between groups, and directions, mean nothing here; only who is near whom does."
        svg = cloud(*item.clouds, title=title)
        found.append(Panel(name=f"tsne-{index}", title=title, svg=svg, caption="" if found else caption))
    return found
