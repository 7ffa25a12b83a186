"""The terminal of a person: texts of data, models and files are shown on it, and never rule it."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from rich.console import Console, ConsoleOptions, RenderableType
from rich.measure import Measurement
from rich.segment import Segment
from rich.table import Table

Column = TypeVar("Column")

_KEPT = "\n\t"
_TURNING = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""Marks that turn the direction of the text that follows."""
_SHOWN = {
    code: ascii(chr(code))[1:-1]
    for code in (*range(0x20), *range(0x7F, 0xA0), *map(ord, _TURNING))
    if chr(code) not in _KEPT
}
"""Every character that a terminal acts on, and the escape that is shown in its place."""


class Screen(Console):
    r"""A console of rich that prints escapes for the control characters in what it is given.

    Without it a name such as "\x1b]0;..." would set the title of the window, or clear the screen, or paint over a result.
    """

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render, with control characters as escapes; the codes of colours are rich's own and stay."""
        for segment in super().render(renderable, options):
            if segment.control:
                yield segment
            else:
                yield Segment(segment.text.translate(_SHOWN), segment.style)


def fitting(console: Console, columns: Sequence[Column], build: Callable[[Sequence[Column]], Table]) -> Iterator[Table]:
    """Yield a table of all columns, or one below the other tables of as many as fit, so that no number is cut.

    Args:
        console: how wide it is decides.
        columns: what a column is made of.
        build: from some of them to their table.
    """
    start, endless = 0, console.options.update(width=10_000)
    while start < len(columns):
        end = len(columns)
        while end > start + 1 and Measurement.get(console, endless, build(columns[start:end])).maximum > console.width:
            end -= 1
        yield build(columns[start:end])
        start = end
