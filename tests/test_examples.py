"""The minimal example trains, stays short, and its packed losses are those of separate forwards."""

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM

FILE = Path(__file__).resolve().parents[1] / "examples/minimal.py"


@pytest.fixture(scope="module")
def minimal() -> ModuleType:
    spec = importlib.util.spec_from_file_location("minimal", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_example_is_short_and_needs_nothing_of_this_package() -> None:
    text = FILE.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 130
    assert "llm_jepa" not in text


@pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad=True:UserWarning")  # it prints losses
def test_the_example_trains_and_prints_both_terms(minimal: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    accuracy = minimal.main(steps=3)
    assert 0 <= accuracy <= 1
    first, *_, last = capsys.readouterr().out.splitlines()
    assert all(name in first for name in ("next_token", "jepa", "matched", "shuffled"))
    assert last == f"accuracy on 50 held-out pairs: {accuracy:.0%}"


def small_model() -> LlamaForCausalLM:
    torch.manual_seed(1)
    shape: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = LlamaConfig(vocab_size=128, max_position_embeddings=128, initializer_range=0.3, **shape)
    return LlamaForCausalLM(config).double()


@torch.no_grad()
def separate_losses(minimal: ModuleType, model: LlamaForCausalLM, predictor: torch.Tensor, batch: list) -> dict[str, float]:
    """Return both terms from a forward of its own for every sequence: no padding, no mask, no positions."""
    embed = model.get_input_embeddings()

    def last(vectors: torch.Tensor) -> torch.Tensor:
        return model(inputs_embeds=vectors[None], output_hidden_states=True).hidden_states[-1][0, -1]

    nll, cosines = [], []
    for text, code in batch:
        prompt, answer = [*minimal.tokens(text), minimal.SEPARATOR], minimal.tokens(code)
        logits = model(input_ids=torch.tensor([[*prompt, *answer, minimal.STOP]])).logits[0, len(prompt) - 1 : -1]
        nll.append(functional.cross_entropy(logits, torch.tensor([*answer, minimal.STOP]), reduction="none"))
        predicted = last(torch.cat([embed(torch.tensor(prompt)), predictor]))
        cosines.append(functional.cosine_similarity(predicted, last(embed(torch.tensor(answer))), dim=0))
    return {"next_token": float(torch.cat(nll).mean()), "jepa": 1 - float(torch.stack(cosines).mean())}


@pytest.mark.parametrize("k", [0, 1, 3])
def test_packed_losses_equal_separate_forwards(minimal: ModuleType, k: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minimal, "K", k)
    model = small_model()
    predictor = torch.randn(k, 32, dtype=torch.float64)
    batch = minimal.pairs(5, seed=3)
    assert len({len(text) for text, _ in batch}) > 1  # rows are padded
    with torch.no_grad():
        packed = minimal.losses(model, predictor, minimal.pack(batch))
    for name, expected in separate_losses(minimal, model, predictor, batch).items():
        assert float(packed[name]) == pytest.approx(expected, abs=1e-6), name  # Llama's norm computes in float32
