"""What a panel of the report is."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One drawn figure.

    Attributes:
        name: file name without its ending.
        title: what it shows; also its alternative text.
        svg: the drawing.
        caption: how to read it; empty where the panel before says it.
    """

    name: str
    title: str
    svg: str
    caption: str
