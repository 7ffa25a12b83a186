"""Samples <-> arrays of numbers, as a file holds them or a process hands them to another."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from llm_jepa.views.tokenize import MarkedView, Sample, TokenSequence, TokenView

Columns: TypeAlias = Mapping[str, NDArray[np.int32] | NDArray[np.bool_]]
"""Arrays of one dimension by name. What varies in length lies end to end in one, and its lengths in another."""

_NONE = -1
"""Stands for None: a place is never negative."""


def to_columns(samples: Sequence[Sample]) -> dict[str, NDArray[np.int32] | NDArray[np.bool_]]:
    """Return what samples hold, without their names."""
    sequences = [sequence for sample in samples for sequence in sample.sequences]
    views = [view for sample in samples for view in sample.views]
    return {
        "sequences": _numbers(len(sample.sequences) for sample in samples),
        "views": _numbers(len(sample.views) for sample in samples),
        **_ragged("predictor", [sample.predictor for sample in samples]),
        **_ragged("sequence.ids", [sequence.ids for sequence in sequences]),
        "sequence.trained": np.fromiter(chain.from_iterable(sequence.trained for sequence in sequences), np.bool_),
        "sequence.after": _numbers(sequence.after for sequence in sequences),
        **_ragged("view.ids", [view.ids for view in views]),
        **_ragged("view.framed", [view.framed for view in views]),
        **_ragged("view.tail", [view.tail for view in views]),
        **_ragged("view.marked", [() if view.marked is None else view.marked.ids for view in views]),
        "view.marked_end": _numbers(_NONE if view.marked is None else view.marked.end for view in views),
        "view.frame": _numbers(view.frame for view in views),
        "view.sequence": _numbers(_NONE if view.sequence is None else view.sequence for view in views),
        "view.start": _numbers(view.start for view in views),
        "view.end": _numbers(view.end for view in views),
    }


def from_columns(columns: Columns, names: Iterable[str]) -> Iterator[Sample]:
    """Yield the samples that `to_columns` was given, under these names."""
    sequences, views = _sequences(columns), _views(columns)
    counts = zip(columns["sequences"].tolist(), columns["views"].tolist(), _parts(columns, "predictor"), strict=True)
    for name, (trained, seen, predictor) in zip(names, counts, strict=True):
        yield Sample(name, tuple(islice(sequences, trained)), tuple(islice(views, seen)), predictor)


def _sequences(columns: Columns) -> Iterator[TokenSequence]:
    trained = tuple(columns["sequence.trained"].tolist())
    end = 0
    for ids, after in zip(_parts(columns, "sequence.ids"), columns["sequence.after"].tolist(), strict=True):
        start, end = end, end + len(ids)
        yield TokenSequence(ids, trained[start:end], after)


def _views(columns: Columns) -> Iterator[TokenView]:
    parts = (_parts(columns, f"view.{name}") for name in ("ids", "framed", "tail", "marked"))
    places = (columns[f"view.{name}"].tolist() for name in ("marked_end", "frame", "sequence", "start", "end"))
    for ids, framed, tail, marked, marked_end, frame, sequence, start, end in zip(*parts, *places, strict=True):
        put = None if marked_end == _NONE else MarkedView(marked, marked_end)
        yield TokenView(ids, framed, frame, tail, put, None if sequence == _NONE else sequence, start, end)


def _numbers(values: Iterable[int]) -> NDArray[np.int32]:
    return np.fromiter(values, np.int32)


def _ragged(name: str, parts: Sequence[tuple[int, ...]]) -> dict[str, NDArray[np.int32]]:
    return {name: _numbers(chain.from_iterable(parts)), f"{name}.lengths": _numbers(len(part) for part in parts)}


def _parts(columns: Columns, name: str) -> Iterator[tuple[int, ...]]:
    flat = tuple(columns[name].tolist())
    end = 0
    for length in columns[f"{name}.lengths"].tolist():
        start, end = end, end + length
        yield flat[start:end]
