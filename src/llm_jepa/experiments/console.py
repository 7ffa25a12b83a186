"""The table of results for the terminal."""

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from llm_jepa.experiments.measures import p_cell, points, rows, seeds
from llm_jepa.experiments.results import RunSummary, arms, compare_runs, of_arm


def table(runs: Sequence[RunSummary]) -> Table:
    """One column an arm, one row a measure; below, the gain over each control with its test.

    Measures that no run has are left out. Arm names are shown as they are, never read as markup.
    """
    names = arms(runs)
    result = Table(title="Mean ± sample standard deviation over seeds", title_justify="left")
    result.add_column("")
    for name in names:
        result.add_column(Text(f"{name}\n{seeds(len(of_arm(runs, name)))}"), justify="right")
    for _, measures in rows(runs):
        for measure, cells in measures:
            result.add_row(Text(measure.label), *map(Text, cells), end_section=measure is measures[-1][0])
    by_pair = {(item.treatment, item.control): item for item in compare_runs(runs)}
    for control in dict.fromkeys(item.control for item in by_pair.values()):
        compared = [by_pair.get((name, control)) for name in names]
        gains = ["" if item is None else f"{points(item.gain)} points\n{p_cell(item)}" for item in compared]
        result.add_row(Text(f"Gain over {control}\none-tailed paired t-test"), *map(Text, gains))
    return result
