from pathlib import Path
from typing import Any

import pytest
import torch
from tests.helpers import word_tokenizer
from transformers import LlamaConfig, LlamaForCausalLM

from llm_jepa.experiments.answers import Limits
from llm_jepa.experiments.samples import free_continuations, read_samples, write_samples
from llm_jepa.records import Example, View
from llm_jepa.views.tokenize import Sample, Tokenizer

LIMITS = Limits(stop_ids=(3,), max_new_tokens=5, batch_size=2)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer(word_tokenizer())


@pytest.fixture(scope="module")
def samples(tokenizer: Tokenizer) -> list[Sample]:
    texts = ("lines with a dog", "lines with a number", "dog")
    views = [tuple(View(content=text, role="") for text in (text, "dog")) for text in texts]
    return list(tokenizer.samples([Example(name=f"g:{i}", messages=(), views=pair) for i, pair in enumerate(views)]))


@pytest.fixture(scope="module")
def model(tokenizer: Tokenizer) -> LlamaForCausalLM:
    sizes: dict[str, Any] = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer.tokenizer), max_position_embeddings=64, **sizes))


def test_the_first_tokens_are_given_and_the_model_goes_on(
    model: LlamaForCausalLM, tokenizer: Tokenizer, samples: list[Sample]
) -> None:
    found = free_continuations(model, tokenizer, samples, first=2, limits=LIMITS)
    assert [(each.name, each.prompt.split(), each.expected.split()) for each in found] == [
        ("g:0", ["lines", "with"], ["a", "dog"]),
        ("g:1", ["lines", "with"], ["a", "number"]),
    ]
    assert found[0].generated == found[1].generated
    assert all(0 < each.tokens <= 5 for each in found)


def test_it_is_the_most_likely_token_each_time(model: LlamaForCausalLM, tokenizer: Tokenizer, samples: list[Sample]) -> None:
    (first, *_) = free_continuations(model, tokenizer, samples, first=3, limits=LIMITS)
    view = samples[0].views[0]
    given = samples[0].sequences[0].ids[: view.start + 3]
    for _ in range(5):
        given = (*given, int(model(torch.tensor([given])).logits[0, -1].argmax()))
        if given[-1] == 3:
            break
    words = str(tokenizer.tokenizer.decode(list(given[view.start + 3 :]), skip_special_tokens=True)).split()
    assert first.generated.split() == words


def test_the_file_reads_back(model: LlamaForCausalLM, tokenizer: Tokenizer, samples: list[Sample], tmp_path: Path) -> None:
    assert read_samples(tmp_path) == []
    found = free_continuations(model, tokenizer, samples, first=1, limits=LIMITS)
    write_samples(tmp_path, found)
    assert read_samples(tmp_path) == found


def test_at_least_one_token_is_given(model: LlamaForCausalLM, tokenizer: Tokenizer, samples: list[Sample]) -> None:
    with pytest.raises(ValueError, match="at least 1 token"):
        free_continuations(model, tokenizer, samples, first=0, limits=LIMITS)
