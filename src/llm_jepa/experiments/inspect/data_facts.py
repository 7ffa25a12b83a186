"""Facts of a data set, counted from its examples: lengths, labels, repeated rows, and rows of one split found in another.

Two rows are the same here when the strings are. The Text that is compared is the whole question (all that is asked before
the answer, so in HellaSwag the endings too), and of a group without messages all of its views. The Text whose length is
given is the first view.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TypeAlias

from llm_jepa.records import SYSTEM, Example

FEW_LABELS = 20
"""Distinct answers; a split with more, or with fewer than ten rows to each, has no labels to balance."""

CountTokens: TypeAlias = Callable[[Sequence[str]], list[int]]
"""Texts -> the number of tokens of each, without special tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """How a length is spread over texts: the smallest, the middle one, the 95th percentile (nearest rank), the largest."""

    minimum: float
    median: float
    p95: float
    maximum: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The lengths of one part of the rows.

    Attributes:
        name: "Text" (the first view), "Code" (the last), or "views": all views of groups without messages.
        lengths: by unit: "characters", "words" (between white space), and where a tokenizer is given "tokens".
    """

    name: str
    lengths: Mapping[str, Spread]


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitFacts:
    """What one split is.

    Attributes:
        rows: how many.
        parts: their lengths.
        labels: rows by answer, the most frequent first; empty where answers are many.
        repeated_text: rows whose Text an earlier row of the split has.
        repeated: those of them that have its answer too.
    """

    rows: int
    parts: tuple[Part, ...]
    labels: Mapping[str, int]
    repeated_text: int
    repeated: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Leak:
    """How many rows of one split occur in another.

    Attributes:
        held_out: the split whose rows are counted.
        rows: how many it has.
        train: the split that is searched.
        same_text: rows whose Text occurs there.
        same: rows whose Text and answer occur there together.
        same_answer: rows whose answer occurs there; None for groups without messages, which have none.
    """

    held_out: str
    rows: int
    train: str
    same_text: int
    same: int
    same_answer: int | None


def split_facts(examples: Sequence[Example], count_tokens: CountTokens | None = None) -> SplitFacts:
    """Return the facts of one split, which must have rows."""
    texts = Counter(map(_text, examples))
    pairs = Counter((_text(example), example.answer) for example in examples)
    return SplitFacts(
        rows=len(examples),
        parts=_parts(examples, count_tokens),
        labels=_labels(examples),
        repeated_text=len(examples) - len(texts),
        repeated=len(examples) - len(pairs),
    )


def leak(held_out: tuple[str, Sequence[Example]], train: tuple[str, Sequence[Example]]) -> Leak:
    """Return how many rows of the first split, given with its name, occur in the second."""
    (name, rows), (source, known) = held_out, train
    texts = {_text(example) for example in known}
    pairs = {(_text(example), example.answer) for example in known}
    answers = {example.answer for example in known if example.messages}
    return Leak(
        held_out=name,
        rows=len(rows),
        train=source,
        same_text=sum(_text(example) in texts for example in rows),
        same=sum((_text(example), example.answer) in pairs for example in rows),
        same_answer=sum(example.answer in answers for example in rows) if answers else None,
    )


def spread(lengths: Sequence[int]) -> Spread:
    """Return the spread of lengths, of which there must be one.

    Example:
        >>> spread([3, 1, 2, 10])
        Spread(minimum=1, median=2.5, p95=10, maximum=10)
    """
    ordered = sorted(lengths)
    return Spread(
        minimum=ordered[0],
        median=median(ordered),
        p95=ordered[math.ceil(0.95 * len(ordered)) - 1],
        maximum=ordered[-1],
    )


def _text(example: Example) -> tuple[str, ...]:
    """Return what is asked, or all views where there are no messages."""
    asked = tuple(message.content for message in example.prompt if message.role != SYSTEM)
    return asked if example.messages else tuple(view.content for view in example.views)


def _parts(examples: Sequence[Example], count_tokens: CountTokens | None) -> tuple[Part, ...]:
    if any(example.messages for example in examples):
        views = {
            "Text": [example.views[0].content for example in examples],
            "Code": [example.views[-1].content for example in examples],
        }
    else:
        views = {"views": [view.content for example in examples for view in example.views]}
    return tuple(Part(name=name, lengths=_lengths(texts, count_tokens)) for name, texts in views.items())


def _lengths(texts: Sequence[str], count_tokens: CountTokens | None) -> dict[str, Spread]:
    lengths = {
        "characters": spread([len(text) for text in texts]),
        "words": spread([len(text.split()) for text in texts]),
    }
    if count_tokens is not None:
        lengths["tokens"] = spread(count_tokens(texts))
    return lengths


def _labels(examples: Sequence[Example]) -> dict[str, int]:
    counts = Counter(example.answer for example in examples if example.messages)
    few = len(counts) <= FEW_LABELS and 10 * len(counts) <= len(examples)
    return dict(counts.most_common()) if few else {}
