"""Adapters over base weights in 4 bits, and their way back to full precision."""

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.helpers import PAD, VOCABULARY, conversations, largest_difference, plain_model, train, weights, word_tokenizer
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from llm_jepa.errors import UserError
from llm_jepa.model.check import packing_error
from llm_jepa.model.encode import encode
from llm_jepa.model.export import export, full_precision, merged
from llm_jepa.model.flops import CostModel
from llm_jepa.model.load import LoRA, ModelConfig, load_model, prepare
from llm_jepa.model.lora import four_bit_config, is_four_bit
from llm_jepa.model.openelm import OpenELMConfig, OpenELMForCausalLM
from llm_jepa.model.slots import NAME
from llm_jepa.objective.jepa import JEPA, Totals
from llm_jepa.packing.collate import pack
from llm_jepa.packing.layout import Layout

needs_bitsandbytes = pytest.mark.skipif(find_spec("bitsandbytes") is None, reason="bitsandbytes is not installed")

FOUR_BIT = LoRA(rank=3, alpha=12, four_bit=True)
IDS = torch.tensor([[1, 5, 9, 9, 2, 30]])
BASES = ("llama", "openelm")
# Widths that bitsandbytes' own layout for CPUs could take (a block of 64 values a row), so that it would show here.
SIZES: dict[str, Any] = {"vocab_size": VOCABULARY, "num_hidden_layers": 2, "max_position_embeddings": 128}
LLAMA = SIZES | {"hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 4, "initializer_range": 0.2}
OPENELM = SIZES | {"model_dim": 64, "head_dim": 16, "ffn_multipliers": [1.0, 2.0], "ffn_dim_divisor": 64}


def base_folder(folder: Path, kind: str) -> str:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if kind == "llama":
            model: PreTrainedModel = LlamaForCausalLM(LlamaConfig(**LLAMA))
        else:
            model = OpenELMForCausalLM(OpenELMConfig(**OPENELM, num_gqa_groups=2, share_input_output_layers=True))
    model.save_pretrained(folder)
    return str(folder)


def loaded(name: str, lora: LoRA | None) -> PreTrainedModel:
    return load_model(ModelConfig(name=name, lora=lora), word_tokenizer(), seed=0)


def stir(model: nn.Module) -> None:
    """Move the adapters away from their start, where they do nothing."""
    draw = torch.Generator().manual_seed(5)
    for name, item in model.named_parameters():
        if "lora_" in name:
            item.data = 0.2 * torch.randn(item.shape, generator=draw)


def dequantised(model: PreTrainedModel) -> dict[str, Tensor]:
    """Return the values that the 4-bit weights stand for."""
    from bitsandbytes.functional import dequantize_4bit

    parameters: Any = dict(model.named_parameters())
    rounded = {name: item for name, item in parameters.items() if "quant_state" in dir(item)}
    return {name: dequantize_4bit(item.data, item.quant_state) for name, item in rounded.items()}


def gradients(model: nn.Module) -> dict[str, Tensor]:
    batch = pack([Layout(k=2).forest(sample) for sample in conversations(3)], pad=PAD)
    encoded = encode(model.train(), batch)
    JEPA()(encoded, Totals(labels=len(batch.label), pairs=len(batch.predicted))).loss.backward()
    return {name: item.grad for name, item in model.named_parameters() if item.grad is not None}


def test_the_base_weights_are_nf4_with_doubly_quantised_scales(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llm_jepa.model.lora.find_spec", lambda _: object())
    config = four_bit_config(torch.bfloat16)
    assert (config.load_in_4bit, config.bnb_4bit_quant_type, config.bnb_4bit_use_double_quant) == (True, "nf4", True)
    assert config.bnb_4bit_compute_dtype == torch.bfloat16


def test_without_bitsandbytes_the_sentence_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llm_jepa.model.lora.find_spec", lambda _: None)
    with pytest.raises(UserError, match=r"four_bit needs the package bitsandbytes: `pip install 'llm-jepa\[qlora\]'`"):
        loaded(base_folder(tmp_path, "llama"), FOUR_BIT)


@needs_bitsandbytes
def test_a_device_that_bitsandbytes_does_not_know_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bitsandbytes.supported_torch_devices", {"abacus"})
    with pytest.raises(
        UserError, match=r"bitsandbytes has no 4-bit weights for this device; set `model.lora.four_bit: false`"
    ):
        loaded(base_folder(tmp_path, "llama"), FOUR_BIT)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"config": {"model_type": "llama"}}, "four_bit rounds pretrained safetensors weights"),
        ({"name": "folder/model.gguf"}, "four_bit rounds pretrained safetensors weights"),
        ({"name": "folder", "gguf": "model.gguf"}, "four_bit rounds pretrained safetensors weights"),
        ({"name": "folder", "dtype": "float64"}, "four_bit multiplies in float32 or bfloat16"),
    ],
)
def test_what_cannot_be_held_in_four_bits_is_refused(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        ModelConfig(**fields, lora=FOUR_BIT)


@needs_bitsandbytes
@pytest.mark.parametrize("kind", BASES)
def test_all_linear_layers_but_the_output_layer_are_rounded_and_still_counted_whole(kind: str, tmp_path: Path) -> None:
    name = base_folder(tmp_path, kind)
    plain, rounded = loaded(name, None), loaded(name, FOUR_BIT)
    linear = {name for name, part in plain.named_modules() if isinstance(part, nn.Linear)} - {"lm_head"}
    assert dequantised(rounded).keys() == {f"{name}.weight" for name in linear}
    assert (is_four_bit(rounded), is_four_bit(plain)) == (True, False)
    assert replace(CostModel.of(rounded), frozen=0) == CostModel.of(plain)
    for name, values in dequantised(rounded).items():
        difference = (values - plain.get_parameter(name)).abs().max() / plain.get_parameter(name).abs().max()
        assert 0 < difference.item() < 0.2  # half the widest gap of NF4's sixteen values is 0.15


@needs_bitsandbytes
@pytest.mark.parametrize("kind", BASES)
def test_training_reduces_the_loss_and_moves_adapters_and_slots_alone(kind: str, tmp_path: Path) -> None:
    model = prepare(loaded(base_folder(tmp_path / "base", kind), FOUR_BIT), k=2, lora=FOUR_BIT)
    before = weights(model)
    log = train(model, conversations(32), JEPA(), folder=tmp_path / "run", layout=Layout(k=2), steps=12, learning_rate=2e-2)
    assert float(log[-1]["loss"]) < 0.8 * float(log[0]["loss"])
    moved = {name for name, item in weights(model).items() if not torch.equal(item, before[name])}
    adapters = {name for name in before if "lora_" in name}
    assert len(adapters) == 2 * 2 * (7 if kind == "llama" else 4)
    assert moved == adapters | {f"base_model.model.{NAME}.modules_to_save.default.weight"}


@needs_bitsandbytes
@pytest.mark.parametrize("kind", BASES)
def test_gradients_are_those_of_the_rounded_weights_written_out(kind: str, tmp_path: Path) -> None:
    name = base_folder(tmp_path, kind)
    rounded, plain = loaded(name, FOUR_BIT), loaded(name, None)
    for weight, values in dequantised(rounded).items():
        plain.get_parameter(weight).data = values
    models = [prepare(model, k=2, lora=FOUR_BIT) for model in (rounded, plain)]
    for model in models:
        stir(model)
        # An evaluation first: bitsandbytes changes its layout at one, on some processors, and loses the gradient.
        packing_error(model, [Layout(k=2).forest(sample) for sample in conversations(2)], pad=PAD)
    found, expected = (gradients(model) for model in models)
    assert found.keys() == expected.keys()
    for weight, values in expected.items():
        torch.testing.assert_close(found[weight], values, atol=1e-4 * values.abs().max().item(), rtol=0)


@needs_bitsandbytes
@pytest.mark.parametrize("kind", BASES)
def test_the_export_is_the_unrounded_weights_and_the_adapters_product(kind: str, tmp_path: Path) -> None:
    name = base_folder(tmp_path / "base", kind)
    config = ModelConfig(name=name, lora=FOUR_BIT)
    model: Any = prepare(loaded(name, FOUR_BIT), k=2, lora=FOUR_BIT)
    stir(model)
    state = weights(model)
    torch.manual_seed(1)
    drawn = torch.random.get_rng_state()
    whole = full_precision(model, config, word_tokenizer(), seed=0)
    assert torch.equal(torch.random.get_rng_state(), drawn)
    export(whole, word_tokenizer(), tmp_path / "out", stops=[3], card="")
    saved, source = load_file(tmp_path / "out" / "model.safetensors"), load_file(tmp_path / "base" / "model.safetensors")
    assert saved.keys() == source.keys()
    for weight, values in source.items():
        path = f"base_model.model.{weight.removesuffix('.weight')}"
        expected = values
        if f"{path}.lora_A.default.weight" in state:
            expected = values + 4 * state[f"{path}.lora_B.default.weight"] @ state[f"{path}.lora_A.default.weight"]
        torch.testing.assert_close(saved[weight], expected, atol=1e-6, rtol=0)
    assert largest_difference(weights(model), state) == 0  # training could go on
    assert "quantization_config" not in (tmp_path / "out" / "config.json").read_text()


@needs_bitsandbytes
def test_four_bit_weights_are_never_merged_into(tmp_path: Path) -> None:
    model = prepare(loaded(base_folder(tmp_path, "llama"), FOUR_BIT), k=0, lora=FOUR_BIT)
    with pytest.raises(UserError, match="the base weights are in 4 bits; export `full_precision"):
        merged(model)


@needs_bitsandbytes
def test_an_adapter_of_four_bit_training_is_saved_alone_and_fits_the_full_base(tmp_path: Path) -> None:
    from peft import PeftModel

    name = base_folder(tmp_path / "base", "llama")
    model: Any = prepare(loaded(name, FOUR_BIT), k=0, lora=FOUR_BIT)
    stir(model)
    model.save_pretrained(tmp_path / "adapter")
    saved = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    assert len(saved) == 28
    assert all("lora_" in weight for weight in saved)
    apart: Any = PeftModel.from_pretrained(loaded(name, None), str(tmp_path / "adapter"))
    whole: Any = full_precision(model, ModelConfig(name=name, lora=FOUR_BIT), word_tokenizer(), seed=0)
    with torch.no_grad():
        expected, found = apart.eval()(IDS).logits, whole.eval()(IDS).logits
        torch.testing.assert_close(found, expected)
        assert (model.eval()(IDS).logits - expected).abs().max() > 1e-3


def test_a_model_in_full_precision_is_exported_as_it_is() -> None:
    model = prepare(plain_model(), k=2, lora=LoRA(rank=2))
    assert full_precision(model, ModelConfig(name="nowhere"), word_tokenizer(), seed=0) is model
