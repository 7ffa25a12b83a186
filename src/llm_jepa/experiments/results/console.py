"""The table of results for the terminal."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from llm_jepa.experiments.results.collected import RunSummary, arms, compare_runs, notes, of_arm
from llm_jepa.experiments.results.measures import counted, points, rows
from llm_jepa.experiments.results.significance import p_cell
from llm_jepa.experiments.results.summary import verdict


def tell(runs: Sequence[RunSummary], console: Console) -> None:
    """Print the table, the verdict, and what a reader of it should know."""
    console.print(table(runs))
    for sentence in (*verdict(runs, compare_runs(runs)), *notes(runs)):
        console.print(sentence, markup=False)


def table(runs: Sequence[RunSummary]) -> Table:
    """One column an arm, one row a measure; below, every comparison with its test.

    Measures that no run has are left out. Arm names are shown as they are, never read as markup.
    """
    names = arms(runs)
    result = Table(
        title="Mean ± sample standard deviation over seeds", title_justify="left", caption_justify="left", box=SIMPLE_HEAD
    )
    result.add_column("")
    for name in names:
        result.add_column(Text(f"{name}\n{counted(len(of_arm(runs, name)), 'seed')}"), justify="right")
    for _, measures in rows(runs):
        for measure, cells in measures:
            result.add_row(Text(measure.label), *map(Text, cells), end_section=measure is measures[-1][0])
    gains = [
        f"{item.treatment} over {item.control}: {points(item.gain)} points, {p_cell(item)}" for item in compare_runs(runs)
    ]
    if gains:
        result.caption = Text("\n".join([f"One-tailed paired t-tests on {runs[0].results.measure}:", *gains]))
    return result
