"""The table of results for the terminal."""

from collections.abc import Sequence
from functools import partial

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from llm_jepa.experiments.results.collected import RunSummary, arms, compare_runs, notes, of_arm
from llm_jepa.experiments.results.measures import counted, points, rows
from llm_jepa.experiments.results.significance import p_cell
from llm_jepa.experiments.results.summary import verdict
from llm_jepa.experiments.screen import fitting


def tell(runs: Sequence[RunSummary], console: Console) -> None:
    """Print the tables, the tests, the verdict, and what a reader of it should know.

    One column an arm, one row a measure; below, every comparison with its test. Measures that no run has are left out. Arm
    names are shown as they are, never read as markup.
    """
    for part in fitting(console, arms(runs), partial(_table, runs)):
        console.print(part)
    gains = [
        f"{item.treatment} over {item.control}: {points(item.gain)} points, {p_cell(item)}" for item in compare_runs(runs)
    ]
    if gains:
        console.print(Text("\n".join([f"One-tailed paired t-tests on {runs[0].results.measure}:", *gains])))
    for sentence in (*verdict(runs, compare_runs(runs)), *notes(runs)):
        console.print(sentence, markup=False)


def _table(runs: Sequence[RunSummary], names: Sequence[str]) -> Table:
    """Return the table of these arms."""
    result = Table(title="Mean ± sample standard deviation over seeds", title_justify="left", box=SIMPLE_HEAD)
    result.add_column("")
    for name in names:
        result.add_column(Text(f"{name}\n{counted(len(of_arm(runs, name)), 'seed')}"), justify="right")
    chosen = [arms(runs).index(name) for name in names]
    for _, measures in rows(runs):
        for measure, cells in measures:
            own = (Text(cells[index]) for index in chosen)
            result.add_row(Text(measure.label), *own, end_section=measure is measures[-1][0])
    return result
