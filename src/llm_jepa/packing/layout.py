"""A sample as a forest of segments, which one forward encodes exactly (docs/architecture.md).

A segment is a root, or hangs on a prefix of a root: a token sees itself, what precedes it in its own segment, and the
visible prefix of the parent. Positions are depths along that path. With Text `t`, Code `c`, and k = 2 [PRED] slots `p`,
the shared layout of one pair is

    segment 0   [prompt t t t | c c <stop>]     next-token prediction; Enc(Text) is read at the last t
    segment 1          prefix t t t -> [p p]    Pred(Enc(Text)) is read at the last p
    segment 2                         [c c]     Enc(Code) is read at the last c

so that the extra cost is k + |Code| tokens. In the separate layout each view is a root of its own.
"""

from dataclasses import dataclass

from llm_jepa.errors import UserError
from llm_jepa.views.pairs import Direction
from llm_jepa.views.predictor import slots, with_predictor
from llm_jepa.views.tokenize import Sample, TokenView

MOST = 1024
"""[PRED] tokens a view: far above any use, and far below what would fill the memory before a length is looked at."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Consecutive tokens that share what they see.

    Attributes:
        ids: token ids; a negative number is a predictor slot (`views.predictor`).
        trained: for every token whether it carries next-token loss; empty when none does.
        parent: index of the root segment it hangs on; None for a root.
        visible: how many of the parent's first tokens it sees.
    """

    ids: tuple[int, ...]
    trained: tuple[bool, ...] = ()
    parent: int | None = None
    visible: int = 0


@dataclass(frozen=True, slots=True)
class Pair:
    """Where one prediction and its target are read, each as (segment, token in the segment)."""

    predicted: tuple[int, int]
    target: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Forest:
    """The segments of one sample, and the pairs read from them."""

    name: str
    segments: tuple[Segment, ...]
    pairs: tuple[Pair, ...]

    @property
    def tokens(self) -> int:
        """Number of tokens of all segments."""
        return sum(len(segment.ids) for segment in self.segments)

    @property
    def seen(self) -> int:
        """How many tokens each token sees, itself included, summed over the tokens; a sliding window hides none of them."""
        sizes = ((len(segment.ids), segment.visible) for segment in self.segments)
        return sum(count * visible + count * (count + 1) // 2 for count, visible in sizes)

    @property
    def depth(self) -> int:
        """Positions that the longest segment reaches: its own tokens and the prefix it sees."""
        return max(segment.visible + len(segment.ids) for segment in self.segments)


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How samples become forests.

    Attributes:
        k: number of [PRED] tokens, 0 or more (paper: 0 to 4); with 0 the predictor is the identity.
        prepend: put the [PRED] tokens before the view instead of after it (Table 3).
        shared: read the first view from the trained sequence itself; else every view is a segment of its own.
        framed: a view of its own is what the chat template makes of it as a single message (the official views), not the
            bare content. Without effect on a view that is read from the sequence.
        direction: which view predicts which.
        last_token: where a framed view is read, counted from the end of its rendering, -1 for the last token (the official
            code's number, one a family); the view is then followed by what the template puts after it. None: the last token
            of its own text, or of its [PRED] tokens, by construction.

    Raises:
        ValueError: a value is out of range, or does not fit the others.
    """

    k: int = 1
    prepend: bool = False
    shared: bool = True
    framed: bool = False
    direction: Direction = Direction.text_to_code
    last_token: int | None = None

    def __post_init__(self) -> None:
        """Check the values."""
        if not 0 <= self.k <= MOST:
            raise ValueError(f"k is {self.k}, but a number of [PRED] tokens is 0 to {MOST} (the paper takes up to 4)")
        if self.last_token is None:
            return
        if self.last_token >= 0:
            raise ValueError(f"last_token is {self.last_token}, but it counts from the end: -1 is the last token")
        if self.shared or not self.framed:
            raise ValueError("last_token counts in framed views of their own: set shared to false and framed to true")

    def forest(self, sample: Sample) -> Forest:
        """Return all segments: the trained sequences, then what the JEPA term needs besides."""
        pairs = self.direction.pairs(len(sample.views))
        builder = _Builder(self, sample, {predicting for predicting, _ in pairs})
        made = tuple(builder.pair(*pair) for pair in pairs)
        return Forest(sample.name, tuple(builder.segments), made)


def plain_forest(sample: Sample) -> Forest:
    """Return the trained sequences alone: plain next-token prediction, or a step whose JEPA term is dropped.

    Example:
        >>> from llm_jepa.views.tokenize import TokenSequence
        >>> plain_forest(Sample("a:1", (TokenSequence((5, 6), (False, True)),), ())).tokens
        2
    """
    return Forest(sample.name, tuple(Segment(item.ids, item.trained) for item in sample.sequences), ())


class _Builder:
    """Adds segments as they are first needed, so that a view which is both predicted and predicting is encoded once."""

    def __init__(self, layout: Layout, sample: Sample, predicting: set[int]) -> None:
        if layout.k and sample.predictor and len(sample.predictor) != layout.k:
            raise UserError(f"{sample.name}: tokenised for k = {len(sample.predictor)}, but layout.k is {layout.k}")
        self.segments = list(plain_forest(sample).segments)
        self._layout = layout
        self._sample = sample
        self._predictor = (sample.predictor or slots(layout.k)) if layout.k else ()
        self._predicting = predicting
        # What stands after a view is invisible to it, so one segment serves both readings; what stands before it is not.
        self._apart = layout.prepend or layout.last_token is not None or (layout.framed and bool(sample.predictor))
        self._alone: dict[tuple[int, bool], tuple[int, int]] = {}

    def pair(self, predicting: int, predicted: int) -> Pair:
        """Return where view `predicting` predicts view `predicted`."""
        return Pair(self._prediction(predicting), self._embedding(predicted))

    def _embedding(self, index: int) -> tuple[int, int]:
        view = self._sample.views[index]
        if self._layout.shared and view.sequence is not None:
            return view.sequence, view.end - 1
        slotted = index in self._predicting and not self._apart
        segment, read = self._segment(index, slotted=slotted)
        return segment, read - (self._layout.k if slotted else 0)

    def _prediction(self, index: int) -> tuple[int, int]:
        view = self._sample.views[index]
        if self._layout.k == 0:
            return self._embedding(index)
        if self._layout.shared and view.sequence is not None:
            segment = self._hang(view, view.sequence)
            return segment, len(self.segments[segment].ids) - 1
        return self._segment(index, slotted=True)

    def _hang(self, view: TokenView, parent: int) -> int:
        """Hang the slots on the prefix that ends with the view; slots before the view need it encoded anew."""
        if self._layout.prepend:
            return self._add(Segment((*self._predictor, *view.ids), parent=parent, visible=view.start))
        return self._add(Segment(self._predictor, parent=parent, visible=view.end))

    def _segment(self, index: int, *, slotted: bool) -> tuple[int, int]:
        """Return the root segment of a view of its own, with or without the slots, and where it is read.

        Nothing that is read depends on what stands behind it, so the segment ends there.
        """
        if (index, slotted) not in self._alone:
            ids, end = self._rendering(self._sample.views[index], self._predictor if slotted else ())
            read = end - 1 if self._layout.last_token is None else len(ids) + self._layout.last_token
            if read < 0:
                raise UserError(
                    f"{self._sample.name}: a view has {len(ids)} tokens, but layout.last_token is {self._layout.last_token}"
                )
            self._alone[index, slotted] = self._add(Segment(ids[: read + 1])), read
        return self._alone[index, slotted]

    def _rendering(self, view: TokenView, predictor: tuple[int, ...]) -> tuple[tuple[int, ...], int]:
        """Return a view of its own with all that the template puts around it, and where its own text ends."""
        if not self._layout.framed:
            ids = with_predictor(view.ids, predictor, prepend=self._layout.prepend)
            return ids, len(ids)
        if not view.framed:
            raise UserError(f"{self._sample.name}: framed views need `Tokenizer(..., framed=True)`")
        if predictor and view.marked is not None:
            return view.marked.ids, view.marked.end
        content = with_predictor(view.framed[view.frame :], predictor, prepend=self._layout.prepend)
        ids = (*view.framed[: view.frame], *content)
        return (*ids, *view.tail), len(ids)

    def _add(self, segment: Segment) -> int:
        self.segments.append(segment)
        return len(self.segments) - 1
