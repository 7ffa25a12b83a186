"""Batches made in whole arrays equal, bit for bit, those that a plain loop writes token by token."""

import random
from collections.abc import Sequence

import pytest
import torch
from tests.helpers import GROUP, TEXT_CODE, conversations
from torch import Tensor

from llm_jepa.packing.collate import Collator, pack, spread
from llm_jepa.packing.layout import Forest, Layout, Pair, Segment, plain_forest
from llm_jepa.packing.rows import Blocks, Counted

PAD = 63
FIELDS = ("input_ids", "slot", "segment_start", "prefix_start", "prefix_end", "position")

Row = list[tuple[Forest, int]]
"""(forest, index of the segment) of everything in a row, in order."""


def token_by_token(forests: Sequence[Forest], rows: Sequence[Row], *, copies: bool) -> dict[str, Tensor]:
    """Write a batch down as its docstring says; with `copies` a segment stands behind a copy of the prefix it sees."""
    table: list[list[list[int]]] = []
    found: dict[tuple[int, int], tuple[int, int]] = {}
    labels: list[tuple[int, int, int]] = []
    sequences: list[list[int]] = []
    for at, row in enumerate(rows):
        cells: list[list[int]] = []
        starts: dict[tuple[int, int], int] = {}
        for forest, index in row:
            segment, start = forest.segments[index], len(cells)
            starts[id(forest), index] = start
            copied = segment.visible if copies else 0
            parent = start if segment.parent is None or copies else starts[id(forest), segment.parent]
            prefix = () if segment.parent is None else forest.segments[segment.parent].ids[:copied]
            visible = 0 if copies else segment.visible
            for place, token in enumerate((*prefix, *segment.ids)):
                slot = -token - 1 if token < 0 else -1
                cells.append([max(token, PAD * (token < 0)), slot, start, parent, parent + visible, visible + place])
                own = place - len(prefix)
                if own >= 0 and place and segment.trained and segment.trained[own]:
                    labels.append((at, start + place - 1, token))
            found[id(forest), index] = (at, start + len(prefix))
            if segment.trained:
                sequences.append([at, start, len(cells)])
        table.append(cells)
    length = max(map(len, table))
    tokens = sum(map(len, table))
    for cells in table:
        cells.extend([PAD, -1, own, own, own, 0] for own in range(len(cells), length))

    def flat(forest: Forest, read: tuple[int, int]) -> int:
        row, start = found[id(forest), read[0]]
        return row * length + start + read[1]

    pairs = [(forest, pair) for forest in forests for pair in forest.pairs]
    batch = {name: torch.tensor([[cell[at] for cell in row] for row in table]) for at, name in enumerate(FIELDS)}
    return batch | {
        "label_at": torch.tensor([row * length + at for row, at, _ in labels], dtype=torch.long),
        "label": torch.tensor([token for _, _, token in labels], dtype=torch.long),
        "predicted": torch.tensor([flat(forest, pair.predicted) for forest, pair in pairs], dtype=torch.long),
        "target": torch.tensor([flat(forest, pair.target) for forest, pair in pairs], dtype=torch.long),
        "sequence": torch.tensor(sequences, dtype=torch.long).reshape(-1, 3),
        "tokens": torch.tensor(tokens),
    }


def spread_by_loop(forests: Sequence[Forest], limit: int) -> list[Row]:
    """Put forests into rows: the longest first, each into the shortest row that has room."""
    count = -(-len(forests) // limit)
    chosen: list[list[Forest]] = [[] for _ in range(count)]
    longest = forests if limit == 1 else sorted(forests, key=lambda forest: -sum(len(one.ids) for one in forest.segments))
    for forest in longest:
        room = [row for row in chosen if len(row) < limit]
        min(room, key=lambda row: sum(len(one.ids) for item in row for one in item.segments)).append(forest)
    rows: list[Row] = []
    for row in chosen:
        in_order = [forest for forest in forests if any(forest is item for item in row)]
        rows.append([(forest, index) for forest in in_order for index in range(len(forest.segments))])
    return rows


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert tensor.dtype == other[name].dtype == torch.int64, name
        assert tensor.shape == other[name].shape, name
        assert torch.equal(tensor, other[name]), name
        assert tensor.is_contiguous(), name


def drawn(seed: int) -> list[Forest]:
    """Forests of every kind: any number of sequences, hanging segments and pairs, with or without labels."""
    draw = random.Random(seed)

    def ids(most: int) -> tuple[int, ...]:
        return tuple(draw.randint(-3, 62) for _ in range(draw.randint(1, most)))

    forests: list[Forest] = []
    for index in range(draw.randint(1, 9)):
        segments: list[Segment] = []
        for _ in range(draw.randint(1, 3)):
            own = tuple(draw.randint(0, 62) for _ in range(draw.randint(1, 9)))
            trained = tuple(draw.random() < 0.5 for _ in own)
            segments.append(Segment(own, draw.choice([(), trained])))
        for _ in range(draw.randint(0, 3)):
            parent = draw.randrange(len(segments))
            root = segments[parent].parent is None and draw.random() < 0.7
            visible = draw.randint(1, len(segments[parent].ids))
            segments.append(Segment(ids(5), parent=parent, visible=visible) if root else Segment(ids(5)))

        def read(segments: Sequence[Segment] = segments) -> tuple[int, int]:
            segment = draw.randrange(len(segments))
            return segment, draw.randrange(len(segments[segment].ids))

        pairs = tuple(Pair(read(), read()) for _ in range(draw.randint(0, 3)))
        forests.append(Forest(f"a:{index}", tuple(segments), pairs))
    return forests


@pytest.mark.parametrize("samples_per_row", [1, 2, 3, 8])
def test_packed_rows_equal_those_written_token_by_token(samples_per_row):
    for seed in range(60):
        forests = drawn(seed)
        expected = token_by_token(forests, spread_by_loop(forests, samples_per_row), copies=False)
        same(pack(forests, pad=PAD, samples_per_row=samples_per_row).tensors(), expected)


def test_spread_rows_equal_those_written_token_by_token():
    for seed in range(60):
        forests = drawn(seed)
        rows: list[Row] = [[(forest, index)] for forest in forests for index in range(len(forest.segments))]
        same(spread(forests, pad=PAD).tensors(), token_by_token(forests, rows, copies=True))


@pytest.mark.parametrize("layout", [Layout(k=0), Layout(k=3), Layout(k=2, prepend=True), Layout(k=1, shared=False)])
@pytest.mark.parametrize("samples_per_row", [1, 3])
def test_both_batches_of_the_collator_equal_those_written_token_by_token(layout, samples_per_row):
    samples = [TEXT_CODE, *conversations(12, seed=5), GROUP]
    collate = Collator(layout=layout, pad=PAD, rows=Counted(samples_per_row), plain=True)
    batches = collate([{"sample": sample} for sample in samples])
    for name, make in (("full", layout.forest), ("plain", plain_forest)):
        forests = [make(sample) for sample in samples]
        same(batches[name], token_by_token(forests, spread_by_loop(forests, samples_per_row), copies=False))


def test_a_row_filled_up_to_a_block_has_pads_behind_the_longest():
    forests = drawn(1)
    expected = pack(forests, pad=PAD, samples_per_row=len(forests)).tensors()
    longer = pack(forests, pad=PAD, samples_per_row=len(forests), row_length=Blocks().length).tensors()
    used = expected["input_ids"].shape[1]
    assert longer["input_ids"].shape == (1, 128)
    for name in FIELDS:
        assert torch.equal(longer[name][:, :used], expected[name])
    pads = list(range(used, 128))
    assert [longer[name][0, used:].tolist() for name in FIELDS] == [
        *([PAD] * len(pads), [-1] * len(pads)),
        *(pads, pads, pads, [0] * len(pads)),
    ]
    for name in expected.keys() - set(FIELDS):
        assert torch.equal(longer[name], expected[name])
