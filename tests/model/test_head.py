"""The loss in pieces is the loss of all logits at once, and its logits never exist at once."""

import pytest
import torch
from tests.helpers import PAD, conversations, packed_model, train, weights
from torch.utils._python_dispatch import TorchDispatchMode

from llm_jepa.model import head
from llm_jepa.model.encode import encode
from llm_jepa.model.head import Tail, knows_tail, tail_of
from llm_jepa.model.parts import output_layer
from llm_jepa.objective.jepa import JEPA, Totals
from llm_jepa.packing.collate import pack
from llm_jepa.packing.layout import Layout
from llm_jepa.training import trainer

FAMILIES = {"llama": "sdpa", "gemma2": "eager", "cohere2": "sdpa", "gpt2": "sdpa"}
"""Gemma 2 caps its logits, Cohere 2 scales them, GPT-2 shares its output layer with the embedding."""

BATCH = pack([Layout(k=2).forest(sample) for sample in conversations(6)], pad=PAD, samples_per_row=6)


def gradients(family: str, *, logits_at_once: int | None) -> dict[str, torch.Tensor]:
    model = packed_model(family, k=2, attention=FAMILIES[family])
    encoded = encode(model, BATCH, logits_at_once=logits_at_once)
    totals = Totals(labels=len(BATCH.label), pairs=len(BATCH.predicted))
    loss = JEPA(weight=0.7)(encoded, totals).loss + encoded.label_nll.square().mean()  # no two labels weigh alike
    loss.backward()
    found = {name: item.grad for name, item in model.named_parameters() if item.grad is not None}
    return found | {"loss": loss.detach(), "nll": encoded.label_nll.detach()}


@pytest.mark.parametrize("labels_at_once", [1, 7, 30])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_loss_in_pieces_equals_the_whole_in_every_gradient(family, labels_at_once):
    assert len(BATCH.label) == 31
    whole, pieces = gradients(family, logits_at_once=None), gradients(family, logits_at_once=64 * labels_at_once)
    assert whole.keys() == pieces.keys()
    for name, values in whole.items():
        torch.testing.assert_close(pieces[name], values, atol=1e-12, rtol=0)


class Widest(TorchDispatchMode):
    """Keeps the most rows that any tensor as wide as the vocabulary ever had."""

    rows = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        weight = (32, 64)  # of the output layer, turned
        if isinstance(result, torch.Tensor) and result.ndim > 1 and result.shape[-1] == 64 and result.shape != weight:
            self.rows = max(self.rows, result.numel() // 64)
        return result


@pytest.mark.parametrize(("logits_at_once", "rows"), [(None, 31), (64 * 31, 31), (64 * 5, 5), (64, 1)])
def test_no_more_logits_exist_than_a_piece_has(logits_at_once, rows):
    model = packed_model("llama", k=2)
    output_layer(model).weight.requires_grad_(False)  # its gradient is as wide as the vocabulary
    with Widest() as seen:
        encode(model, BATCH, logits_at_once=logits_at_once).label_nll.sum().backward()
    assert seen.rows == rows


def test_a_forward_calls_the_model_once_also_with_pieces():
    model = packed_model("llama", k=2)
    calls: list[int] = []
    model.get_submodule("model.layers.0").register_forward_pre_hook(lambda *_: calls.append(1))
    encode(model, BATCH, logits_at_once=64)
    assert calls == [1]


def test_the_tail_is_read_from_the_config():
    assert tail_of(packed_model("llama")) == Tail()
    assert tail_of(packed_model("gemma2", attention="eager")) == Tail(softcap=30.0)
    assert tail_of(packed_model("cohere2")) == Tail(factor=0.0625)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_tail_is_known_when_the_model_does_just_that(family, monkeypatch):
    model = packed_model(family, attention=FAMILIES[family])
    assert knows_tail(model)
    for wrong in (Tail(factor=0.5), Tail(softcap=20.0), Tail(factor=0.0625, softcap=30.0)):
        monkeypatch.setattr(head, "tail_of", lambda _, wrong=wrong: wrong)
        assert not knows_tail(model)


@pytest.mark.parametrize(("known", "expected"), [(True, 3), (False, None)])
def test_the_trainer_keeps_all_logits_of_a_model_whose_tail_it_does_not_know(known, expected, monkeypatch, tmp_path):
    given: list[int | None] = []

    def spied(model, batch, **options):
        given.append(options["logits_at_once"])
        return encode(model, batch, **options)

    monkeypatch.setattr(trainer, "LOGITS", 3)
    monkeypatch.setattr(trainer, "knows_tail", lambda _: known)
    monkeypatch.setattr(trainer, "encode", spied)
    train(packed_model("llama"), conversations(8), JEPA(), folder=tmp_path, steps=2)
    assert set(given) == {expected}


def test_training_in_pieces_gives_the_same_weights(monkeypatch, tmp_path):
    found = []
    for limit in (2**27, 64 * 3):
        monkeypatch.setattr(trainer, "LOGITS", limit)
        model = packed_model("gpt2", k=2)
        train(model, conversations(16), JEPA(), folder=tmp_path, layout=Layout(k=2), steps=3)
        found.append(weights(model))
    for name, values in found[0].items():
        torch.testing.assert_close(found[1][name], values, atol=1e-9, rtol=0)
