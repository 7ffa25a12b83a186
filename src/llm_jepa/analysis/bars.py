"""One or two numbers a model, side by side: retrieval as bars, matched against shuffled cosines as ends of a line."""

from collections.abc import Mapping, Sequence

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from llm_jepa.analysis import figures
from llm_jepa.analysis.figures import styles

_FAINT = 0.45


def bars(
    values: Mapping[str, Sequence[float]], series: Sequence[str], *, title: str, x_label: str, chance: float | None = None
) -> str:
    """A group of horizontal bars a model, one for each series, the first in full colour and each with its number.

    Args:
        values: for each model, in the order of colours, one value of each series.
        series: what the bars of a group are.
        title: what is shown.
        x_label: label of the axis, with its unit.
        chance: the value of guessing, drawn as a dotted line.
    """
    thick = 0.76 / max(len(series), 1)
    with mpl.rc_context(figures.SETTINGS):
        figure, axes = figures.panel(title, x_label, "", height=1.3 + 0.28 * len(values) * (1 + len(series)) / 2)
        axes.grid(visible=True, axis="x")
        for row, (style, numbers) in enumerate(zip(styles(list(values)).values(), values.values(), strict=True)):
            for index, number in enumerate(numbers):
                y = row + (index - (len(numbers) - 1) / 2) * thick
                axes.barh(y, number, thick * 0.9, color=style.colour, alpha=_FAINT if index else 1)
                axes.annotate(f"{number:.1f}", (max(number, 0), y), (3, 0), textcoords="offset points", va="center", size=8)
        if chance is not None:
            axes.axvline(chance, color=mpl.rcParams["text.color"], linestyle=(0, (1, 2)), linewidth=1)
        highest = max((number for numbers in values.values() for number in numbers), default=0)
        axes.set_xlim(0, max(1.14 * highest, 3 * (chance or 0), 1e-3))
        _names(axes, list(values))
        legend = [(name, _patch(_FAINT if index else 1)) for index, name in enumerate(series)]
        figures.legend(figure, [*legend, *([] if chance is None else [("chance", _dotted())])])
        return figures.svg(figure, title)


def dumbbells(values: Mapping[str, tuple[float, float]], *, title: str, x_label: str) -> str:
    """A line a model from its first (hollow) to its second number (filled); the length of the line is what counts.

    Args:
        values: for each model, in the order of colours, the cosines of shuffled and of matched pairs.
        title: what is shown.
        x_label: label of the axis.
    """
    with mpl.rc_context(figures.SETTINGS):
        figure, axes = figures.panel(title, x_label, "", height=1.3 + 0.42 * len(values))
        axes.grid(visible=True, axis="x")
        for y, (style, (shuffled, matched)) in enumerate(zip(styles(list(values)).values(), values.values(), strict=True)):
            axes.plot([shuffled, matched], [y, y], color=style.colour, linewidth=2.4, alpha=0.6, solid_capstyle="butt")
            axes.plot([matched], [y], "o", color=style.colour, markersize=8, mew=0)
            axes.plot([shuffled], [y], "o", mfc="none", mec=style.colour, markersize=8, mew=1.6)
        ends = [end for pair in values.values() for end in pair]
        axes.set_xlim(min([0.0, *ends]) - 0.04, 1.04)
        _names(axes, list(values))
        colour = mpl.rcParams["text.color"]
        hollow = Line2D([], [], marker="o", linestyle="none", mfc="none", mec=colour, mew=1.4, markersize=6)
        figures.legend(figure, [("shuffled pairs", hollow), ("matched pairs", figures.dot(colour, "o"))])
        return figures.svg(figure, title)


def _names(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), [figures.label(name) for name in names])
    axes.set_ylim(len(names) - 0.45, -0.55)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _patch(alpha: float) -> Line2D:
    return Line2D([], [], color=mpl.rcParams["text.color"], linewidth=6, alpha=alpha)


def _dotted() -> Line2D:
    return Line2D([], [], color=mpl.rcParams["text.color"], linestyle=(0, (1, 2)), linewidth=1)
