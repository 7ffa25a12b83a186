"""The tables of `llm-jepa data describe`. Names fold in a narrow terminal; no number is cut from NARROWEST columns on."""

from collections.abc import Iterator, Mapping

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from llm_jepa.experiments.inspect.data_facts import Leak, SplitFacts, Spread

NARROWEST = 60
"""Columns; a narrower terminal shows lines of this width and breaks them itself."""

WORD = len("validation")
"""Columns that a word of ours needs."""


def split_table(splits: Mapping[str, SplitFacts]) -> Table:
    """Return the table of rows and repetitions, one row a split."""
    table = _table("rows", "Text\nrepeated", "answer\nrepeated too")
    for name, facts in splits.items():
        counts = (facts.rows, facts.repeated_text, facts.repeated)
        table.add_row(Text(name), *(Text(f"{count:,}") for count in counts))
    return table


def length_table(splits: Mapping[str, SplitFacts]) -> Table:
    """Return the table of lengths, one row a split, part and unit."""
    table = _table("least", "median", "p95", "most", text=("length of",))
    for name, facts in splits.items():
        rows = [(f"{part.name} {unit}", lengths) for part in facts.parts for unit, lengths in part.lengths.items()]
        for index, (what, lengths) in enumerate(rows):
            table.add_row(Text(name if index == 0 else ""), Text(what), *map(Text, _numbers(lengths)))
    return table


def label_lines(splits: Mapping[str, SplitFacts]) -> Iterator[Text]:
    """Yield a line a split with the shares of its labels, where labels are few."""
    for name, facts in splits.items():
        if facts.labels:
            shares = [f"{label} {count:,} ({count / facts.rows:.1%})" for label, count in facts.labels.items()]
            yield Text(f"{name}: {', '.join(shares)}")


def leak_table(leaks: tuple[Leak, ...]) -> Table:
    """Return the table of rows that occur in another split, counted and as a share of the held-out rows."""
    table = _table("same\nText", "same Text\nand answer", "same\nanswer", text=("occur in",))
    for each in leaks:
        counts = (each.same_text, each.same, each.same_answer)
        cells = ("-" if count is None else f"{count:,}\n({count / each.rows:.1%})" for count in counts)
        table.add_row(Text(each.held_out), Text(each.train), *map(Text, cells))
    return table


def section(title: str, *lines: RenderableType) -> Group:
    """Return a titled block, its lines indented."""
    return Group(Text(f"\n{title}", "bold"), *(Padding(line, (0, 0, 0, 2)) for line in lines))


def _table(*numbers: str, text: tuple[str, ...] = ()) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("split", *text):
        table.add_column(name, overflow="fold", min_width=WORD)
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _numbers(lengths: Spread) -> tuple[str, ...]:
    values = (lengths.minimum, lengths.median, lengths.p95, lengths.maximum)
    return tuple(f"{value:,.0f}" if value == int(value) else f"{value:,.1f}" for value in values)
