"""The benchmark of answers: all ways give the same, and only transformers' own batches compute past a stop."""

from typing import Any

import torch
from benchmarks.evaluation import Setting, library, measure, ours
from transformers import LlamaConfig, LlamaForCausalLM


def tiny() -> Setting:
    torch.manual_seed(3)
    sizes: dict[str, Any] = {"vocab_size": 40, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
    config = LlamaConfig(**sizes, num_attention_heads=4, num_key_value_heads=2, initializer_range=0.6)
    model = LlamaForCausalLM(config).double().eval()
    prompts = [[3, 9, 27], [5, 8], [7, 1, 2, 6], [4]]
    return Setting(model=model, prompts=prompts, stop_ids=set(range(1, 9)), pad=0, limit=12, batch=4)


def test_batches_drop_what_has_stopped_and_transformers_own_do_not() -> None:
    setting = tiny()
    mine = measure("mine", setting, lambda: ours(setting))
    theirs = measure("theirs", setting, lambda: library(setting, batch=4))
    alone = measure("alone", setting, lambda: library(setting, batch=1))
    assert mine.answers == theirs.answers == alone.answers
    assert len({answer.length for answer in mine.answers.values()}) > 1
    assert (mine.wasted, alone.wasted) == (0, 0)
    assert theirs.wasted > 0
