"""[PRED] tokens as rows of the vocabulary: how it grows, that LoRA leaves it alone, and what is exported."""

from typing import Any

import pytest
import torch
from tests.helpers import conversations, plain_model, train, weights, word_tokenizer
from tests.model.small_models import TINY, load, write_base
from transformers import AutoModelForCausalLM, AutoTokenizer

from llm_jepa.model.export import export
from llm_jepa.model.load import LoRA, ModelConfig, load_model, load_tokenizer, prepare
from llm_jepa.model.slots import grow_vocabulary
from llm_jepa.objective.jepa import JEPA
from llm_jepa.packing.layout import Layout
from llm_jepa.views.predictor import Predictor

VOCABULARY: dict[str, Any] = {"predictor": Predictor.vocabulary}


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("size", [70, 60])
def test_every_token_has_a_row_and_spare_rows_are_cut_off(size, tied):
    model: Any = plain_model()
    model.config.tie_word_embeddings = tied
    model.tie_weights()
    before = model.get_input_embeddings().weight.detach().clone()
    state = torch.get_rng_state()
    grow_vocabulary(model, size, seed=0)
    assert torch.equal(torch.get_rng_state(), state)
    after, output = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    assert after.shape[0] == output.shape[0] == model.config.vocab_size == size
    assert torch.equal(after[:60], before[:60])
    assert (after is output) is tied


def test_new_rows_are_those_of_their_seed():
    rows = []
    for seed in (0, 0, 1):
        model: Any = plain_model()
        grow_vocabulary(model, 70, seed=seed)
        rows.append(model.get_input_embeddings().weight[64:].detach())
    assert torch.equal(rows[0], rows[1])
    assert not torch.equal(rows[0], rows[2])


def test_a_loaded_model_and_its_tokenizer_grow_together(tmp_path):
    config = ModelConfig(name=str(write_base(tmp_path / "base")), **VOCABULARY)
    tokenizer = load_tokenizer(config)
    model: Any = load_model(config, tokenizer, seed=0)
    assert len(tokenizer) == len(word_tokenizer()) + 14 == model.get_input_embeddings().num_embeddings
    assert (config.slots(3), ModelConfig(config=TINY).slots(3)) == (0, 3)


def test_random_weights_have_the_rows_from_the_start():
    model: Any = load_model(ModelConfig(config=TINY, **VOCABULARY), grown := word_tokenizer(), seed=0)
    assert model.get_input_embeddings().num_embeddings == len(grown)


def test_a_model_without_such_tokens_keeps_its_vocabulary(tmp_path):
    model: Any = load(name=str(write_base(tmp_path / "base")))
    assert model.get_input_embeddings().num_embeddings == len(word_tokenizer())


def test_rows_stay_as_they_are_drawn_under_adapters(tmp_path):
    model = plain_model(dtype=torch.float32)
    grow_vocabulary(model, 70, seed=0)
    ready = prepare(model, k=0, lora=LoRA(rank=2))
    before = weights(ready)
    train(ready, conversations(8), JEPA(), folder=tmp_path, layout=Layout(k=0))
    moved = {name for name, item in weights(ready).items() if not torch.equal(item, before[name])}
    assert moved == {name for name in before if "lora_" in name}


def test_the_exported_model_fits_its_tokenizer_and_loads_again_with_the_same_option(tmp_path):
    config = ModelConfig(name=str(write_base(tmp_path / "base")), **VOCABULARY)
    tokenizer = load_tokenizer(config)
    model = load_model(config, tokenizer, seed=0)
    expected = weights(model)
    export(model, tokenizer, tmp_path / "out", stops=[3], card="")
    found: Any = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    hub = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert len(hub) == found.get_input_embeddings().num_embeddings
    assert hub.convert_tokens_to_ids("<|predictor_1|>") == tokenizer.convert_tokens_to_ids("<|predictor_1|>")
    again = ModelConfig(name=str(tmp_path / "out"), **VOCABULARY)
    loaded = weights(load_model(again, load_tokenizer(again), seed=1))
    assert all(torch.equal(value, expected[name]) for name, value in loaded.items())
