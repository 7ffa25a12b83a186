"""Lines against a quantity that is not time: accuracy against compute, and the singular values by their index.

Also the cloud of embeddings in two dimensions. `figures` has what all drawings share.
"""

import math
from collections.abc import Mapping, Sequence

import matplotlib as mpl

from llm_jepa.analysis import figures
from llm_jepa.analysis.figures import Curve, styles

_TEXT_COLOUR, _CODE_COLOUR = "#2b87c8", "#d55e00"


def compute_lines(
    curves: Mapping[str, Sequence[Curve]], arms: Sequence[str], *, title: str, x_label: str, y_label: str
) -> str:
    """Scores against compute: each arm's mean over seeds with a marker a score, a band from the least to the greatest seed.

    Args:
        curves: for each arm one curve a seed; seeds of an arm share their x values.
        arms: the order of arms that `styles` goes by.
        title: what is shown.
        x_label: label of the horizontal axis, with its unit.
        y_label: label of the vertical axis, with its unit.
    """
    with mpl.rc_context(figures.SETTINGS):
        figure, axes = figures.panel(title, x_label, y_label)
        axes.grid(visible=True, axis="both")
        for arm, style in styles(arms).items():
            x, low, mean, high = figures.band(curves.get(arm, ()))
            if len(x):
                axes.fill_between(x, low, high, color=style.colour, alpha=0.18, linewidth=0)
                axes.vlines(x, low, high, color=style.colour, alpha=0.5, linewidth=1)
                axes.plot(
                    x, mean, color=style.colour, linestyle=style.dash, marker=style.marker, markersize=4.5, linewidth=1.6
                )
        axes.set_xlim(left=0)
        drawn = [(arm, figures.line(style.colour, style.dash)) for arm, style in styles(arms).items() if curves.get(arm)]
        figures.legend(figure, drawn)
        return figures.svg(figure, title)


def spectrum_lines(values: Mapping[str, Sequence[Sequence[float]]], arms: Sequence[str], *, title: str) -> str:
    """Singular values by their index, both axes logarithmic, one thin line a seed (the paper's Figure 3, left).

    Args:
        values: for each arm the values of each seed, in descending order; values that are not positive are left out.
        arms: the order of arms that `styles` goes by.
        title: what is shown.
    """
    with mpl.rc_context(figures.SETTINGS):
        figure, axes = figures.panel(title, "index", "singular value")
        axes.grid(visible=True, axis="both")
        figures.logarithmic(axes.xaxis)
        figures.logarithmic(axes.yaxis)
        for arm, style in styles(arms).items():
            for seed in values.get(arm, ()):
                points = [(i, value) for i, value in enumerate(seed, start=1) if value > 0 and math.isfinite(value)]
                if points:
                    axes.plot(
                        *zip(*points, strict=True), color=style.colour, linestyle=style.dash, linewidth=1.3, alpha=0.85
                    )
        drawn = [(arm, figures.line(style.colour, style.dash)) for arm, style in styles(arms).items() if values.get(arm)]
        figures.legend(figure, drawn)
        return figures.svg(figure, title)


def cloud(text: Sequence[tuple[float, float]], code: Sequence[tuple[float, float]], *, title: str) -> str:
    """Embeddings of both views in two dimensions (the paper's Figures 4 and 6); the axes have no meaning and no ticks."""
    with mpl.rc_context(figures.SETTINGS):
        figure, axes = figures.panel(title, "", "", height=3.4)
        for points, colour, marker in ((text, _TEXT_COLOUR, "o"), (code, _CODE_COLOUR, "^")):
            if points:
                axes.plot(*zip(*points, strict=True), marker, color=colour, markersize=3, alpha=0.6, mew=0)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_aspect("equal", adjustable="datalim")
        axes.spines[:].set_visible(False)
        entries = [("Text", figures.dot(_TEXT_COLOUR, "o")), ("Code", figures.dot(_CODE_COLOUR, "^"))]
        figures.legend(figure, entries)
        return figures.svg(figure, title)
