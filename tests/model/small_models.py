"""A tiny model folder, and short ways to load models."""

from pathlib import Path
from typing import Any

import torch
from tests.helpers import word_tokenizer
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from llm_jepa.model.load import ModelConfig, load_model, load_tokenizer

TINY: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "max_position_embeddings": 32,
}


def write_base(folder: Path) -> Path:
    """Write a model folder with a tiny Llama."""
    tokenizer = word_tokenizer()
    sizes = {name: value for name, value in TINY.items() if name != "model_type"}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), **sizes)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def load(**fields: Any) -> PreTrainedModel:
    config = ModelConfig(**fields)
    return load_model(config, load_tokenizer(config), seed=0)


def random_model(seed: int = 0, **fields: Any) -> PreTrainedModel:
    return load_model(ModelConfig(config=TINY | fields), word_tokenizer(), seed=seed)
