"""FlexAttention gives what sdpa and separate forwards give, forward and backward, with windows, softcaps and shared heads.

torch has no backward of FlexAttention on a CPU: it has the arithmetic, behind a guard. Gradients are compared with the guard
taken away, so that what is tested is our use of it; the compiled kernels of a GPU are tested by `python -m benchmarks.gpu`.
"""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from tests.helpers import PAD, conversations, packed_model, plain_model, train
from tests.invariants import reference
from tests.invariants.reference import assert_same, run_separately
from torch.nn.attention import flex_attention as torch_flex
from torch.nn.attention.flex_attention import BlockMask

from llm_jepa.errors import UserError
from llm_jepa.model import attention, flex
from llm_jepa.model.attention import attention_of, rows_for
from llm_jepa.model.check import check_packing
from llm_jepa.model.encode import encode
from llm_jepa.objective.jepa import JEPA, Totals
from llm_jepa.packing.batch import PackedBatch
from llm_jepa.packing.collate import pack
from llm_jepa.packing.layout import Layout
from llm_jepa.packing.rows import Blocks

# torch's tracer looks at it, and hides the warning from everyone but pytest.
pytestmark = pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")

BLOCKS = Blocks().length
FAMILIES = {"llama": "sdpa", "gemma2": "eager", "qwen3": "sdpa", "mistral": "sdpa"}
"""And the attention to compare with; Gemma 2 has a softcap, which sdpa lacks, and a window, as Mistral."""

SAMPLES = conversations(3, seed=1)
CPU = torch.device("cpu")


def batch_of(*, row_length=BLOCKS) -> PackedBatch:
    return pack([Layout(k=2).forest(sample) for sample in SAMPLES], pad=PAD, samples_per_row=3, row_length=row_length)


def outcome(model: torch.nn.Module, batch: PackedBatch) -> reference.Outcome:
    encoded = encode(model, batch)
    loss = JEPA(weight=reference.WEIGHT)(encoded, Totals(labels=len(batch.label), pairs=len(batch.predicted))).loss
    loss.backward()
    named = {name.replace("jepa_predictor.weight", "slots"): item for name, item in model.named_parameters()}
    gradients = {name: item.grad for name, item in named.items() if item.grad is not None}
    return reference.Outcome(loss.detach(), encoded.predicted.detach(), encoded.target.detach(), gradients)


@pytest.fixture
def backward_on_cpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    torch._dynamo.reset()
    monkeypatch.setattr(torch_flex, "_validate_device", lambda *_: None)
    monkeypatch.setattr(flex, "_check", lambda *_, **__: None)
    yield
    torch._dynamo.reset()


@pytest.mark.parametrize("family", FAMILIES)
def test_flex_equals_separate_forwards_and_their_gradients(family, backward_on_cpu):
    model = packed_model(family, k=2, attention="flex_attention")
    found = outcome(model, batch_of())
    expected = run_separately(
        plain_model(family, attention=FAMILIES[family]),
        model.get_submodule("jepa_predictor").get_parameter("weight"),
        SAMPLES,
        [pair for sample in SAMPLES for pair in reference.shared(sample, (-1, -2))],
    )
    # Norms, and the softmax of eager attention, are in float32.
    assert_same(found, expected, (1e-13, 1e-13, 2e-6) if FAMILIES[family] == "sdpa" else (1e-6, 5e-6, 2e-5))


def test_flex_equals_the_dense_masks_in_float32_whatever_the_length_of_the_row():
    for family in ("llama", "gemma2"):
        dense = packed_model(family, k=2, attention=FAMILIES[family], dtype=torch.float32)
        sparse = packed_model(family, k=2, attention="flex_attention", dtype=torch.float32)
        for length in (BLOCKS, lambda tokens: tokens):
            with torch.no_grad():
                one, other = encode(dense, batch_of(row_length=length)), encode(sparse, batch_of(row_length=length))
            torch.testing.assert_close(other.predicted, one.predicted, atol=1e-5, rtol=0)
            torch.testing.assert_close(other.label_nll, one.label_nll, atol=1e-5, rtol=0)


def test_a_mask_is_made_once_for_each_kind_of_layer(monkeypatch):
    made = []

    def counted(visibility, window):
        made.append(window)
        return flex.block_mask(visibility, window)

    monkeypatch.setattr(attention, "block_mask", counted)
    with torch.no_grad():
        encode(packed_model("gemma2", k=2, attention="flex_attention"), batch_of())
    assert sorted(made, key=str) == [5, None]  # two layers, one of them with a window of 5


def test_the_block_mask_is_the_formula_block_by_block():
    forests = [Layout(k=2).forest(sample) for sample in conversations(60, longest=20)]
    visibility = pack(forests, pad=PAD, samples_per_row=60, row_length=BLOCKS).visibility
    for window in (None, 7):
        dense = visibility.mask(window)
        mask = flex.block_mask(visibility, window)
        tokens = dense.shape[-1]
        blocks = dense[0, 0].reshape(tokens // 128, 128, tokens // 128, 128).any(3).any(1)
        assert tokens // 128 >= 8
        assert torch.equal(mask.to_dense()[0, 0].bool(), blocks)
        assert mask.sparsity() > 70  # all samples in one row, and most of it is not computed


def test_outside_a_packed_forward_a_flex_model_is_transformers_own():
    tokens = torch.tensor([[1, 9, 8, 7], [1, 5, 6, PAD]])
    padding = (tokens != PAD).long()
    for family in ("llama", "gemma2"):
        with torch.no_grad():
            one = plain_model(family, attention=FAMILIES[family])(input_ids=tokens, attention_mask=padding).logits
            other = packed_model(family, k=2, attention="flex_attention")(input_ids=tokens, attention_mask=padding).logits
        torch.testing.assert_close(other[padding.bool()], one[padding.bool()], atol=2e-6, rtol=0)


def test_generation_with_a_flex_model_is_that_of_the_plain_model():
    settings: dict[str, Any] = {"max_new_tokens": 8, "do_sample": False, "pad_token_id": PAD}
    prompt = torch.tensor([[1, 9, 8, 7]])
    plain: Any = plain_model("llama")
    packed: Any = packed_model("llama", attention="flex_attention")
    assert torch.equal(plain.generate(prompt, **settings), packed.generate(prompt, **settings))


def test_the_self_check_compares_flex_with_separate_forwards(monkeypatch):
    model = packed_model("mistral", k=2, attention="flex_attention", dtype=torch.float32)
    forests = [Layout(k=2).forest(sample) for sample in SAMPLES]
    assert check_packing(model, forests, pad=PAD, rows=rows_for(model, CPU)) < 1e-3
    monkeypatch.setattr(attention, "block_mask", lambda visibility, _window: flex.block_mask(visibility, None))
    with pytest.raises(UserError, match="gives other embeddings when packed"):
        check_packing(model, forests, pad=PAD, rows=rows_for(model, CPU))


def test_training_on_a_cpu_is_refused_before_it_begins(tmp_path):
    model = packed_model("llama", k=2, attention="flex_attention")
    assert (attention_of(model), rows_for(model, CPU), rows_for(model, CPU, 4)) == ("flex_attention", Blocks(), Blocks(4))
    message = r"^FlexAttention has no backward on a CPU; set `model\.attention` to 'sdpa' or 'eager', or train on a GPU$"
    with pytest.raises(UserError, match=message):
        train(model, conversations(4), JEPA(), folder=tmp_path, layout=Layout(k=2))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dropout": 0.5}, "^FlexAttention has no dropout, but the model's is 0.5"),
        ({"s_aux": torch.ones(2)}, "^FlexAttention is not used with attention sinks here"),
    ],
)
def test_what_flex_lacks_is_refused_and_never_left_out(options, message):
    heads = torch.randn(1, 2, 4, 8)
    mask = BlockMask.from_kv_blocks(torch.ones(1, 1, 1, dtype=torch.int32), torch.zeros(1, 1, 1, 1, dtype=torch.int32))
    with pytest.raises(UserError, match=message):
        flex.flex_forward(torch.nn.Identity(), heads, heads, heads, mask, **options)
