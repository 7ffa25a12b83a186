"""Prompts that begin alike: their common tokens are computed once, and every answer is that of the prompt alone."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.evaluation.test_generate import CONFIGS, by_hand, draw_prompts, frequent_tokens, run, tiny
from tests.helpers import plain_model

from llm_jepa.evaluation import prefix
from llm_jepa.evaluation.prefix import common_tokens, shared_cache
from llm_jepa.model.load import LoRA, prepare

COMMON = draw_prompts([10])[0]
PROMPTS = [COMMON + rest for rest in draw_prompts([4, 11, 1, 7, 11, 2, 15])]


def watch(model: torch.nn.Module) -> list[tuple[int, ...]]:
    """Return a list that gets the shape of the tokens of every call."""
    shapes: list[tuple[int, ...]] = []

    def look(_module: Any, _arguments: Any, options: Any) -> None:
        shapes.append(tuple(options["input_ids"].shape))

    model.register_forward_pre_hook(look, with_kwargs=True)
    return shapes


@pytest.mark.parametrize("family", CONFIGS)
def test_answers_are_those_of_the_prompts_alone(family: str):
    model = tiny(family)
    stop_ids = frequent_tokens(model, 1)
    expected = {index: by_hand(model, prompt, stop_ids) for index, prompt in enumerate(PROMPTS)}
    assert len({each.tokens for each in expected.values()}) > 2
    for batch_size in (1, 2, 3, 7):
        assert run(model, PROMPTS, stop_ids=stop_ids, batch_size=batch_size) == expected


def test_the_common_tokens_go_through_the_model_once_for_all_rows():
    model = tiny()
    shapes = watch(model)
    run(model, PROMPTS, batch_size=7, max_new_tokens=1)
    longest = max(len(prompt) for prompt in PROMPTS)
    assert shapes == [(1, len(COMMON)), (7, longest - len(COMMON))]


def test_a_window_shorter_than_the_common_tokens_keeps_too_little():
    assert shared_cache(tiny("gemma2"), PROMPTS, [0] * 7) == {}


@pytest.mark.parametrize("family", ["mamba", "lfm2"])
def test_a_model_that_carries_states_shares_nothing(family: str):
    model = plain_model(family, attention="eager" if family == "mamba" else "sdpa")
    with torch.no_grad():
        assert shared_cache(model, PROMPTS, [0] * 7) == {}


def test_adapters_are_computed_too():
    model = prepare(tiny(), k=0, lora=LoRA(rank=4))
    for name, part in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(part)
    expected = {index: by_hand(model, prompt, [1]) for index, prompt in enumerate(PROMPTS)}
    assert run(model, PROMPTS, batch_size=7) == expected


def test_few_common_tokens_or_one_row_are_not_worth_a_call():
    model = tiny()
    shapes = watch(model)
    assert shared_cache(model, [prompt[-4:] for prompt in PROMPTS], [0] * 7) == {}
    assert shared_cache(model, [COMMON[: prefix.SHORTEST - 1] + prompt for prompt in ([5], [6])], [0, 0]) == {}
    assert shared_cache(model, PROMPTS[:1], [0]) == {}
    assert shapes == []


@given(st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=6), min_size=1, max_size=5))
def test_each_prompt_keeps_a_token_of_its_own(prompts: list[list[int]]):
    count = common_tokens(prompts)
    assert 0 <= count < min(map(len, prompts))
    assert len({tuple(prompt[:count]) for prompt in prompts}) == 1
    longer = {tuple(prompt[: count + 1]) for prompt in prompts}
    assert len(longer) > 1 or count == min(map(len, prompts)) - 1
