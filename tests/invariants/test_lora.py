"""Under LoRA the adapters and the predictor slots train, nothing else; and packed is still exact."""

from typing import Any

import peft
import pytest
import torch
from tests.helpers import PAD, conversations, largest_difference, packed_model, plain_model, train, weights
from tests.invariants import reference
from tests.invariants.reference import assert_same, run_packed, run_separately

from llm_jepa.model.encode import encode
from llm_jepa.model.load import LoRA, prepare
from llm_jepa.objective.jepa import JEPA
from llm_jepa.packing.collate import pack
from llm_jepa.packing.layout import Layout

SAVED = "base_model.model.jepa_predictor.modules_to_save.default.weight"
FROZEN = "base_model.model.jepa_predictor.original_module.weight"


def adapted(family: str = "llama", *, k: int = 2, dtype: torch.dtype = torch.float64) -> Any:
    return prepare(plain_model(family, dtype=dtype), k=k, lora=LoRA(rank=4))


def stir(model: Any) -> None:
    """Move the adapters away from their start, where they do nothing."""
    draw = torch.Generator().manual_seed(5)
    for name, item in model.named_parameters():
        if "lora_" in name:
            item.data = 0.3 * torch.randn(item.shape, generator=draw, dtype=item.dtype)


@pytest.mark.parametrize("k", [0, 2])
def test_only_adapters_and_slots_train(k, tmp_path):
    model = adapted(k=k, dtype=torch.float32)
    before = weights(model)
    train(model, conversations(16), JEPA(), folder=tmp_path, layout=Layout(k=k))
    moved = {name for name, item in weights(model).items() if not torch.equal(item, before[name])}
    adapters = {name for name in before if "lora_" in name}
    assert len(adapters) == 28  # two layers of seven projections, two matrices each
    assert moved == adapters | ({SAVED} if k else set())


def test_the_slots_are_frozen_where_no_loss_reaches_them(tmp_path):
    model = adapted(dtype=torch.float32)
    before = weights(model)
    train(model, conversations(16), JEPA(weight=0.0), folder=tmp_path, layout=Layout(k=2))
    moved = {name for name, item in weights(model).items() if not torch.equal(item, before[name])}
    assert moved == {name for name in before if "lora_" in name}


@pytest.mark.parametrize("samples_per_row", [1, 3])
@pytest.mark.parametrize("family", ["llama", "gemma3"])
def test_packed_equals_separate_under_adapters(family, samples_per_row):
    samples = conversations(3)
    adapters = peft.LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM")
    model = adapted(family)
    plain: Any = peft.get_peft_model(plain_model(family), adapters)
    stir(model)
    stir(plain)
    slots = model.get_parameter(SAVED)
    pairs = [pair for sample in samples for pair in reference.shared(sample, (-1, -2))]
    found = run_packed(model, [Layout(k=2).forest(sample) for sample in samples], samples_per_row=samples_per_row)
    found.gradients["slots"] = found.gradients.pop(SAVED)
    assert_same(found, run_separately(plain, slots, samples, pairs), (1e-13, 1e-13, 2e-6))
    without = run_separately(plain_model(family), slots, samples, pairs)
    assert abs(float(without.loss - found.loss)) > 1e-2


@pytest.mark.filterwarnings("ignore:Could not find a config file:UserWarning")  # peft 0.18: the base model has no name
def test_saving_and_loading_an_adapter_brings_the_slots_back(tmp_path):
    model = adapted(dtype=torch.float32)
    train(model, conversations(16), JEPA(), folder=tmp_path, layout=Layout(k=2))
    model.save_pretrained(tmp_path / "adapter")
    assert sorted(path.suffix for path in (tmp_path / "adapter").iterdir()) == [".json", ".md", ".safetensors"]

    loaded = peft.PeftModel.from_pretrained(packed_model(k=2, dtype=torch.float32), str(tmp_path / "adapter"))
    assert largest_difference(weights(loaded), weights(model)) == 0.0
    assert not torch.equal(model.get_parameter(SAVED), model.get_parameter(FROZEN))
    batch = pack([Layout(k=2).forest(sample) for sample in conversations(3)], pad=PAD)
    with torch.no_grad():
        assert torch.equal(encode(loaded, batch).predicted, encode(model, batch).predicted)
