"""The [PRED] slots as a file beside the exported model."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.helpers import packed_model

from llm_jepa.errors import UserError
from llm_jepa.model.lora import LoRA, with_adapters
from llm_jepa.model.slots import load_slots, save_slots, slots_of


def test_what_is_saved_is_loaded_bit_for_bit(tmp_path: Path) -> None:
    model, other = packed_model(k=3), packed_model(k=3)
    trained = slots_of(model)
    assert trained is not None
    with torch.no_grad():
        trained.weight.mul_(7).sub_(1)
    assert save_slots(model, tmp_path / "predictor.safetensors")
    load_slots(other, tmp_path / "predictor.safetensors")
    loaded = slots_of(other)
    assert loaded is not None
    assert torch.equal(loaded.weight, trained.weight)
    assert loaded.weight.requires_grad
    assert [path.name for path in tmp_path.iterdir()] == ["predictor.safetensors"]


def test_a_model_without_slots_writes_nothing(tmp_path: Path) -> None:
    assert not save_slots(packed_model(k=0), tmp_path / "predictor.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_under_adapters_the_trained_slots_are_saved_and_not_the_first_ones(tmp_path: Path) -> None:
    model = with_adapters(packed_model(k=2, dtype=torch.float32), LoRA(rank=2), k=2, seed=0)
    trained = [value for name, value in model.named_parameters() if "jepa_predictor" in name and "original" not in name]
    assert len(trained) == 1
    with torch.no_grad():
        trained[0].fill_(5)
    save_slots(model, tmp_path / "predictor.safetensors")
    assert load_file(tmp_path / "predictor.safetensors")["jepa_predictor.weight"].tolist() == [[5.0] * 32] * 2


@pytest.mark.parametrize(
    ("k", "tensors", "sentence"),
    [
        (3, {"jepa_predictor.weight": torch.zeros(2, 32)}, "slots of size 2 x 32, but the model has 3 x 32"),
        (3, {"jepa_predictor.weight": torch.zeros(3, 8)}, "slots of size 3 x 8, but the model has 3 x 32"),
        (3, {"weight": torch.zeros(3, 32)}, "slots of size none, but the model has 3 x 32"),
        (0, {"jepa_predictor.weight": torch.zeros(2, 32)}, "slots of size 2 x 32, but the model has none"),
    ],
)
def test_slots_of_another_model_are_refused(tmp_path: Path, k: int, tensors: dict, sentence: str) -> None:
    save_file(tensors, tmp_path / "other.safetensors")
    with pytest.raises(UserError, match=sentence):
        load_slots(packed_model(k=k), tmp_path / "other.safetensors")


@pytest.mark.parametrize("content", [None, b"", b"no tensors at all"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "predictor.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"predictor.safetensors: the \[PRED\] slots cannot be read"):
        load_slots(packed_model(), path)
