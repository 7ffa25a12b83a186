"""FlashAttention gets the borders of the segments, in the arguments transformers hands to its kernels.

No kernel runs on a CPU. One written here with sdpa stands in its place, behind transformers' own code, and checks what it is
given. With a real kernel on a GPU this has not been run.
"""

from typing import Any

import pytest
import torch
from tests.helpers import PAD, conversations, packed_model, plain_model, train
from tests.invariants import reference
from tests.invariants.reference import assert_same, run_separately
from torch import Tensor
from torch.nn import functional
from transformers import modeling_flash_attention_utils as flash_utils

from llm_jepa.errors import UserError
from llm_jepa.model.attention import rows_for
from llm_jepa.model.check import check_packing
from llm_jepa.model.encode import encode
from llm_jepa.objective.jepa import JEPA, Totals
from llm_jepa.packing.collate import Collator, pack
from llm_jepa.packing.layout import Layout, plain_forest
from llm_jepa.packing.rows import Segments

SAMPLES = conversations(3, seed=1)
SEPARATE = Layout(k=2, shared=False)


class Kernel:
    """Attends segment by segment with sdpa, and keeps what it was given."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []

    def varlen(
        self,
        q,
        k,
        v,
        cu_seqlens_q,
        cu_seqlens_k,
        max_seqlen_q,
        max_seqlen_k,
        dropout_p=0.0,
        softmax_scale=None,
        causal=False,
    ) -> Tensor:
        assert (cu_seqlens_q.dtype, causal, dropout_p) == (torch.int32, True, 0.0)
        assert q.shape[0] == int(cu_seqlens_q[-1])
        self.calls.append({"borders": cu_seqlens_q.tolist(), "keys": cu_seqlens_k.tolist(), "longest": max_seqlen_q})
        assert max_seqlen_k == max_seqlen_q >= int(cu_seqlens_q.diff().max())
        parts = [
            self._attend(q[a:b], k[a:b], v[a:b], softmax_scale) for a, b in zip(*self._borders(cu_seqlens_q), strict=True)
        ]
        return torch.cat(parts)

    def plain(self, q, k, v, dropout_p=0.0, softmax_scale=None, causal=False) -> Tensor:
        assert (causal, dropout_p) == (True, 0.0)
        return torch.stack([self._attend(*row, softmax_scale) for row in zip(q, k, v, strict=True)])

    @staticmethod
    def _borders(cu_seqlens: Tensor) -> tuple[list[int], list[int]]:
        borders = cu_seqlens.tolist()
        return borders[:-1], borders[1:]

    @staticmethod
    def _attend(q: Tensor, k: Tensor, v: Tensor, scale: float | None) -> Tensor:
        query, key, value = (part.transpose(0, 1)[None] for part in (q, k, v))
        attended = functional.scaled_dot_product_attention(query, key, value, is_causal=True, scale=scale, enable_gqa=True)
        return attended[0].transpose(0, 1)


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    kernel = Kernel()
    process = flash_utils._lazy_define_process_function(kernel.varlen)
    pads = (flash_utils._pad_input, flash_utils._unpad_input)
    if "_flash_with_kvcache_fn" in vars(flash_utils):  # a third kernel and its arguments came after transformers 5.0
        found = ((kernel.plain, kernel.varlen, None, *pads), (process, dict))
    else:
        found = ((kernel.plain, kernel.varlen, *pads), process)
    monkeypatch.setattr(flash_utils, "lazy_import_flash_attention", lambda *_, **__: found)
    return kernel


def flash_model(family: str = "llama", **options: Any) -> Any:
    """Return a model that takes itself to be one with FlashAttention, which cannot be asked for without a GPU."""
    model = packed_model(family, k=2, **options)
    model.config._attn_implementation_internal = "flash_attention_2"
    return model


def test_the_borders_of_all_segments_reach_the_kernel_and_the_results_are_those_of_separate_forwards(kernel):
    model = flash_model()
    batch = rows_for(model, torch.device("cpu")).finish(
        pack([SEPARATE.forest(sample) for sample in SAMPLES], pad=PAD, samples_per_row=3)
    )
    encoded = encode(model, batch)
    loss = JEPA(weight=reference.WEIGHT)(encoded, Totals(labels=len(batch.label), pairs=len(batch.predicted))).loss
    loss.backward()
    lengths = [len(segment.ids) for sample in SAMPLES for segment in SEPARATE.forest(sample).segments]
    borders = [0, *torch.tensor(lengths).cumsum(0).tolist()]
    assert kernel.calls == [{"borders": borders, "keys": borders, "longest": sum(lengths)}] * 2  # one for each layer
    named = {name.replace("jepa_predictor.weight", "slots"): item.grad for name, item in model.named_parameters()}
    gradients = {name: item for name, item in named.items() if item is not None}
    found = reference.Outcome(loss.detach(), encoded.predicted.detach(), encoded.target.detach(), gradients)
    pairs = [pair for sample in SAMPLES for pair in reference.separate(sample, (-1, -2))]
    slots = model.get_submodule("jepa_predictor").get_parameter("weight")
    assert_same(found, run_separately(plain_model(), slots, SAMPLES, pairs), (1e-13, 1e-13, 2e-6))


def test_plain_training_sequences_may_be_packed_too(kernel):
    model = flash_model()
    batch = Segments().finish(pack([plain_forest(sample) for sample in SAMPLES], pad=PAD, samples_per_row=3))
    with torch.no_grad():
        found = encode(model, batch).label_nll
        expected = encode(packed_model(k=2), pack([plain_forest(sample) for sample in SAMPLES], pad=PAD)).label_nll
    torch.testing.assert_close(found, expected, atol=1e-13, rtol=0)
    assert kernel.calls[0]["borders"] == [
        0,
        *torch.tensor([len(item.sequences[0].ids) for item in SAMPLES]).cumsum(0).tolist(),
    ]


def test_a_pad_is_a_segment_of_its_own():
    batch = Segments(1).finish(pack([plain_forest(sample) for sample in SAMPLES[1::-1]], pad=PAD))
    lengths = [len(sample.sequences[0].ids) for sample in SAMPLES[1::-1]]
    longest, short = max(lengths), min(lengths)
    assert lengths[0] > lengths[1]
    assert batch.borders is not None
    assert batch.borders.tolist() == [0, longest, *range(longest + short, 2 * longest + 1)]


def test_the_self_check_passes_and_a_wrong_border_does_not(kernel, monkeypatch):
    model, forests = flash_model(), [SEPARATE.forest(sample) for sample in SAMPLES]
    assert check_packing(model, forests, pad=PAD, rows=rows_for(model, torch.device("cpu"))) < 1e-5
    right = kernel.varlen
    ends = lambda borders: borders[[0, -1]]  # noqa: E731 - one segment from the first token to the last
    monkeypatch.setattr(Kernel, "_borders", staticmethod(lambda borders: tuple([int(i)] for i in ends(borders))))
    with pytest.raises(UserError, match="gives other embeddings when packed"):
        check_packing(model, forests, pad=PAD, rows=rows_for(model, torch.device("cpu")))
    assert right == kernel.varlen


def test_the_shared_layout_is_refused_in_one_sentence(kernel, tmp_path):
    message = (
        r"^FlashAttention cannot let a segment see a prefix of another, as the shared layout does: set "
        r"`layout\.shared: false`, or `model\.attention` to 'flex_attention' or 'sdpa'$"
    )
    with pytest.raises(UserError, match=message):
        train(flash_model(), SAMPLES, JEPA(), folder=tmp_path, layout=Layout(k=2))
    collate = Collator(layout=Layout(k=2), pad=PAD, rows=Segments())
    with pytest.raises(UserError, match=message):
        collate([{"sample": sample} for sample in SAMPLES])


def test_training_with_it_gives_the_weights_of_training_with_sdpa(kernel, tmp_path):
    losses = [
        [log["loss"] for log in train(model, SAMPLES, JEPA(), folder=tmp_path, layout=SEPARATE, steps=2) if "loss" in log]
        for model in (flash_model(), packed_model(k=2))
    ]
    assert losses[0] == pytest.approx(losses[1], abs=1e-12)
    assert kernel.calls
