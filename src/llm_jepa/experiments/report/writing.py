"""Runs -> one page that a person can read, print and send: `report.html`, and beside it `report.md`."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from llm_jepa.experiments.report.context import Setting, report_context
from llm_jepa.experiments.report.differences import visible
from llm_jepa.experiments.report.page import templates, write_page
from llm_jepa.experiments.results.collected import read_runs, scored_on_test, unfinished
from llm_jepa.experiments.results.measures import counted

FIGURES = "report-figures"
_MOST_NAMED = 5


def write_report(
    root: Path,
    *more: Path,
    title: str,
    output: Path | None = None,
    remarks: Sequence[str] = (),
    measure: str | None = None,
) -> Path:
    """Write `report.html`, `report.md` and its figures from all runs below the folders; return the page's path.

    Each file is complete or not there: it is written beside its place and then moved. The same runs give the same bytes.

    Args:
        root: a run folder, or a folder with such folders below it.
        more: more of them.
        title: the page's heading.
        output: where the report goes; made if missing. None: the folder that all of them lie in.
        remarks: sentences that readers must see, such as how the runs were chosen; they stand below the verdict.
        measure: name of the measure that is compared; None: the task's own.

    Raises:
        UserError: there are no runs, runs cannot be compared, a file of theirs is corrupted, or nothing can be written.
    """
    roots = (root, *more)
    base = Path(os.path.commonpath([each.resolve() for each in roots])) if more else root
    found = read_runs(*roots, measure=measure)
    runs = scored_on_test(found)
    left_out = len(found) - len(runs)
    said = [f"Not shown: {counted(left_out, 'run')}, scored on other rows."] if left_out else []
    if measure is not None:
        said.insert(0, f"Compared by {found[0].results.measure}, as asked for with --measure.")
    begun = [visible(str(folder)) for folder in unfinished(*roots)]
    if begun:
        others = ", …" if len(begun) > _MOST_NAMED else ""
        named = ", ".join(begun[:_MOST_NAMED])
        said.append(f"Not shown: {counted(len(begun), 'run')} that did not finish ({named}{others}).")
    context = report_context(runs, Setting(title=title, remarks=[*map(visible, remarks), *said], base=base))
    return _write_all(base if output is None else output, context)


def _write_all(folder: Path, context: Mapping[str, Any]) -> Path:
    environment = templates()
    values = {**context, "figures": FIGURES}
    page = folder / "report.html"
    for panel in context["panels"]:
        write_page(folder / FIGURES / f"{panel.name}.svg", panel.svg)
    write_page(folder / "report.md", environment.get_template("report.md.jinja").render(values))
    write_page(page, environment.get_template("report.html.jinja").render(values))
    return page
