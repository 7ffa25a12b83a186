"""OpenELM as transformers generates and loads with it, as packing runs it, and under adapters."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.helpers import conversations, largest_difference, train, weights, word_tokenizer
from tests.invariants import reference
from tests.invariants.reference import assert_same, run_packed, run_separately
from tests.model.openelm_models import GROWING, IDS, KINDS, NAMES, RELEASED_LIKE, model_of, read, said
from torch import Tensor
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, PreTrainedModel, TrainingArguments

from llm_jepa.model.attention import use_packed_attention
from llm_jepa.model.export import export
from llm_jepa.model.load import LoRA, ModelConfig, load_model, prepare
from llm_jepa.model.openelm import OpenELMConfig, OpenELMForCausalLM
from llm_jepa.model.slots import NAME, add_slots
from llm_jepa.objective.jepa import JEPA
from llm_jepa.packing.layout import Layout


@pytest.mark.parametrize("cache", ["dynamic", "static"])
def test_generation_with_a_cache_is_generation_without(cache: str) -> None:
    model: Any = model_of(RELEASED_LIKE)
    prompt, seen = torch.tensor([[0, 0, 0, 1, 5, 9], [1, 17, 5, 40, 5, 2]]), torch.ones(2, 6, dtype=torch.long)
    seen[0, :3] = 0
    options = {"attention_mask": seen, "max_new_tokens": 15, "do_sample": False, "eos_token_id": None}
    plain = model.generate(prompt, use_cache=False, **options)
    assert torch.equal(model.generate(prompt, cache_implementation=cache, **options), plain)
    alone = model.generate(prompt[:1, 3:], max_new_tokens=15, do_sample=False, eos_token_id=None)
    assert torch.equal(plain[0, 3:], alone[0])
    assert len(set(plain[0, 6:].tolist())) > 3


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("left", [True, False])
def test_pads_change_nothing(attention: str, left: bool) -> None:
    model = model_of(RELEASED_LIKE, attention=attention)
    pads, seen = [7, 7], [1] * len(IDS)
    row, mask = ([*pads, *IDS], [0, 0, *seen]) if left else ([*IDS, *pads], [*seen, 0, 0])
    places = [0, 0, *range(len(IDS))] if left else [*range(len(IDS)), 0, 0]
    found = said(model, [row], attention_mask=torch.tensor([mask]), position_ids=torch.tensor([places]))
    kept = found[:, 2:] if left else found[:, :-2]
    torch.testing.assert_close(kept, said(model), atol=1e-12, rtol=0)


@pytest.mark.parametrize("samples_per_row", [1, 3])
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("kind", KINDS)
def test_packed_equals_separate(kind: str, attention: str, samples_per_row: int) -> None:
    fields, samples = KINDS[kind][0], conversations(3)
    model = model_of(fields, attention=attention)
    use_packed_attention(model)
    add_slots(model, 2, seed=0)
    packed = run_packed(model, [Layout(k=2).forest(sample) for sample in samples], samples_per_row=samples_per_row)
    pairs = [pair for sample in samples for pair in reference.shared(sample, (-1, -2))]
    plain = model_of(fields, attention=attention)
    assert_same(packed, run_separately(plain, model.get_parameter(f"{NAME}.weight"), samples, pairs), (1e-12, 1e-12, 1e-12))


def test_gradient_checkpointing_changes_nothing(tmp_path: Path) -> None:
    def trained(checkpointed: bool) -> dict[str, Tensor]:
        model = model_of(RELEASED_LIKE, dtype=torch.float32)
        use_packed_attention(model)
        add_slots(model, 1, seed=0)
        options: dict[str, Any] = {option: checkpointed}
        train(model, conversations(16), JEPA(), folder=tmp_path, steps=2, **options)
        return weights(model)

    renamed = "activation_checkpointing"
    option = renamed if renamed in TrainingArguments.__dataclass_fields__ else "gradient_checkpointing"
    assert largest_difference(trained(True), trained(False)) < 1e-6


def test_a_larger_vocabulary_stays_shared() -> None:
    model: Any = model_of(RELEASED_LIKE)
    model.resize_token_embeddings(70, mean_resizing=False)
    assert model.lm_head.weight is model.transformer.token_embeddings.weight
    assert (said(model).shape, model.config.vocab_size) == ((1, 7, 70), 70)


@pytest.mark.parametrize("kind", KINDS)
def test_saving_and_loading_brings_everything_back(kind: str, tmp_path: Path) -> None:
    model = model_of(KINDS[kind][0])
    model.save_pretrained(tmp_path)
    found, report = read(tmp_path)
    assert not any(report.values())
    assert largest_difference(weights(found), weights(model)) == 0
    torch.testing.assert_close(said(found), said(model), atol=1e-12, rtol=0)
    assert found.config.to_dict() == model.config.to_dict() | {"_name_or_path": str(tmp_path)}
    assert torch.equal(
        AutoModel.from_pretrained(tmp_path).token_embeddings.weight, found.transformer.token_embeddings.weight
    )


def released_folder(folder: Path, fields: dict[str, Any], **more: Tensor) -> tuple[Path, PreTrainedModel]:
    """Write a folder as the hub has it: with code of its own, here one that must never be run."""
    model = model_of(fields, dtype=torch.float32)
    model.save_pretrained(folder)
    saved = load_file(folder / "model.safetensors")
    save_file(saved | more, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    code = {
        "AutoConfig": "configuration_openelm.OpenELMConfig",
        "AutoModelForCausalLM": "modeling_openelm.OpenELMForCausalLM",
    }
    config |= {"auto_map": code, "transformers_version": "4.39.3", "torch_dtype": config.pop("dtype")}
    (folder / "config.json").write_text(json.dumps(config))
    for name in ("configuration_openelm", "modeling_openelm"):
        (folder / f"{name}.py").write_text("raise SystemExit('remote code was run')\n")
    return folder, model


def test_a_folder_with_remote_code_loads_without_it(tmp_path: Path) -> None:
    folder, model = released_folder(tmp_path / "hub", RELEASED_LIKE)
    assert type(AutoConfig.from_pretrained(folder, trust_remote_code=False)) is OpenELMConfig
    found = load_model(ModelConfig(name=str(folder), dtype="float32"), word_tokenizer(), seed=0)
    assert type(found) is OpenELMForCausalLM
    assert torch.equal(said(found), said(model))


def test_the_output_layer_that_the_released_code_never_calls_is_left_out(tmp_path: Path) -> None:
    unused = {"transformer.classifier.weight": torch.zeros(64, 24)}
    folder, model = released_folder(tmp_path / "hub", GROWING, **unused)
    found, report = read(folder)
    assert not any(report.values())
    assert torch.equal(said(found), said(model))


@pytest.mark.parametrize("rank", [1, 7, 100])
def test_lora_trains_adapters_on_all_linear_layers_and_the_slots(rank: int, tmp_path: Path) -> None:
    model = prepare(model_of(RELEASED_LIKE, dtype=torch.float32), k=2, lora=LoRA(rank=rank))
    before = weights(model)
    train(model, conversations(16), JEPA(), folder=tmp_path, layout=Layout(k=2))
    moved = {name for name, item in weights(model).items() if not torch.equal(item, before[name])}
    layers = [f"base_model.model.transformer.layers.{index}" for index in range(3)]
    linear = [
        f"{layer}.{name}" for layer in layers for name in ("attn.qkv_proj", "attn.out_proj", "ffn.proj_1", "ffn.proj_2")
    ]
    adapters = {f"{name}.lora_{half}.default.weight" for name in linear for half in "AB"}
    assert moved == adapters | {f"base_model.model.{NAME}.modules_to_save.default.weight"}
    assert before[f"{linear[0]}.lora_A.default.weight"].shape == (rank, 24)


def test_an_adapter_is_saved_alone_and_merged_on_export(tmp_path: Path) -> None:
    model: Any = prepare(model_of(RELEASED_LIKE, dtype=torch.float32), k=2, lora=LoRA(rank=4))
    train(model, conversations(16), JEPA(), folder=tmp_path / "run", layout=Layout(k=2))
    model.eval().save_pretrained(tmp_path / "adapter", save_embedding_layers=False)
    saved = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    assert [name for name in saved if "lora_" not in name] == [f"base_model.model.{NAME}.weight"]
    expected = said(model)
    assert (expected - said(model_of(RELEASED_LIKE, dtype=torch.float32))).abs().max() > 1e-3
    export(model, word_tokenizer(), tmp_path / "out", stops=[3], card="")
    assert sorted(load_file(tmp_path / "out" / "model.safetensors")) == sorted(
        [*NAMES, *(name.replace("layers.1", "layers.2") for name in NAMES if "layers.1" in name)]
    )
    found = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    torch.testing.assert_close(said(found), expected, atol=2e-5, rtol=0)
