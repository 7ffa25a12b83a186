"""What a batch holds, number by number."""

from typing import Any

import pytest
import torch
from tests.helpers import GROUP, TEXT_CODE, conversations

from llm_jepa.errors import UserError
from llm_jepa.packing.batch import PackedBatch
from llm_jepa.packing.collate import SEEN, Collator, OverLength, pack, spread, within_length
from llm_jepa.packing.layout import Forest, Layout, Segment, plain_forest
from llm_jepa.packing.rows import Blocks, Cheapest, Counted
from llm_jepa.views.tokenize import Sample, TokenSequence, TokenView

PAD = 63

SMALL = Sample(
    "a:2",
    (TokenSequence((1, 30, 2, 40, 3), (False, False, False, True, True)),),
    (TokenView((30,), (30,), sequence=0, start=1, end=2), TokenView((40,), (40,), start=3, end=4)),
)
"""[1 | text 30 | 2 | code 40 | stop 3]"""


def lists(tensors: dict[str, torch.Tensor]) -> dict[str, Any]:
    return {name: tensor.tolist() for name, tensor in tensors.items()}


def packed(*samples: Sample, k: int = 1, pad: int = PAD, samples_per_row: int = 1) -> dict[str, Any]:
    forests = [Layout(k=k).forest(sample) for sample in samples]
    return lists(pack(forests, pad=pad, samples_per_row=samples_per_row).tensors())


def test_one_sample():
    # 1 text text text 2 code code 3 | slot | code code
    assert packed(TEXT_CODE) == {
        "input_ids": [[1, 10, 11, 12, 2, 20, 21, 3, PAD, 20, 21]],
        "slot": [[-1, -1, -1, -1, -1, -1, -1, -1, 0, -1, -1]],
        "segment_start": [[0, 0, 0, 0, 0, 0, 0, 0, 8, 9, 9]],
        "prefix_start": [[0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 9]],
        "prefix_end": [[0, 0, 0, 0, 0, 0, 0, 0, 4, 9, 9]],
        "position": [[0, 1, 2, 3, 4, 5, 6, 7, 4, 0, 1]],
        "label_at": [4, 5, 6],
        "label": [20, 21, 3],
        "predicted": [8],
        "target": [10],
        "sequence": [[0, 0, 8]],
        "tokens": 11,
    }


def test_a_shorter_row_is_filled_with_pads():
    assert packed(TEXT_CODE, SMALL) == {
        "input_ids": [[1, 10, 11, 12, 2, 20, 21, 3, PAD, 20, 21], [1, 30, 2, 40, 3, PAD, 40, PAD, PAD, PAD, PAD]],
        "slot": [[-1, -1, -1, -1, -1, -1, -1, -1, 0, -1, -1], [-1, -1, -1, -1, -1, 0, -1, -1, -1, -1, -1]],
        "segment_start": [[0, 0, 0, 0, 0, 0, 0, 0, 8, 9, 9], [0, 0, 0, 0, 0, 5, 6, 7, 8, 9, 10]],
        "prefix_start": [[0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 9], [0, 0, 0, 0, 0, 0, 6, 7, 8, 9, 10]],
        "prefix_end": [[0, 0, 0, 0, 0, 0, 0, 0, 4, 9, 9], [0, 0, 0, 0, 0, 2, 6, 7, 8, 9, 10]],
        "position": [[0, 1, 2, 3, 4, 5, 6, 7, 4, 0, 1], [0, 1, 2, 3, 4, 2, 0, 0, 0, 0, 0]],
        "label_at": [4, 5, 6, 13, 14],
        "label": [20, 21, 3, 40, 3],
        "predicted": [8, 16],
        "target": [10, 17],
        "sequence": [[0, 0, 8], [1, 0, 5]],
        "tokens": 18,
    }


def test_two_samples_share_a_row():
    assert packed(TEXT_CODE, SMALL, samples_per_row=2) == {
        "input_ids": [[1, 10, 11, 12, 2, 20, 21, 3, PAD, 20, 21, 1, 30, 2, 40, 3, PAD, 40]],
        "slot": [[-1, -1, -1, -1, -1, -1, -1, -1, 0, -1, -1, -1, -1, -1, -1, -1, 0, -1]],
        "segment_start": [[0, 0, 0, 0, 0, 0, 0, 0, 8, 9, 9, 11, 11, 11, 11, 11, 16, 17]],
        "prefix_start": [[0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 9, 11, 11, 11, 11, 11, 11, 17]],
        "prefix_end": [[0, 0, 0, 0, 0, 0, 0, 0, 4, 9, 9, 11, 11, 11, 11, 11, 13, 17]],
        "position": [[0, 1, 2, 3, 4, 5, 6, 7, 4, 0, 1, 0, 1, 2, 3, 4, 2, 0]],
        "label_at": [4, 5, 6, 13, 14],
        "label": [20, 21, 3, 40, 3],
        "predicted": [8, 16],
        "target": [10, 17],
        "sequence": [[0, 0, 8], [0, 11, 16]],
        "tokens": 18,
    }


def test_several_slots_are_numbered_from_the_first():
    batch = packed(SMALL, k=3)
    assert batch["slot"] == [[-1, -1, -1, -1, -1, 0, 1, 2, -1]]
    assert batch["position"] == [[0, 1, 2, 3, 4, 2, 3, 4, 0]]
    assert (batch["predicted"], batch["target"]) == ([7], [8])


def test_a_group_has_a_pair_fewer_than_views_and_trains_all_its_sequences():
    # 1 30 31 3 | 1 40 3 | 1 50 51 52 3 | slot | slot
    batch = packed(GROUP)
    assert batch["input_ids"] == [[1, 30, 31, 3, 1, 40, 3, 1, 50, 51, 52, 3, PAD, PAD]]
    assert batch["position"] == [[0, 1, 2, 3, 0, 1, 2, 0, 1, 2, 3, 4, 3, 2]]
    assert (batch["label_at"], batch["label"]) == ([0, 1, 2, 4, 5, 7, 8, 9, 10], [30, 31, 3, 40, 3, 50, 51, 52, 3])
    assert (batch["predicted"], batch["target"]) == ([12, 13], [5, 10])
    assert batch["sequence"] == [[0, 0, 4], [0, 4, 7], [0, 7, 12]]


def test_the_first_token_of_a_segment_is_never_a_label():
    forest = Forest("a", (Segment((5, 6), (True, True)), Segment((7, 8), (True, True))), ())
    batch = lists(pack([forest], pad=PAD).tensors())
    assert (batch["label_at"], batch["label"]) == ([0, 2], [6, 8])


def test_a_batch_without_pairs_or_labels_is_possible():
    batch = pack([Forest("a", (Segment((5, 6), (False, False)),), ())], pad=PAD)
    assert [batch.label.shape, batch.predicted.shape, batch.target.shape] == [(0,), (0,), (0,)]
    assert {tensor.dtype for tensor in batch.tensors().values()} == {torch.int64}


def of_length(length: int) -> Forest:
    return Forest(str(length), (Segment((length,) * length),), ())


@pytest.mark.parametrize(
    ("lengths", "samples_per_row", "rows"),
    [
        ([3, 9, 5], 1, [[3], [9], [5]]),
        ([3, 9, 5, 7, 1], 2, [[9], [7, 1], [3, 5]]),  # 9, 7, 5 open the rows; 3 joins the 5, 1 the 7
        ([3, 9, 5, 7, 1], 3, [[3, 9, 1], [5, 7]]),  # 5 joins the 7, then 3 the 9, then 1 the first of two equal rows
        ([3, 9, 5], 3, [[3, 9, 5]]),
        ([3, 9, 5], 8, [[3, 9, 5]]),
        ([4, 4, 4, 4], 2, [[4, 4], [4, 4]]),
    ],
)
def test_samples_are_spread_evenly_over_as_few_rows_as_needed(lengths, samples_per_row, rows):
    batch = pack([of_length(length) for length in lengths], pad=PAD, samples_per_row=samples_per_row)
    found = [list(dict.fromkeys(token for token in row if token != PAD)) for row in batch.input_ids.tolist()]
    assert found == [list(dict.fromkeys(row)) for row in rows]
    assert batch.input_ids.shape == (len(rows), max(sum(row) for row in rows))


def test_pairs_and_totals_stay_in_the_order_of_the_batch_whatever_their_rows():
    samples = conversations(7, seed=3)
    forests = [Layout(k=1).forest(sample) for sample in samples]
    for limit in (1, 2, 3, 7):
        batch = pack(forests, pad=PAD, samples_per_row=limit)
        flat = batch.input_ids.flatten()
        assert flat[batch.target].tolist() == [sample.views[1].ids[-1] for sample in samples]
        assert batch.slot.flatten()[batch.predicted].tolist() == [0] * 7
        assert sorted(batch.label.tolist()) == sorted(token for sample in samples for token in (*sample.views[1].ids, 3))
        assert batch.tokens == sum(forest.tokens for forest in forests)


@pytest.mark.parametrize("samples_per_row", [1, 2, 5])
def test_every_label_is_the_token_after_its_place(samples_per_row):
    batch = pack([Layout(k=2).forest(sample) for sample in conversations(5)], pad=PAD, samples_per_row=samples_per_row)
    assert torch.equal(batch.input_ids.flatten()[batch.label_at + 1], batch.label)
    assert torch.equal(
        batch.visibility.segment_start.flatten()[batch.label_at],
        batch.visibility.segment_start.flatten()[batch.label_at + 1],
    )


@pytest.mark.parametrize("samples_per_row", [1, 2])
def test_nothing_depends_on_the_pad_id_but_the_ids_of_pads_and_slots(samples_per_row):
    forests = [Layout(k=2).forest(sample) for sample in (TEXT_CODE, SMALL, GROUP)]
    one, other = (pack(forests, pad=pad, samples_per_row=samples_per_row).tensors() for pad in (0, 40))
    for name in one.keys() - {"input_ids"}:
        assert torch.equal(one[name], other[name])
    differs = one["input_ids"] != other["input_ids"]
    pads = (torch.arange(differs.shape[1]) == one["segment_start"]) & (one["input_ids"] == 0) & (one["slot"] < 0)
    assert torch.equal(differs, (one["slot"] >= 0) | pads)


def test_spread_gives_every_segment_a_row_behind_a_copy_of_what_it_sees():
    batch = lists(spread([Layout(k=1).forest(TEXT_CODE)], pad=PAD).tensors())
    assert batch["input_ids"] == [
        [1, 10, 11, 12, 2, 20, 21, 3],
        [1, 10, 11, 12, PAD, PAD, PAD, PAD],
        [20, 21, PAD, PAD, PAD, PAD, PAD, PAD],
    ]
    assert batch["slot"] == [[-1] * 8, [-1, -1, -1, -1, 0, -1, -1, -1], [-1] * 8]
    assert (batch["label_at"], batch["label"]) == ([4, 5, 6], [20, 21, 3])
    assert (batch["predicted"], batch["target"]) == ([12], [17])
    assert batch["position"] == [[0, 1, 2, 3, 4, 5, 6, 7], [0, 1, 2, 3, 4, 0, 0, 0], [0, 1, 0, 0, 0, 0, 0, 0]]
    assert batch["sequence"] == [[0, 0, 8]]
    assert batch["tokens"] == 15


def test_spread_and_packed_read_the_same_tokens():
    forests = [Layout(k=1, prepend=True).forest(sample) for sample in (*conversations(3), GROUP)]
    one, other = pack(forests, pad=PAD, samples_per_row=4), spread(forests, pad=PAD)
    assert torch.equal(one.label, other.label)
    for name in ("predicted", "target", "label_at"):
        places, apart = one.tensors()[name], other.tensors()[name]
        assert torch.equal(one.input_ids.flatten()[places], other.input_ids.flatten()[apart])
        assert torch.equal(one.visibility.position.flatten()[places], other.visibility.position.flatten()[apart])


def test_a_batch_survives_being_taken_apart():
    batch = pack([Layout(k=2).forest(TEXT_CODE)], pad=PAD)
    again = PackedBatch.from_tensors(batch.tensors())
    assert again.tensors().keys() == batch.tensors().keys()
    assert all(torch.equal(again.tensors()[name], tensor) for name, tensor in batch.tensors().items())


# ---- Samples that are too long.


@pytest.mark.parametrize(
    ("layout", "longest"),
    [
        (Layout(k=1), 8),  # the sequence itself
        (Layout(k=5), 9),  # five slots behind four tokens of prefix
        (Layout(k=6, shared=False), 9),  # three tokens of text and six slots
        (Layout(k=2, shared=False, framed=True), 8),
    ],
)
def test_the_limit_counts_the_deepest_position(layout, longest):
    assert within_length([TEXT_CODE], layout, limit=longest, policy=OverLength.error) == ([TEXT_CODE], [])
    message = f"^a:1: {longest} tokens, but the limit is {longest - 1}; raise `data.max_length`, shorten the sample, or set "
    with pytest.raises(UserError, match=message):
        within_length([TEXT_CODE], layout, limit=longest - 1, policy=OverLength.error)


def test_long_samples_are_dropped_whole_and_named():
    kept, dropped = within_length([TEXT_CODE, SMALL, TEXT_CODE], Layout(), limit=5, policy=OverLength.drop)
    assert (kept, dropped) == ([SMALL], ["a:1", "a:1"])


def test_nothing_left_is_an_error_and_nothing_given_is_not():
    with pytest.raises(UserError, match=r"^every sample is longer than 4 tokens; raise `data\.max_length`$"):
        within_length([TEXT_CODE, SMALL], Layout(), limit=4, policy=OverLength.drop)
    assert within_length([], Layout(), limit=4, policy=OverLength.drop) == ([], [])


# ---- The collator.


def features(*samples: Sample) -> list[dict[str, object]]:
    return [{"input_ids": [1], "sample": sample} for sample in samples]


def test_the_collator_packs_all_segments_and_the_sequences_alone():
    collate = Collator(layout=Layout(k=1), pad=PAD, rows=Counted(2), plain=True)
    batches = collate(features(TEXT_CODE, SMALL))
    assert lists(batches["full"]) == packed(TEXT_CODE, SMALL, samples_per_row=2)
    plain = pack([plain_forest(TEXT_CODE), plain_forest(SMALL)], pad=PAD, samples_per_row=2)
    assert lists(batches["plain"]) == lists(plain.tensors())
    assert lists(batches["plain"])["input_ids"] == [[1, 10, 11, 12, 2, 20, 21, 3, 1, 30, 2, 40, 3]]
    assert lists(batches["plain"])["label"] == lists(batches["full"])["label"]
    assert lists(batches["plain"])["predicted"] == []


@pytest.mark.parametrize(("full", "plain"), [(True, False), (False, True), (True, True)])
def test_the_collator_makes_only_what_is_asked_for(full, plain):
    batches = Collator(layout=Layout(), pad=PAD, full=full, plain=plain)(features(SMALL))
    wanted = {name for name, wanted in (("full", full), ("plain", plain)) if wanted}
    assert set(batches) == wanted | {SEEN}
    # five tokens see 15 of themselves, the slot two and itself, the Code itself
    assert batches[SEEN] == {name: seen for name, seen in (("full", 19), ("plain", 15)) if name in wanted}


def test_the_collator_spreads_for_models_that_cannot_be_packed():
    batches = Collator(layout=Layout(), pad=PAD, one_forward=False)(features(TEXT_CODE))
    assert lists(batches["full"]) == lists(spread([Layout().forest(TEXT_CODE)], pad=PAD).tensors())


def test_the_collator_decides_by_itself_how_many_samples_share_a_row():
    # Lengths 11, 7, 7, 7 cost 59 in rows of one, 56 in two rows of 18, 64 in one row of 32.
    decide = Collator(layout=Layout(), pad=PAD, rows=Cheapest(16))
    short = [SMALL] * 3
    assert lists(decide(features(TEXT_CODE, *short))["full"]) == packed(TEXT_CODE, *short, samples_per_row=2)
    assert lists(decide(features(*short))["full"]) == packed(*short)


def test_the_whole_batch_in_one_row_is_filled_up_with_pads_to_a_multiple_of_128():
    samples = conversations(9)
    found = Collator(layout=Layout(), pad=PAD, rows=Blocks())(features(*samples))["full"]
    exact = pack([Layout().forest(sample) for sample in samples], pad=PAD, samples_per_row=9).tensors()
    length = exact["input_ids"].shape[1]
    assert (exact["input_ids"].shape, found["input_ids"].shape) == ((1, length), (1, 256))
    for name in ("input_ids", "slot", "segment_start", "prefix_start", "prefix_end", "position"):
        assert torch.equal(found[name][:, :length], exact[name])
    assert found["segment_start"][0, length:].tolist() == list(range(length, 256))
    assert all(torch.equal(found[name], exact[name]) for name in ("label_at", "label", "predicted", "target", "tokens"))
