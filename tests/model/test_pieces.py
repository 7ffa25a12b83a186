"""Rows taken in pieces: every piece compares what is seen and hides the rest, and the results are those of dense masks.

Short rows are one piece where a call costs what it does; `every_segment` makes calls cost nothing, so that all are cut.
"""

from collections.abc import Iterator
from itertools import accumulate, pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.helpers import PAD, conversations, packed_model, plain_model
from tests.invariants import reference
from tests.invariants.reference import assert_same, run_packed, run_separately
from tests.packing.test_packing_properties import forests_of, shapes

from llm_jepa.errors import UserError
from llm_jepa.model import attention, pieces
from llm_jepa.model.attention import rows_for
from llm_jepa.model.encode import encode
from llm_jepa.model.pieces import Pieces, Segment, cheapest, pieces_forward, segments
from llm_jepa.packing.collate import pack
from llm_jepa.packing.layout import Layout
from llm_jepa.packing.mask import Visibility
from llm_jepa.packing.rows import Cheapest, OneRow

SAMPLES = conversations(5, seed=1)
FORESTS = [Layout(k=2).forest(sample) for sample in SAMPLES]
FAMILIES = ("llama", "qwen3", "mistral", "gemma3", "gpt2", "cohere2")
"""With shared heads, windows, and heads of their own."""


@pytest.fixture(params=[0, 100, pieces.CALL], ids=["every_segment", "some", "few"])
def call(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """What a call costs: nothing, so that all segments are cut, or more."""
    monkeypatch.setattr(pieces, "CALL", request.param)
    return request.param


@pytest.fixture
def as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "IN_PIECES", frozenset())


def drawn(made: Pieces) -> torch.Tensor:
    """Return the mask of whole rows, put together from what the pieces compare and hide."""
    rows, tokens = made.visibility.segment_start.shape
    mask = torch.zeros(rows, 1, tokens, tokens, dtype=torch.bool)
    for row, found in enumerate(made.rows):
        starts = [0, *accumulate(piece.tokens for piece in found)]
        for index, piece in enumerate(found):
            place = slice(starts[index], starts[index + 1]), slice(starts[piece.first], starts[index + 1])
            causal = torch.ones(piece.tokens, piece.tokens, dtype=torch.bool).tril()
            mask[row, 0][place] = causal if piece.mask is None else piece.mask
    return mask


@pytest.mark.parametrize("call", [0, 100, pieces.CALL])
@given(shapes=shapes, samples_per_row=st.integers(1, 6), window=st.none() | st.integers(1, 9))
@settings(max_examples=60, deadline=None)
def test_pieces_hide_what_a_dense_mask_hides_and_nothing_else(call, shapes, samples_per_row, window):
    visibility = pack(forests_of(shapes), pad=PAD, samples_per_row=samples_per_row).visibility
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "CALL", call)
        made = Pieces.of(visibility, window)
    assert torch.equal(drawn(made), visibility.mask(window))
    assert torch.equal(made.dense(), visibility.mask(window))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("samples_per_row", [5, 2], ids=["one row", "rows with pads"])
def test_a_forward_in_pieces_is_separate_forwards(family, samples_per_row, call):
    found = run_packed(packed_model(family, k=2), FORESTS, samples_per_row=samples_per_row)
    model = packed_model(family, k=2)
    slots = model.get_submodule("jepa_predictor").get_parameter("weight")
    pairs = [pair for sample in SAMPLES for pair in reference.shared(sample, (-1, -2))]
    assert_same(found, run_separately(plain_model(family), slots, SAMPLES, pairs), (1e-13, 1e-13, 2e-6))


@pytest.mark.parametrize("family", FAMILIES)
def test_dense_masks_as_on_a_gpu_give_the_same(family, as_on_a_gpu):
    dense = run_packed(packed_model(family, k=2), FORESTS, samples_per_row=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attention, "IN_PIECES", frozenset({"cpu"}))
        assert_same(run_packed(packed_model(family, k=2), FORESTS, samples_per_row=5), dense, (1e-13, 1e-13, 2e-6))


@pytest.mark.filterwarnings("ignore:`gradient_checkpointing_enable` is deprecated:FutureWarning")
def test_checkpointed_layers_take_the_same_pieces_again(call):
    expected = run_packed(packed_model(k=2), FORESTS, samples_per_row=5)
    model = packed_model(k=2).train()
    model.gradient_checkpointing_enable()
    assert_same(run_packed(model, FORESTS, samples_per_row=5), expected, (0.0, 0.0, 0.0))


def test_in_bfloat16_they_stay_within_its_rounding(call):
    model = packed_model(k=2, dtype=torch.bfloat16)
    exact, rounded = (
        encode(item, pack(FORESTS, pad=PAD, samples_per_row=5)).predicted.float() for item in (packed_model(k=2), model)
    )
    torch.testing.assert_close(rounded, exact, atol=0.1, rtol=0.1)


def test_a_long_segment_needs_no_mask_and_pads_share_one():
    visibility = pack([FORESTS[0]], pad=PAD, row_length=lambda _: FORESTS[0].tokens + 9).visibility
    found = segments(visibility, 0)
    lengths = [len(segment.ids) for segment in FORESTS[0].segments]
    bounds = [0, *accumulate(lengths)]
    parts = [(segment.start, segment.end, segment.apart) for segment in found]
    assert parts[:3] == [(start, end, False) for start, end in pairwise(bounds)]
    assert parts[3:] == [(bounds[-1], bounds[-1] + 9, True)]


def test_what_is_cut_is_what_saves_more_than_a_call():
    long, slot, code = Segment(0, 400, 0), Segment(400, 401, 0), Segment(401, 600, 401)
    groups = cheapest([long, slot, code], pieces.CALL)
    assert groups == [[long], [slot], [code]]
    short = [Segment(30 * index, 30 * index + 30, 30 * index) for index in range(20)]
    assert {len(group) for group in cheapest(short, pieces.CALL)} == {2}  # 3,600 + a call, or 2 x (450 + a call)
    assert [len(group) for group in cheapest(short, 0)] == [1] * 20
    assert cheapest([], 0) == []


def test_on_a_cpu_a_batch_is_one_row_and_elsewhere_as_many_as_pay_off():
    model = packed_model()
    assert rows_for(model, torch.device("cpu")) == OneRow()
    assert rows_for(model, torch.device("cpu"), 3) == OneRow(3)
    assert rows_for(model, torch.device("cuda")) == Cheapest(model.config.hidden_size)
    eager = packed_model(attention="eager")
    assert rows_for(eager, torch.device("cpu")) == Cheapest(eager.config.hidden_size)


@pytest.mark.parametrize("biased", [False, True], ids=["plain", "with a bias of the positions"])
def test_the_attention_takes_what_that_of_transformers_takes(biased, call):
    visibility = pack(FORESTS, pad=PAD, samples_per_row=5).visibility
    tokens = visibility.segment_start.shape[1]
    draw = torch.Generator().manual_seed(0)
    query, key, value = torch.randn(3, 1, 4, tokens, 8, generator=draw, dtype=torch.float64)
    bias = torch.randn(1, 4, tokens, tokens, generator=draw, dtype=torch.float64)
    options: dict[str, Any] = {"scaling": 0.3} | ({"position_bias": bias} if biased else {})
    cut, _ = pieces_forward(torch.nn.Module(), query, key, value, Pieces.of(visibility, None), **options)
    whole, _ = pieces_forward(torch.nn.Module(), query, key, value, visibility.mask(), **options)
    torch.testing.assert_close(cut, whole, atol=1e-12, rtol=0)


def test_a_softcap_is_refused_and_not_left_out():
    visibility = pack(FORESTS, pad=PAD, samples_per_row=5).visibility
    query, key, value = torch.ones(3, 1, 2, visibility.segment_start.shape[1], 4)
    with pytest.raises(UserError, match=r"^sdpa has no softcap; set `model\.attention` to 'eager'"):
        pieces_forward(torch.nn.Module(), query, key, value, Pieces.of(visibility, None), softcap=30.0)


def test_dropout_reaches_every_piece(call):
    visibility = pack(FORESTS, pad=PAD, samples_per_row=5).visibility
    query, key, value = torch.ones(3, 1, 2, visibility.segment_start.shape[1], 4, dtype=torch.float64)
    torch.manual_seed(0)
    found, _ = pieces_forward(torch.nn.Module(), query, key, value, Pieces.of(visibility, None), dropout=0.5)
    per_token = found[0, :, 0, 0]
    for segment in segments(visibility, 0):
        if segment.end - segment.start > 3:
            assert not torch.allclose(per_token[segment.start : segment.end], torch.ones(1, dtype=torch.float64))


def visibility_of(row: Visibility, index: int) -> Visibility:
    """Return one row."""
    return Visibility(**{name: getattr(row, name)[index : index + 1] for name in row.__slots__})


def test_rows_are_cut_one_by_one(call):
    visibility = pack(FORESTS, pad=PAD, samples_per_row=2).visibility
    whole = Pieces.of(visibility, None)
    for index, row in enumerate(whole.rows):
        (alone,) = Pieces.of(visibility_of(visibility, index), None).rows
        assert [(piece.tokens, piece.first) for piece in alone] == [(piece.tokens, piece.first) for piece in row]
