"""Whatever forests are packed: every token is there once, in its segment's order, and every index points where it should.

The oracle reads rows token by token. Every token of every forest has an id of its own, so that a place can be told by it.
"""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_jepa.packing.batch import PackedBatch
from llm_jepa.packing.collate import pack, spread
from llm_jepa.packing.layout import Forest, Pair, Segment

PAD = 0

roots = st.lists(st.tuples(st.integers(1, 6), st.booleans()), min_size=1, max_size=3)
"""Length of each root, and whether it is trained."""
hanging = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 6), st.integers(1, 4), st.integers(0, 3)), max_size=3)
"""For each hanging segment: its root, how much of it is visible, its length, and how many slots close it."""
reads = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9), st.integers(0, 5), st.integers(0, 9)), max_size=3)
"""Where pairs are read, as (segment, token, segment, token)."""
shapes = st.lists(st.tuples(roots, hanging, reads, st.integers(0, 2**30)), min_size=1, max_size=6)


def forest(number: int, roots, hanging, reads, draw: int) -> Forest:
    """Return a forest whose tokens are numbered from 1000 x number on; `draw` says which root tokens are trained."""
    following = iter(range(1000 * number + 1, 1000 * (number + 1)))
    segments: list[Segment] = []
    for length, is_trained in roots:
        ids = tuple(next(following) for _ in range(length))
        trained = tuple(bool(draw >> index & 1) for index in range(length)) if is_trained else ()
        segments.append(Segment(ids, trained))
    for root, visible, length, slots in hanging:
        parent = root % len(roots)
        ids = tuple(next(following) for _ in range(length)) + tuple(-1 - slot for slot in range(slots))
        segments.append(Segment(ids, parent=parent, visible=min(visible, len(segments[parent].ids))))
    pairs = tuple(
        Pair(*((segment % len(segments), token % len(segments[segment % len(segments)].ids)) for segment, token in places))
        for places in (((a, b), (c, d)) for a, b, c, d in reads)
    )
    return Forest(f"f:{number}", tuple(segments), pairs)


def forests_of(shapes) -> list[Forest]:
    return [forest(number, *shape) for number, shape in enumerate(shapes, start=1)]


@given(shapes=shapes)
def test_a_forest_counts_what_its_tokens_see(shapes):
    forests = forests_of(shapes)
    visible = pack(forests, pad=PAD, samples_per_row=len(forests)).visibility.mask()
    assert sum(forest.seen for forest in forests) == int(visible.sum())


def found_tokens(batch: PackedBatch) -> list[int]:
    """Return the tokens at all positions, a slot as its negative number, in the flattened order."""
    slots = batch.slot.flatten().tolist()
    ids = batch.input_ids.flatten().tolist()
    return [-1 - slot if slot >= 0 else token for token, slot in zip(ids, slots, strict=True)]


def expected_labels(forests: list[Forest]) -> list[tuple[int, int]]:
    """Return (token before, label) for every token that carries loss; the first of a segment has nothing before it."""
    return [
        (segment.ids[index - 1], token)
        for each in forests
        for segment in each.segments
        for index, token in enumerate(segment.ids)
        if segment.trained and segment.trained[index] and index
    ]


@given(shapes=shapes, samples_per_row=st.integers(1, 6))
@settings(max_examples=120, deadline=None)
def test_rows_hold_every_segment_once_and_whole(shapes, samples_per_row):
    forests = forests_of(shapes)
    batch = pack(forests, pad=PAD, samples_per_row=samples_per_row)
    length, tokens = batch.input_ids.shape[1], found_tokens(batch)
    starts = batch.visibility.segment_start.flatten().tolist()
    segments: list[tuple[int, ...]] = []
    for place, token in enumerate(tokens):
        if place % length == 0 or starts[place] != starts[place - 1]:
            segments.append(())
        segments[-1] += (token,)
    unpacked = sorted(segment for segment in segments if segment != (PAD,))
    assert unpacked == sorted(segment.ids for each in forests for segment in each.segments)
    assert int(batch.tokens) == sum(each.tokens for each in forests)
    assert batch.input_ids.shape[0] == -(-len(forests) // samples_per_row)
    assert (
        max(sum(token != PAD for token in tokens[row * length :][:length]) for row in range(batch.input_ids.shape[0]))
        == length
    )


@given(shapes=shapes, samples_per_row=st.integers(1, 6), apart=st.booleans())
@settings(max_examples=120, deadline=None)
def test_labels_and_pairs_point_at_their_tokens(shapes, samples_per_row, apart):
    forests = forests_of(shapes)
    batch = spread(forests, pad=PAD) if apart else pack(forests, pad=PAD, samples_per_row=samples_per_row)
    tokens = found_tokens(batch)
    at = batch.label_at.tolist()
    assert sorted(zip([tokens[place] for place in at], batch.label.tolist(), strict=True)) == sorted(
        expected_labels(forests)
    )
    assert [tokens[place + 1] for place in at] == batch.label.tolist()
    pairs = [(each.segments, pair) for each in forests for pair in each.pairs]
    for name, places in (("predicted", batch.predicted), ("target", batch.target)):
        wanted = [segments[getattr(pair, name)[0]].ids[getattr(pair, name)[1]] for segments, pair in pairs]
        assert [tokens[place] for place in places.tolist()] == wanted


@given(shapes=shapes, samples_per_row=st.integers(1, 6))
@settings(max_examples=60, deadline=None)
def test_a_token_sees_the_same_however_it_is_packed(shapes, samples_per_row):
    forests = forests_of(shapes)

    def seen(batch: PackedBatch) -> set[tuple[tuple[int, ...], int]]:
        length, tokens = batch.input_ids.shape[1], found_tokens(batch)
        mask = batch.visibility.mask()[:, 0].flatten(0, 1)
        positions = batch.visibility.position.flatten().tolist()
        return {
            (
                tuple(tokens[place // length * length + key] for key in mask[place].nonzero().flatten().tolist()),
                positions[place],
            )
            for place, token in enumerate(tokens)
            if token != PAD
        }

    alone: set[tuple[tuple[int, ...], int]] = set()
    for each in forests:
        alone |= seen(pack([each], pad=PAD))
    assert seen(pack(forests, pad=PAD, samples_per_row=samples_per_row)) == alone
    assert alone <= seen(spread(forests, pad=PAD))


@given(shapes=shapes, samples_per_row=st.integers(1, 6))
@settings(max_examples=40, deadline=None)
def test_a_batch_comes_back_from_its_tensors(shapes, samples_per_row):
    batch = pack(forests_of(shapes), pad=PAD, samples_per_row=samples_per_row)
    again = PackedBatch.from_tensors(batch.tensors())
    for name, tensor in batch.tensors().items():
        assert torch.equal(again.tensors()[name], tensor)
