"""The start-up check lets exact models pass and refuses every model that packing would make silently wrong."""

import pytest
import torch
from tests.helpers import GROUP, PAD, conversations, largest_difference, packed_model, plain_model, train, weights
from tests.invariants import reference
from tests.invariants.reference import assert_same, run_packed, run_separately

from llm_jepa.errors import UserError
from llm_jepa.model import check, pieces
from llm_jepa.model.check import check_packing
from llm_jepa.model.pieces import Pieces
from llm_jepa.objective.jepa import JEPA
from llm_jepa.packing.layout import Layout

GOOD = ("llama", "qwen3", "olmo2", "gemma2", "gemma3", "mistral", "gpt2", "gpt2_dropout", "phi3", "cohere2")
BAD = ("mpt", "bloom", "mamba", "lfm2")
FORESTS = [Layout(k=2).forest(sample) for sample in (*conversations(2), GROUP)]


def attention_of(family: str) -> str:
    return "eager" if family in {"gemma2", "mpt", "bloom", "mamba"} else "sdpa"


def dtype_of(family: str) -> torch.dtype:
    return torch.float32 if family == "mpt" else torch.float64  # transformers 5.0 cannot mask MPT in float64


@pytest.mark.parametrize("family", GOOD)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_exact_models_pass(family, dtype):
    model = packed_model(family, k=2, attention=attention_of(family), dtype=dtype).train()
    check_packing(model, FORESTS, pad=PAD)
    assert model.training


def test_a_difference_is_told_by_the_length_of_embeddings_not_by_their_coordinates(monkeypatch):
    """One coordinate of SmolLM2-135M is 24 times the root mean square, and bfloat16 rounds it by as much more."""
    forward = check.forward

    def with_a_large_coordinate(model, batch, *, kept, one_forward):
        found = forward(model, batch, kept=kept, one_forward=one_forward)
        found.hidden[..., 0] = 1003.0 if one_forward else 1000.0
        return found

    monkeypatch.setattr(check, "forward", with_a_large_coordinate)
    assert check.packing_error(packed_model(k=2), FORESTS, pad=PAD) == pytest.approx(0.003, rel=0.01)


@pytest.mark.parametrize("family", BAD)
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_models_that_count_by_place_or_carry_state_are_refused(family, dtype):
    model = packed_model(family, k=2, attention=attention_of(family), dtype=dtype)
    with pytest.raises(UserError, match=r"^(Mpt|Bloom|Mamba|Lfm2)ForCausalLM .*one_forward: false"):
        check_packing(model, FORESTS, pad=PAD)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("family", ["llama", "gemma3", "gpt2"])
def test_a_plain_causal_mask_is_refused(family, dtype, monkeypatch):
    tokens = sum(forest.tokens for forest in FORESTS)
    monkeypatch.setattr(pieces, "segments", lambda *_: [pieces.Segment(0, tokens, 0)])
    with pytest.raises(UserError, match="gives other embeddings when packed"):
        check_packing(packed_model(family, k=2, dtype=dtype), FORESTS, pad=PAD)


@pytest.mark.parametrize("family", ["mistral", "gemma3"])
def test_a_mask_without_the_sliding_window_is_refused(family, monkeypatch):
    right = Pieces.of
    monkeypatch.setattr(Pieces, "of", lambda visibility, _window: right(visibility, None))
    with pytest.raises(UserError, match="gives other embeddings when packed"):
        check_packing(packed_model(family, k=2), FORESTS, pad=PAD)


def test_positions_that_count_on_along_the_row_are_refused(monkeypatch):
    model = packed_model(k=2)
    forward = model.forward
    monkeypatch.setattr(model, "forward", lambda **given: forward(**(given | {"position_ids": None})))
    with pytest.raises(UserError, match="gives other embeddings when packed"):
        check_packing(model, FORESTS, pad=PAD)


@pytest.mark.parametrize(
    ("dtype", "limit"), [(torch.float64, 1e-5), (torch.float32, 1e-3), (torch.bfloat16, 0.15), (torch.float16, 0.03)]
)
def test_the_tolerance_is_that_of_the_models_dtype(dtype, limit, monkeypatch):
    model = packed_model(k=2, dtype=dtype)
    for error, passes in ((0.99 * limit, True), (1.01 * limit, False), (float("nan"), False)):
        monkeypatch.setattr(check, "packing_error", lambda *_, error=error, **__: error)
        if passes:
            assert check_packing(model, FORESTS, pad=PAD) == error
        else:
            with pytest.raises(UserError, match="gives other embeddings when packed"):
                check_packing(model, FORESTS, pad=PAD)


@pytest.mark.parametrize("family", BAD)
def test_the_trainer_refuses_them_before_the_first_step(family, tmp_path):
    model = packed_model(family, k=2, attention=attention_of(family), dtype=dtype_of(family))
    before = weights(model)
    with pytest.raises(UserError, match="one_forward: false"):
        train(model, conversations(16), JEPA(), folder=tmp_path, layout=Layout(k=2))
    assert largest_difference(weights(model), before) == 0.0


@pytest.mark.parametrize("family", [*BAD, "llama", "gemma3"])
def test_rows_of_one_path_each_equal_separate_forwards_for_every_model(family):
    samples = conversations(3)
    dtype = dtype_of(family)
    model = packed_model(family, k=2, attention=attention_of(family), dtype=dtype)
    found = run_packed(model, [Layout(k=2).forest(sample) for sample in samples], one_forward=False)
    expected = run_separately(
        plain_model(family, attention=attention_of(family), dtype=dtype),
        model.get_submodule("jepa_predictor").get_parameter("weight"),
        samples,
        [pair for sample in samples for pair in reference.shared(sample, (-1, -2))],
    )
    assert_same(found, expected, (1e-5, 1e-5, 2e-5))


@pytest.mark.parametrize("family", BAD)
def test_models_that_cannot_be_packed_train_with_rows_of_one_path_each(family, tmp_path):
    model = packed_model(family, k=2, attention=attention_of(family), dtype=dtype_of(family))
    before = weights(model)
    logs = train(model, conversations(16), JEPA(), folder=tmp_path, layout=Layout(k=2), one_forward=False, steps=6)
    assert logs[-1]["loss"] < logs[0]["loss"]
    assert largest_difference({"slots": before["jepa_predictor.weight"]}, {"slots": weights(model)["jepa_predictor.weight"]})
