"""The figure of the speed benchmark: a sample's time in every variant and part, as a multiple of the plain Trainer's."""

from collections.abc import Sequence

import matplotlib as mpl

from benchmarks import variants
from benchmarks.report import Report
from llm_jepa.analysis import figures

SHOWN = (
    variants.NTP,
    variants.SHARED,
    variants.DROPOUT_75,
    variants.FRAMED,
    variants.TRL,
    variants.TRL_PACKED,
    variants.FORWARDS,
    variants.ADDITIVE,
    variants.THREE,
)


def speed_figure(reports: Sequence[Report]) -> str:
    """Return the figure as SVG text: a row a variant, a dot a part, on a logarithmic axis with the Trainer at 1."""
    title = "Time of a sample, as a multiple of plain transformers.Trainer"
    parts = [f"{report.setting['size']}, {report.setting['data']}" for report in reports]
    styles = figures.styles(parts)
    with mpl.rc_context(figures.SETTINGS):
        figure, axes = figures.panel(title, "CPU time over plain Trainer's, smaller is better", "", height=4.6)
        figure.set_size_inches(7.4, 4.8)
        axes.grid(visible=True, axis="x")
        axes.axvline(1, color=figures.SETTINGS["text.color"], linewidth=1)
        for part, report in zip(parts, reports, strict=True):
            found = [(report.ratio(name, variants.TRAINER), row) for row, name in enumerate(SHOWN) if report.result(name)]
            if found:
                style = styles[part]
                axes.plot(*zip(*found, strict=True), style.marker, color=style.colour, markersize=6.5, alpha=0.85, mew=0)
        axes.set_xscale("log")
        ticks = (0.5, 0.7, 1, 1.5, 2, 3, 5, 10, 20, 50)
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.set_xticks([], minor=True)
        axes.set_yticks(range(len(SHOWN)), list(SHOWN))
        axes.set_ylim(len(SHOWN) - 0.5, -0.5)
        axes.tick_params(axis="y", length=0)
        figures.legend(figure, [(part, figures.dot(style.colour, style.marker)) for part, style in styles.items()])
        return figures.svg(figure, title)
