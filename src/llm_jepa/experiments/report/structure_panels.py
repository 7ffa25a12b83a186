"""Runs with an `analysis.json` -> their singular values, and their embeddings in two dimensions."""

from collections.abc import Sequence

from llm_jepa.analysis.curves import cloud, spectrum_lines
from llm_jepa.experiments.report.panel import Panel
from llm_jepa.experiments.results.collected import RunSummary, of_arm


def structure_panels(runs: Sequence[RunSummary], order: Sequence[str]) -> list[Panel]:
    """Return the spectrum of all arms, and one cloud an arm, of its first seed that has one.

    Args:
        runs: the runs.
        order: the arms, in the order that their colours go by.
    """
    return [*_spectrum(runs, order), *_clouds(runs, order)]


def _spectrum(runs: Sequence[RunSummary], order: Sequence[str]) -> list[Panel]:
    found = {arm: [run.analysis.singular_values for run in of_arm(runs, arm) if run.analysis] for arm in order}
    values = {arm: [seed for seed in seeds if seed] for arm, seeds in found.items()}
    if not any(values.values()):
        return []
    title = "Singular values of Enc(Text) − Enc(Code)"
    caption = (
        "A line a seed. Low values alone are no structure: they are lowest when all embeddings are the same. Read them "
        "with the gap and the retrieval."
    )
    drawn = spectrum_lines(values, order, title=title)
    return [Panel(name="spectrum", title=title, svg=drawn, caption=caption)]


def _clouds(runs: Sequence[RunSummary], order: Sequence[str]) -> list[Panel]:
    found: list[Panel] = []
    for i, arm in enumerate(order, start=1):
        run = next((run for run in of_arm(runs, arm) if run.analysis and run.analysis.text), None)
        if run is None or run.analysis is None:
            continue
        title = f"t-SNE of the embeddings: {arm}, seed {run.seed}"
        caption = "" if found else "Distances between groups, and directions, mean nothing here; only who is near whom does."
        svg = cloud(run.analysis.text, run.analysis.code, title=title)
        found.append(Panel(name=f"tsne-{i}", title=title, svg=svg, caption=caption))
    return found
