"""Plain data -> SVG text, and what all drawings share. matplotlib is imported here and in the drawings beside it only.

Every function draws one small panel and returns it as a string, so that a page can lay panels out as it likes.
Panels are transparent and their text takes the colour around it (`currentColor`); as a file of its own, a panel follows
the reader's light or dark scheme. The same data give the same bytes, and nothing outside the file is referred to.
"""

import io
import math
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, TypeAlias

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator
from matplotlib.typing import LineStyleType

Curve: TypeAlias = Sequence[tuple[float, float]]
"""The (x, y) points of one seed, x ascending."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """How an arm is drawn in every panel.

    Attributes:
        colour: hexadecimal, with a contrast of at least 3 on white and on near-black.
        dash: matplotlib line style, so that arms differ without colour too.
        marker: matplotlib marker, for the same reason.
    """

    colour: str
    dash: LineStyleType
    marker: str


# Neighbours differ in lightness for every kind of colour blindness (Okabe and Ito's hues, moved to the middle).
_COLOURS = ("#7d7d7d", "#2b87c8", "#d55e00", "#0a9a73", "#bf6fa3", "#a08000")
_DASHES: tuple[LineStyleType, ...] = (
    "solid",
    "solid",
    (0, (4, 1.5)),
    (0, (1.2, 1.2)),
    (0, (6, 1.5, 1.2, 1.5)),
    (0, (3, 1, 1, 1, 1, 1)),
)
_MARKERS = ("o", "D", "s", "^", "v", "P")
_TEXT = "#123456"
_SIZE = (4.7, 3.0)
_MOST_POINTS = 200
SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.size": 10,
    "text.color": _TEXT,
    "text.parse_math": False,
    "axes.edgecolor": _TEXT,
    "axes.labelcolor": _TEXT,
    "figure.titlesize": 11,
    "figure.titleweight": "bold",
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": _TEXT,
    "ytick.color": _TEXT,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "grid.color": _TEXT,
    "grid.alpha": 0.14,
    "grid.linewidth": 0.6,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "legend.handlelength": 2.2,
}


def styles(arms: Sequence[str]) -> dict[str, Style]:
    """The style of each arm by its place in the order of arms; give every panel the same order."""
    return {
        arm: Style(
            colour=_COLOURS[i % len(_COLOURS)],
            dash=_DASHES[(i + 2 * (i // len(_COLOURS))) % len(_DASHES)],
            marker=_MARKERS[(i + i // len(_COLOURS)) % len(_MARKERS)],
        )
        for i, arm in enumerate(arms)
    }


def training_curves(
    curves: Mapping[str, Sequence[Curve]],
    arms: Sequence[str],
    *,
    title: str,
    x_label: str,
    y_label: str,
    log: bool = False,
) -> str:
    """One value over training: each arm's mean over seeds as a line, from the least to the greatest seed as a band.

    Args:
        curves: for each arm one curve a seed. Points that are not finite are left out; of a curve with more than 200
            points, neighbours are averaged.
        arms: the order of arms that `styles` goes by.
        title: what is shown.
        x_label: label of the horizontal axis, with its unit.
        y_label: label of the vertical axis, with its unit.
        log: draw the vertical axis logarithmically, if all values are positive.
    """
    with mpl.rc_context(SETTINGS):
        figure, axes = panel(title, x_label, y_label)
        axes.grid(visible=True, axis="y")
        for arm, style in styles(arms).items():
            x, low, mean, high = band(curves.get(arm, ()))
            if len(x):
                axes.fill_between(x, low, high, color=style.colour, alpha=0.18, linewidth=0)
                axes.plot(x, mean, color=style.colour, linestyle=style.dash, linewidth=1.6)
        if log and all(y > 0 for seeds in curves.values() for curve in seeds for _, y in curve if math.isfinite(y)):
            logarithmic(axes.yaxis)
        legend(figure, [(arm, line(style.colour, style.dash)) for arm, style in styles(arms).items() if curves.get(arm)])
        return svg(figure, title)


def cosine_curves(
    matched: Sequence[Curve], shuffled: Sequence[Curve], *, arm: str, arms: Sequence[str], x_label: str
) -> str:
    """Cosine of matched and of shuffled pairs over one arm's training; what lies between the two lines is the gap.

    Lines are means over seeds, bands reach from the least to the greatest seed. All panels share the axis from 0 to 1,
    extended where values are negative.
    """
    style = styles(arms)[arm]
    with mpl.rc_context(SETTINGS):
        figure, axes = panel(f"Cosine of pairs: {arm}", x_label, "cosine")
        axes.grid(visible=True, axis="y")
        lowest = 0.0
        dashes: tuple[LineStyleType, LineStyleType] = ("solid", (0, (2, 1.5)))
        for curves, dash in zip((matched, shuffled), dashes, strict=True):
            x, low, mean, high = band(curves)
            if len(x):
                axes.fill_between(x, low, high, color=style.colour, alpha=0.18, linewidth=0)
                axes.plot(x, mean, color=style.colour, linestyle=dash, linewidth=1.6)
                lowest = min(lowest, *low)
        axes.set_ylim(lowest - 0.03, 1.03)
        names = zip(("matched pairs", "shuffled pairs"), dashes, strict=True)
        legend(figure, [(name, line(style.colour, dash)) for name, dash in names])
        return svg(figure, f"{arm}: cosine of matched and shuffled pairs")


def seed_dots(
    values: Mapping[str, Mapping[int, float]],
    arms: Sequence[str],
    *,
    title: str,
    x_label: str,
    chance: float | None = None,
) -> str:
    """One value by arm: a dot a seed, the mean as a bar, and a thin line between the arms' dots of one seed.

    Args:
        values: for each arm the value of each seed; values that are not finite are left out.
        arms: the order of arms, from top to bottom.
        title: what is shown.
        x_label: label of the axis, with its unit.
        chance: the value of guessing, drawn as a dotted line.
    """
    rows = {arm: _finite(values.get(arm, {})) for arm in arms}
    with mpl.rc_context(SETTINGS):
        figure, axes = panel(title, x_label, "", height=1.15 + 0.42 * len(arms))
        axes.grid(visible=True, axis="x")
        if chance is not None:
            axes.axvline(chance, color=_TEXT, linestyle=(0, (1, 2)), linewidth=1)
            axes.annotate(
                "chance",
                (chance, 1),
                (3, -2),
                xycoords=("data", "axes fraction"),
                va="top",
                fontsize=8,
                textcoords="offset points",
            )
        for seed in sorted({seed for row in rows.values() for seed in row}):
            linked = [(row[seed], y) for y, row in enumerate(rows.values()) if seed in row]
            axes.plot(*zip(*linked, strict=True), color=_TEXT, alpha=0.22, linewidth=0.8)
        for y, (arm, style) in enumerate(styles(arms).items()):
            dots = list(rows[arm].values())
            axes.plot(dots, [y] * len(dots), style.marker, color=style.colour, alpha=0.85, markersize=5.5, mew=0)
            if dots:
                axes.plot([sum(dots) / len(dots)] * 2, [y - 0.3, y + 0.3], color=style.colour, linewidth=2.4)
        axes.set_yticks(range(len(arms)), [label(arm) for arm in arms])
        axes.set_ylim(len(arms) - 0.45, -0.55)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.margins(x=0.08)
        return svg(figure, title)


def panel(title: str, x_label: str, y_label: str, *, height: float = _SIZE[1]) -> tuple[Figure, Axes]:
    """Return an empty panel with its title and labels; draw within `mpl.rc_context(SETTINGS)`, height in inches."""
    figure = Figure(figsize=(_SIZE[0], height), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.add_subplot()
    figure.suptitle(label(title), x=0.01, ha="left")
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    return figure, axes


def logarithmic(axis: Axis) -> None:
    """Make an axis logarithmic, with ticks at 1, 2 and 5 of each decade, or at its powers where it spans many."""
    scale = axis.axes.set_xscale if axis is axis.axes.xaxis else axis.axes.set_yscale
    scale("log")
    axis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=12))
    axis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.set_minor_locator(NullLocator())


def label(text: str) -> str:
    """Return a name as matplotlib shows it: it leaves labels with a leading underscore out."""
    return f"\u200b{text}" if text.startswith("_") else text


def line(colour: str, dash: LineStyleType) -> Line2D:
    """Return a line for a legend."""
    return Line2D([], [], color=colour, linestyle=dash, linewidth=1.6)


def dot(colour: str, marker: str) -> Line2D:
    """Return a marker for a legend."""
    return Line2D([], [], color=colour, marker=marker, linestyle="none", markersize=5, mew=0)


_ROW = 0.19
"""Inches that a line of a legend is high; the first three have room in every panel."""


def legend(figure: Figure, entries: Sequence[tuple[str, Line2D]]) -> None:
    """Put names and what they look like below the panel; nothing where there are none."""
    if entries:
        columns = min(len(entries), _columns([name for name, _ in entries]))
        # matplotlib fills columns first; people read rows.
        ordered = [entry for i in range(columns) for entry in entries[i::columns]]
        labels = [label(name) for name, _ in ordered]
        figure.legend([line for _, line in ordered], labels, loc="outside lower left", ncols=columns, columnspacing=1.4)
        rows = math.ceil(len(entries) / columns)
        figure.set_figheight(figure.get_figheight() + _ROW * max(0, rows - 3))


def _columns(names: Sequence[str]) -> int:
    """Return how many names stand side by side without the last being cut off."""
    if sum(len(name) for name in names[:4]) < 32:
        return 4
    return 2 if sum(max(map(len, names[start::2]), default=0) for start in (0, 1)) <= 56 else 1


def _finite(row: Mapping[int, float]) -> dict[int, float]:
    return {seed: value for seed, value in row.items() if math.isfinite(value)}


def band(curves: Sequence[Curve]) -> tuple[list[float], list[float], list[float], list[float]]:
    """The x values, and at each the least, the mean and the greatest y of the seeds that have it."""
    at: dict[float, list[float]] = {}
    for curve in curves:
        for x, y in _thinned([(x, y) for x, y in curve if math.isfinite(x) and math.isfinite(y)]):
            at.setdefault(x, []).append(y)
    x = sorted(at)
    return x, [min(at[i]) for i in x], [sum(at[i]) / len(at[i]) for i in x], [max(at[i]) for i in x]


def _thinned(curve: Curve) -> list[tuple[float, float]]:
    """At most `_MOST_POINTS` points, each the mean of as many neighbours."""
    size = math.ceil(len(curve) / _MOST_POINTS) or 1
    groups = [curve[i : i + size] for i in range(0, len(curve), size)]
    return [(sum(x for x, _ in group) / len(group), sum(y for _, y in group) / len(group)) for group in groups]


def svg(figure: Figure, title: str) -> str:
    """Return the figure as one <svg> element: no date, no document type, no metadata, no sizes that hinder scaling."""
    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": title}), warnings.catch_warnings():
        # The reader's fonts draw the text, so what matplotlib's own font lacks does not matter.
        warnings.filterwarnings("ignore", message="Glyph", category=UserWarning)
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = text.replace(_TEXT, "currentColor").replace("xlink:href", "href")
    text = re.sub(r"font-family: [^;\"]*", "font-family: system-ui, sans-serif", text)
    text = text.replace("*{stroke", ".panel *{stroke", 1)
    used = set(re.findall(r"(?:url\(#|href=\"#)([^)\"]+)", text))
    text = re.sub(r' id="([^"]*)"', lambda match: match[0] if match[1] in used else "", text)
    text = re.sub(r"\n\s*", "\n", text)
    text = re.sub(r' d="[^"]*"', lambda path: re.sub(r"(\.\d\d)\d+", r"\1", path[0]), text)
    scheme = "<style>.panel{color:#1f2328}@media (prefers-color-scheme:dark){.panel{color:#e6e9ed}}</style>"
    head = f'<svg class="panel" role="img" aria-label="{escape(title)}"'
    return re.sub(r"<svg([^>]*)>", lambda match: f"{head}{match[1]}><title>{escape(title)}</title>{scheme}", text, count=1)
