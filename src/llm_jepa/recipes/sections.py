"""What a page of a recipe is made of."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A part of the page.

    Attributes:
        title: its heading.
        text: sentences above the table.
        columns: names of the columns; empty: there is no table.
        rows: cells of the table, the first of each the row's name.
        links: names and addresses, relative to the page.
        literal: cells are what models or people wrote, and are set as code.
    """

    title: str
    text: Sequence[str] = ()
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    links: Sequence[tuple[str, str]] = ()
    literal: bool = False
