"""The points of the law of cost, and their figure: measured dots beside the lines of the formula."""

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib as mpl
from matplotlib.axes import Axes

from llm_jepa.analysis import figures

COLOURS = {"4 M": "#2b87c8", "135 M": "#d55e00"}
ANCHOR = 256
"""Length of the row, in tokens, whose measured rate turns the formula's operations into seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One batch.

    Attributes:
        x: what is varied.
        seconds: CPU seconds of its step, the minimum.
        flops: operations by the formula.
        attention: those of them inside the attention.
    """

    x: float
    seconds: float
    flops: float
    attention: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Cost against one quantity.

    Attributes:
        name: of the quantity.
        model: the shape it was measured with.
        points: by x.
        bases: for every point the plain step it is compared with; empty where the cost stands for itself.
    """

    name: str
    model: str
    points: tuple[Point, ...]
    bases: tuple[Point, ...] = ()

    def ratios(self) -> list[tuple[float, float]]:
        """Return for every point its measured and its counted cost over those of the plain step."""
        both = zip(self.points, self.bases, strict=True)
        return [(point.seconds / base.seconds, point.flops / base.flops) for point, base in both]


def law_figure(curves: Sequence[Curve]) -> str:
    """Return the figure as SVG text: seconds by the length of a row, multiples of plain training by everything else."""
    title = "What a training step costs"
    names = list(dict.fromkeys(curve.name for curve in curves))
    with mpl.rc_context(figures.SETTINGS):
        figure, first = figures.panel(title, "", "")
        figure.clear()
        del first
        figure.set_size_inches(9.0, 5.6)
        figure.suptitle(title, x=0.01, ha="left")
        for place, name in enumerate(names):
            axes = figure.add_subplot(2, 3, place + 1)
            axes.grid(visible=True, axis="both")
            axes.set_xlabel(name)
            for curve in (curve for curve in curves if curve.name == name):
                _draw(axes, curve)
        figure.add_subplot(2, 3, 6).set_axis_off()
        figures.legend(figure, _entries(curves))
        return figures.svg(figure, title)


def _entries(curves: Sequence[Curve]) -> list[tuple[str, figures.Line2D]]:
    models = list(dict.fromkeys(curve.model for curve in curves))
    dots = [(f"measured, {model}", figures.dot(_colour(model), "o")) for model in models]
    return [*dots, ("formula", figures.line(figures.SETTINGS["text.color"], "solid"))]


def _colour(model: str) -> str:
    return COLOURS.get(model, "#0a9a73")


def _draw(axes: Axes, curve: Curve) -> None:
    colour = _colour(curve.model)
    xs = [point.x for point in curve.points]
    if not curve.bases:
        anchor = min(curve.points, key=lambda point: abs(point.x - ANCHOR))
        measured = [point.seconds for point in curve.points]
        counted = [point.flops * anchor.seconds / anchor.flops for point in curve.points]
        axes.set_ylabel("CPU seconds of a step")
        figures.logarithmic(axes.xaxis)
        figures.logarithmic(axes.yaxis)
        axes.set_xticks(xs[::2], [f"{x:g}" for x in xs[::2]])
    else:
        measured, counted = (list(column) for column in zip(*curve.ratios(), strict=True))
        axes.set_ylabel("times plain training")
        if max(xs) / max(min(xs), 0.1) > 20 and min(xs) > 0:
            axes.set_xscale("log")
            axes.set_xticks(xs, [f"{x:g}" for x in xs])
            axes.set_xticks([], minor=True)
        else:
            axes.set_xticks(xs, [f"{x:g}" for x in xs])
    axes.plot(xs, counted, color=colour, linewidth=1.3)
    axes.plot(xs, measured, "o", color=colour, markersize=5.5, mew=0)
    if curve.bases:
        axes.set_ylim(bottom=min(1.0, *measured, *counted) - 0.05)
