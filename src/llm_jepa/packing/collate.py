"""Forests -> packed rows of tensors, padded to the longest row."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum

import torch

from llm_jepa.errors import UserError
from llm_jepa.packing.batch import PackedBatch
from llm_jepa.packing.layout import Forest, Layout, Segment, plain_forest
from llm_jepa.packing.mask import Visibility
from llm_jepa.packing.rows import ONE_EACH, Rows, spread_evenly
from llm_jepa.views.predictor import slot_index
from llm_jepa.views.tokenize import Sample


@dataclass(slots=True)
class _Row:
    """One row under construction, as lists over its tokens; labels as (where it is predicted, token)."""

    ids: list[int] = field(default_factory=list[int])
    slot: list[int] = field(default_factory=list[int])
    segment_start: list[int] = field(default_factory=list[int])
    prefix_start: list[int] = field(default_factory=list[int])
    prefix_end: list[int] = field(default_factory=list[int])
    position: list[int] = field(default_factory=list[int])
    labels: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    sequences: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])

    def add(self, segment: Segment, starts: Sequence[int], pad: int) -> int:
        """Append a segment whose parent, if any, starts at `starts[parent]`; return where it starts."""
        start, count = len(self.ids), len(segment.ids)
        parent = start if segment.parent is None else starts[segment.parent]
        self.slot.extend(slot_index(token) for token in segment.ids)
        self.ids.extend(pad if token < 0 else token for token in segment.ids)
        self.segment_start.extend([start] * count)
        self.prefix_start.extend([parent] * count)
        self.prefix_end.extend([parent + segment.visible] * count)
        self.position.extend(range(segment.visible, segment.visible + count))
        if segment.trained:
            self.sequences.append((start, start + count))
            following = enumerate(zip(segment.ids, segment.trained, strict=True))
            self.labels.extend((start + index - 1, token) for index, (token, trained) in following if trained and index)
        return start

    def pad(self, length: int, pad: int) -> None:
        """Fill up to `length` tokens with pads, each of which sees itself alone."""
        own = range(len(self.ids), length)
        self.ids.extend([pad] * len(own))
        self.slot.extend([-1] * len(own))
        self.segment_start.extend(own)
        self.prefix_start.extend(own)
        self.prefix_end.extend(own)
        self.position.extend([0] * len(own))


Places = list[list[tuple[int, int]]]
"""For every forest, for every segment: (row, first token)."""


def _longest(tokens: int) -> int:
    return tokens


def pack(
    forests: Sequence[Forest], *, pad: int, samples_per_row: int = 1, row_length: Callable[[int], int] = _longest
) -> PackedBatch:
    """Pack forests into rows: `samples_per_row` to a row, balanced by length.

    Args:
        forests: at least one.
        pad: a valid token id; pads and slots hold it, and nothing depends on which it is.
        samples_per_row: how many samples share a row; more rows than needed are never made.
        row_length: from the tokens of the longest row to the length of all rows.
    """
    lengths = [forest.tokens for forest in forests]
    rows = [_Row() for _ in range(-(-len(forests) // samples_per_row))]
    places: Places = []
    for forest, index in zip(forests, spread_evenly(lengths, len(rows), samples_per_row), strict=True):
        starts: list[int] = []
        for segment in forest.segments:
            starts.append(rows[index].add(segment, starts, pad))
        places.append([(index, start) for start in starts])
    return _tensors(rows, forests, places, pad, row_length=row_length)


def spread(forests: Sequence[Forest], *, pad: int) -> PackedBatch:
    """Give every segment a row of its own, behind a copy of the prefix it sees: for models that cannot be packed.

    Every row is then plain causal. Costs a copy of the prefix for every [PRED] segment.
    """
    rows: list[_Row] = []
    places: Places = []
    for forest in forests:
        places.append([])
        for segment in forest.segments:
            prefix = () if segment.parent is None else forest.segments[segment.parent].ids[: segment.visible]
            row = _Row()
            trained = (False,) * len(prefix) + segment.trained if segment.trained else ()
            row.add(Segment((*prefix, *segment.ids), trained), [], pad)
            places[-1].append((len(rows), len(prefix)))
            rows.append(row)
    return _tensors(rows, forests, places, pad, row_length=_longest)


def _tensors(
    rows: Sequence[_Row], forests: Sequence[Forest], places: Places, pad: int, *, row_length: Callable[[int], int]
) -> PackedBatch:
    tokens = sum(len(row.ids) for row in rows)
    length = row_length(max(len(row.ids) for row in rows))
    for row in rows:
        row.pad(length, pad)

    def flat(place: Sequence[tuple[int, int]], read: tuple[int, int]) -> int:
        row, start = place[read[0]]
        return row * length + start + read[1]

    paired = [(place, pair) for forest, place in zip(forests, places, strict=True) for pair in forest.pairs]
    labels = [(index * length + at, token) for index, row in enumerate(rows) for at, token in row.labels]
    sequences = [(index, start, end) for index, row in enumerate(rows) for start, end in row.sequences]
    return PackedBatch(
        input_ids=torch.tensor([row.ids for row in rows]),
        label_at=torch.tensor([at for at, _ in labels], dtype=torch.long),
        label=torch.tensor([token for _, token in labels], dtype=torch.long),
        slot=torch.tensor([row.slot for row in rows]),
        visibility=Visibility(
            segment_start=torch.tensor([row.segment_start for row in rows]),
            prefix_start=torch.tensor([row.prefix_start for row in rows]),
            prefix_end=torch.tensor([row.prefix_end for row in rows]),
            position=torch.tensor([row.position for row in rows]),
        ),
        predicted=torch.tensor([flat(place, pair.predicted) for place, pair in paired], dtype=torch.long),
        target=torch.tensor([flat(place, pair.target) for place, pair in paired], dtype=torch.long),
        sequence=torch.tensor(sequences, dtype=torch.long).reshape(-1, 3),
        tokens=torch.tensor(tokens),
    )


class OverLength(Enum):
    """What happens to a sample that is longer than the limit. Nothing is ever cut.

    Members:
        drop: it is left out, and counted.
        error: the run ends with its name.
    """

    drop = "drop"
    error = "error"


def within_length(
    samples: Sequence[Sample], layout: Layout, *, limit: int, policy: OverLength
) -> tuple[list[Sample], list[str]]:
    """Return the samples none of whose segments reaches past `limit` tokens of context, and the names of the others.

    The limit counts positions: a segment's own tokens and the prefix it sees.

    Raises:
        UserError: a sample is too long and the policy is `error`, or every sample is too long.
    """
    kept: list[Sample] = []
    dropped: list[str] = []
    for sample in samples:
        depth = layout.forest(sample).depth
        if depth <= limit:
            kept.append(sample)
            continue
        if policy is OverLength.error:
            raise UserError(
                f"{sample.name}: {depth} tokens, but the limit is {limit}; raise `data.max_length`, "
                "shorten the sample, or set `data.over_length: drop`"
            )
        dropped.append(sample.name)
    if samples and not kept:
        raise UserError(f"every sample is longer than {limit} tokens; raise `data.max_length`")
    return kept, dropped


@dataclass(frozen=True, slots=True, kw_only=True)
class Collator:
    """Packs the samples of a batch; a callable for a DataLoader.

    The result maps "full" to the batch with all segments and "plain" to the batch with the trained sequences alone, each
    only if asked for: a step whose JEPA term is dropped, or that is not trained with one, uses the plain batch.

    Attributes:
        layout: how samples become forests.
        pad: a valid token id.
        rows: how many samples share a row.
        one_forward: pack; else give every segment a row of its own.
        full: make the batch with all segments.
        plain: make the batch of trained sequences alone.
    """

    layout: Layout
    pad: int
    rows: Rows = ONE_EACH
    one_forward: bool = True
    full: bool = True
    plain: bool = False

    def __call__(self, features: Sequence[dict[str, object]]) -> dict[str, dict[str, torch.Tensor]]:
        """Pack `[{"sample": Sample, ...}, ...]`."""
        samples = [feature["sample"] for feature in features]
        chosen = [sample for sample in samples if isinstance(sample, Sample)]
        batches: dict[str, dict[str, torch.Tensor]] = {}
        if self.full:
            batches["full"] = self._pack([self.layout.forest(sample) for sample in chosen])
        if self.plain:
            batches["plain"] = self._pack([plain_forest(sample) for sample in chosen])
        return batches

    def _pack(self, forests: Sequence[Forest]) -> dict[str, torch.Tensor]:
        if not self.one_forward:
            return spread(forests, pad=self.pad).tensors()
        chosen = self.rows.samples_per_row([forest.tokens for forest in forests])
        return pack(forests, pad=self.pad, samples_per_row=chosen, row_length=self.rows.length).tensors()
