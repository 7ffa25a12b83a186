"""A sample as a person sees it: every segment token by token, what carries loss, where the views lie and are read.

Nothing depends on colour. A row of ▔ stands under labels, └─ under a view, and a ▲ under the token at which a state is read:

    <|user|> lines ·with ·a ·number <|assistant|> [ 0 - 9 ] <|end|>
             └Text────────────────▲Enc(Text)      ▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from rich.cells import cell_len, set_cell_size
from rich.text import Text
from transformers import PreTrainedTokenizerBase

from llm_jepa.packing.layout import Forest, Layout, Pair, Segment
from llm_jepa.views.predictor import slot_index
from llm_jepa.views.tokenize import Sample, TokenView

WHOLE, AROUND = 400, 40
"""Up to `WHOLE` tokens of a segment are shown; of a longer one, `AROUND` tokens on either side of every border."""

INDENT = "  "
LABEL, SPECIAL, SLOT, READ = "bold green", "yellow", "bold reverse", "bold"
VIEWS = ("cyan", "magenta", "blue")
VISIBLE = {" ": "·", "\n": "⏎", "\t": "⇥", "\r": "␍"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One token as it is shown.

    Attributes:
        text: the token, with white space made visible.
        kind: the style of what is no plain token: `SPECIAL` or `SLOT`.
        label: whether it carries next-token loss.
        view: index of the view it belongs to, where that view is read in this segment.
        begins: whether the view begins here.
        reads: what is read at it, such as "Enc(Text)".
        ends: whether it ends a line.
    """

    text: str
    kind: str = ""
    label: bool = False
    view: int | None = None
    begins: bool = False
    reads: tuple[str, ...] = ()
    ends: bool = False

    @property
    def style(self) -> str:
        """The style in which rich prints it; a label is bold."""
        if self.view is not None and self.kind != SLOT:
            return f"{'bold ' if self.label else ''}{view_style(self.view)}"
        return LABEL if self.label else self.kind


@dataclass(frozen=True, slots=True)
class ShownSegment:
    """A segment as it is shown.

    Attributes:
        title: what it is, such as "Code alone"; the same for all samples with the same views.
        sees: which tokens of another segment it sees, if any.
        cells: its tokens.
    """

    title: str
    sees: str
    cells: tuple[Cell, ...]


class Pieces:
    """The visible text of single tokens of one tokenizer."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        # Some decoders drop the space before the first token of a text, so every token is decoded behind this one.
        self._anchor: list[int] = list(tokenizer("a", add_special_tokens=False)["input_ids"])
        self._start = self._decode([])
        self._special = {index for index, token in tokenizer.added_tokens_decoder.items() if token.special}

    def __call__(self, token: int) -> Cell:
        """Return how a token looks by itself."""
        if token < 0:
            return Cell(text=f"[PRED {slot_index(token) + 1}]", kind=SLOT)
        text = self._decode([token])[len(self._start) :]
        if token in self._special:
            return Cell(text="".join(map(_visible, text.strip())), kind=SPECIAL)
        shown = "".join(map(_visible, text))
        return Cell(text=shown or str(self._tokenizer.convert_ids_to_tokens(token)), ends="\n" in text)

    def _decode(self, ids: list[int]) -> str:
        return str(self._tokenizer.decode(self._anchor + ids, clean_up_tokenization_spaces=False))


def view_names(sample: Sample) -> list[str]:
    """Return "Text" and "Code", or "View 1" to "View n" for a group."""
    if len(sample.views) == 2 and len(sample.sequences) == 1:
        return ["Text", "Code"]
    return [f"View {index + 1}" for index in range(len(sample.views))]


def view_style(index: int) -> str:
    """Return the colour of a view."""
    return VIEWS[index % len(VIEWS)]


def segments(sample: Sample, layout: Layout, piece: Callable[[int], Cell]) -> list[ShownSegment]:
    """Return how every segment of the sample's forest looks.

    Args:
        sample: the sample.
        layout: how it becomes segments.
        piece: the look of a token by itself, such as `Pieces(tokenizer)`.
    """
    forest = layout.forest(sample)
    rows = [
        [
            replace(piece(token), label=bool(index and segment.trained and segment.trained[index]))
            for index, token in enumerate(segment.ids)
        ]
        for segment in forest.segments
    ]
    names = view_names(sample)
    titles = _titles(sample, len(rows))
    for (predicting, predicted), pair in zip(layout.direction.pairs(len(names)), forest.pairs, strict=True):
        source = _source(pair, forest, layout)
        for view, last, read in ((predicted, pair.target, pair.target), (predicting, source, pair.predicted)):
            span = _span(sample.views[view], forest.segments[last[0]], last[1], layout, slotted=view == predicting)
            for at in span:
                rows[last[0]][at] = replace(rows[last[0]][at], view=view, begins=at == span[0])
            hung = forest.segments[read[0]].parent is not None
            slots = f"[PRED] {'before' if layout.prepend else 'behind'} {names[view]}"
            titles[read[0]] = titles[read[0]] or (slots if hung else f"{names[view]} alone")
        _read(rows, pair.target, f"Enc({names[predicted]})")
        if not (layout.prepend and layout.k) and layout.last_token is None:
            _read(rows, source, f"Enc({names[predicting]})")
        _read(rows, pair.predicted, f"Pred→{names[predicted]}")
    return [ShownSegment(*shown) for shown in zip(titles, map(_sees, forest.segments), map(tuple, rows), strict=True)]


def picture(sample: Sample, layout: Layout, piece: Callable[[int], Cell], *, width: int) -> Iterator[Text]:
    """Yield the lines of a sample's picture, each at most `width` columns wide."""
    for index, segment in enumerate(segments(sample, layout, piece)):
        tokens, labels = len(segment.cells), sum(cell.label for cell in segment.cells)
        counts = f"{tokens} token{'s' * (tokens != 1)}" + f", {labels} label{'s' * (labels != 1)}" * bool(labels)
        head = Text.assemble((f"segment {index}", "bold"), f"  {segment.title}{segment.sees}", (f"  {counts}", "dim"))
        head.truncate(width, overflow="ellipsis")
        yield head
        for line in _wrap(_elide(segment.cells), width - len(INDENT)):
            yield from _drawn(line, view_names(sample), width - len(INDENT))


def legend() -> Text:
    """Return how to read a picture, in lines of at most 80 columns."""
    return Text.assemble(
        "A gap ends a token; · is a space, ⏎ a newline, ⇥ a tab.  ",
        *(("▔▔▔", LABEL), " label: carries loss\n"),
        *(("└Text───", VIEWS[0]), " a view as it is encoded;  "),
        *(("▲", READ), " where a state is read: Enc, and Pred→target"),
    )


def _source(pair: Pair, forest: Forest, layout: Layout) -> tuple[int, int]:
    """Return the last token of the view that predicts."""
    segment, at = pair.predicted
    parent, visible = forest.segments[segment].parent, forest.segments[segment].visible
    if layout.k == 0 or layout.prepend:
        return segment, at
    return (segment, at - layout.k) if parent is None else (parent, visible - 1)


def _span(view: TokenView, segment: Segment, last: int, layout: Layout, *, slotted: bool) -> range:
    """Return which tokens of a segment are the view's own text."""
    alone = not segment.trained and segment.parent is None
    length = len(view.framed) - view.frame if alone and layout.framed else len(view.ids)
    if layout.last_token is None:
        return range(last + 1 - length, last + 1)
    start = view.frame + (layout.k if slotted and layout.prepend else 0)
    return range(start, min(start + length, len(segment.ids)))


def _read(rows: Sequence[list[Cell]], place: tuple[int, int], name: str) -> None:
    cell = rows[place[0]][place[1]]
    if name not in cell.reads:
        rows[place[0]][place[1]] = replace(cell, reads=(*cell.reads, name))


def _titles(sample: Sample, count: int) -> list[str]:
    """Return what the first segments are, the trained sequences; the other titles are empty."""
    several = len(sample.sequences) > 1
    trained = [f"trained sequence of View {index + 1}" for index in range(len(sample.sequences))]
    return (trained if several else ["trained sequence"]) + [""] * (count - len(trained))


def _sees(segment: Segment) -> str:
    return "" if segment.parent is None else f", sees the first {segment.visible} tokens of segment {segment.parent}"


def _visible(character: str) -> str:
    if character in VISIBLE:
        return VISIBLE[character]
    return character if character.isprintable() else f"\\u{ord(character):04x}"


def _elide(cells: Sequence[Cell]) -> list[Cell]:
    """Return the cells, those of a long segment that are far from every border replaced by their number."""
    if len(cells) <= WHOLE:
        return list(cells)
    looks = [(cell.label, cell.view, cell.kind == SLOT, cell.reads) for cell in cells]
    borders = [0, len(cells), *(index for index in range(1, len(cells)) if looks[index] != looks[index - 1])]
    near = {index for border in borders for index in range(border - AROUND, border + AROUND)}
    result: list[Cell] = []
    for kept, group in groupby(range(len(cells)), key=lambda index: index in near):
        part = [cells[index] for index in group]
        gap = replace(part[0], text=f"… {len(part):,} tokens …", kind=SPECIAL, ends=True)
        result.extend(part if kept else [gap])
    return result


def _wrap(cells: Iterable[Cell], width: int) -> Iterator[list[Cell]]:
    """Yield lines of cells, broken where a token ends the line or would pass the width."""
    line: list[Cell] = []
    used = 0
    for cell in cells:
        size = cell_len(cell.text)
        fitting = cell if size <= width else replace(cell, text=set_cell_size(cell.text, width - 1) + "…")
        size = min(size, width)
        if line and (line[-1].ends or used + 1 + size > width):
            yield line
            line, used = [], 0
        used += size + bool(line)
        line.append(fitting)
    yield line


@dataclass(frozen=True, slots=True)
class _Note:
    """A text under a line, from a column on."""

    column: int
    text: str
    style: str


def _drawn(line: Sequence[Cell], names: Sequence[str], width: int) -> Iterator[Text]:
    """Yield a line of tokens, and below it as many lines as its notes need."""
    starts = [0]
    for cell in line:
        starts.append(starts[-1] + cell_len(cell.text) + 1)
    yield _joined([_Note(start, cell.text, cell.style) for start, cell in zip(starts, line, strict=False)])
    rows: list[list[_Note]] = []
    for note in [*_rulers(line, starts, names), *_readings(line, starts, width)]:
        free = next((row for row in rows if all(_apart(note, other) for other in row)), None)
        if free is None:
            rows.append([note])
        else:
            free.append(note)
    for row in rows:
        yield _joined(sorted(row, key=lambda note: note.column))


def _rulers(line: Sequence[Cell], starts: Sequence[int], names: Sequence[str]) -> Iterator[_Note]:
    """Yield what stands under whole runs of tokens: labels, then views."""
    for label, group in groupby(range(len(line)), key=lambda index: line[index].label):
        run = list(group)
        if label:
            yield _Note(starts[run[0]], "▔" * (starts[run[-1] + 1] - starts[run[0]] - 1), LABEL)
    for view, group in groupby(range(len(line)), key=lambda index: line[index].view):
        run = list(group)
        if view is not None:
            length = starts[run[-1] + 1] - starts[run[0]] - 1 - bool(line[run[-1]].reads)
            name = names[view] if len(names[view]) < length else ""
            ruler = f"{'└' if line[run[0]].begins else '─'}{name}".ljust(length, "─")
            yield _Note(starts[run[0]], ruler[:length], view_style(view))


def _readings(line: Sequence[Cell], starts: Sequence[int], width: int) -> Iterator[_Note]:
    """Yield a ▲ under the last column of every token that is read, with its name on the side that has room."""
    for index, cell in enumerate(line):
        if cell.reads:
            name, column = ", ".join(cell.reads), starts[index + 1] - 2
            if column + 1 + len(name) <= width:
                yield _Note(column, f"▲{name}", READ)
            else:
                yield _Note(max(0, column - len(name)), f"{name}▲", READ)


def _apart(one: _Note, other: _Note) -> bool:
    return one.column >= other.column + len(other.text) or other.column >= one.column + len(one.text)


def _joined(notes: Sequence[_Note]) -> Text:
    text = Text(INDENT, no_wrap=True, overflow="crop")
    for note in notes:
        text.append(" " * (len(INDENT) + note.column - text.cell_len)).append(note.text, note.style)
    return text
