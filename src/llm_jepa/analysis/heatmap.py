"""One number for every pair of two settings, as a grid of cells with the number in each (the paper's Figure 7)."""

from collections.abc import Mapping
from dataclasses import dataclass

import matplotlib as mpl
from matplotlib.colors import LinearSegmentedColormap, to_hex
from matplotlib.patches import Rectangle

from llm_jepa.analysis import figures

_LOW, _HIGH = "#e9f2fa", "#0b4f85"
_DARK, _LIGHT = "#10202e", "#ffffff"
_BEST = "#d55e00"
_TURN = 0.179
"""Relative luminance at which black and white digits have the same contrast, 4.6 (WCAG 2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One cell.

    Attributes:
        value: the mean, in the unit that is printed.
        deviation: the deviation over seeds, in the same unit; None when there is one seed.
    """

    value: float
    deviation: float | None = None


def heat_map(cells: Mapping[tuple[float, float], Cell], *, title: str, x_label: str, y_label: str, description: str) -> str:
    """Draw a grid; the highest cell has a frame. Pairs that were not measured stay empty.

    Args:
        cells: by (x, y) the cell, at least one.
        title: what is shown.
        x_label: name of the first setting.
        y_label: name of the second, whose values grow upwards.
        description: what is shown, in full, for those who do not see it.
    """
    columns, rows = (sorted({key[axis] for key in cells}) for axis in (0, 1))
    low, high = min(cell.value for cell in cells.values()), max(cell.value for cell in cells.values())
    scale = LinearSegmentedColormap.from_list("scale", [_LOW, _HIGH])
    with mpl.rc_context(figures.SETTINGS):
        figure, axes = figures.panel(title, x_label, y_label, height=1.35 + 0.46 * len(rows))
        for (x, y), cell in cells.items():
            place = columns.index(x), rows.index(y)
            share = (cell.value - low) / (high - low) if high > low else 0.0
            axes.add_patch(Rectangle(place, 0.96, 0.94, color=to_hex(scale(share)), linewidth=0))
            deviation = "" if cell.deviation is None else f" ± {cell.deviation:.1f}"
            ink = _DARK if _luminance(scale(share)) > _TURN else _LIGHT
            axes.text(
                place[0] + 0.48,
                place[1] + 0.47,
                f"{cell.value:.1f}{deviation}",
                color=ink,
                ha="center",
                va="center",
                size=8.5,
            )
        best = max(cells, key=lambda key: cells[key].value)
        frame = Rectangle(
            (columns.index(best[0]), rows.index(best[1])), 0.96, 0.94, fill=False, edgecolor=_BEST, linewidth=2
        )
        axes.add_patch(frame)
        axes.set_xlim(-0.02, len(columns))
        axes.set_ylim(-0.04, len(rows))
        axes.set_xticks([i + 0.48 for i in range(len(columns))], [f"{value:g}" for value in columns])
        axes.set_yticks([i + 0.47 for i in range(len(rows))], [f"{value:g}" for value in rows])
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        return figures.svg(figure, description)


def _luminance(colour: tuple[float, float, float, float]) -> float:
    """Return the relative luminance of a colour as WCAG 2 defines it."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour[:3]]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
