import copy
import logging
from collections.abc import Sequence
from typing import Any

import peft
import pytest
import torch
from torch import nn
from transformers import (
    AttentionInterface,
    AutoModelForCausalLM,
    Gemma2Config,
    GPT2Config,
    LlamaConfig,
    PretrainedConfig,
    PreTrainedModel,
    Qwen3Config,
)
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS

from llm_jepa.errors import UserError
from llm_jepa.evaluation.generate import Generation, generate, longest_first
from llm_jepa.model.attention import use_packed_attention
from llm_jepa.model.encode import core

VOCABULARY, PAD = 40, 0
SIZES: dict[str, Any] = {"vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
SIZES |= {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 64}
SIZES |= {"initializer_range": 0.6}
CONFIGS: dict[str, PretrainedConfig] = {
    "llama": LlamaConfig(**SIZES),
    "qwen3": Qwen3Config(**SIZES),
    # The window is shorter than the longest prompts, so padding and the rolling cache meet.
    # Its embeddings are scaled up: tied to the output they would make it repeat its last token for ever.
    "gemma2": Gemma2Config(**SIZES, sliding_window=6, tie_word_embeddings=False),
    "gpt2": GPT2Config(
        vocab_size=VOCABULARY, n_embd=32, n_layer=2, n_head=4, n_positions=64, initializer_range=0.6, eos_token_id=1
    ),
}


def tiny(family: str = "llama") -> PreTrainedModel:
    torch.manual_seed(3)
    return AutoModelForCausalLM.from_config(copy.deepcopy(CONFIGS[family]), dtype=torch.float64).eval()


def draw_prompts(lengths: Sequence[int]) -> list[list[int]]:
    generator = torch.Generator().manual_seed(5)
    return [torch.randint(1, VOCABULARY, (length,), generator=generator).tolist() for length in lengths]


PROMPTS = draw_prompts([4, 11, 1, 7, 11, 2, 15])


def run(
    model: nn.Module,
    prompts: Sequence[Sequence[int]] = PROMPTS,
    *,
    stop_ids: Sequence[int] = (1,),
    pad_id: int = PAD,
    max_new_tokens: int = 12,
    batch_size: int = 3,
) -> dict[int, Generation]:
    limits = {"max_new_tokens": max_new_tokens, "batch_size": batch_size}
    return dict(generate(model, prompts, stop_ids=stop_ids, pad_id=pad_id, **limits))


@torch.no_grad()
def by_hand(model: nn.Module, prompt: Sequence[int], stop_ids: Sequence[int], limit: int = 12) -> Generation:
    """An independent implementation: no batch, no padding, no cache, no `generate`."""
    ids, made = list(prompt), []
    while len(made) < limit:
        token = int(model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].argmax())
        if token in stop_ids:
            return Generation(tokens=tuple(made), stopped=True)
        made.append(token)
        ids.append(token)
    return Generation(tokens=tuple(made), stopped=False)


def frequent_tokens(model: PreTrainedModel, count: int) -> list[int]:
    """Tokens that the model does generate, so that stopping at them means something."""
    made = [token for prompt in PROMPTS for token in by_hand(model, prompt, ()).tokens[1:]]
    return sorted(set(made), key=lambda token: (-made.count(token), token))[:count]


@pytest.mark.parametrize("family", CONFIGS)
def test_a_batch_of_mixed_lengths_gives_what_each_prompt_gives_alone(family: str):
    model = tiny(family)
    stop_ids = frequent_tokens(model, 1)
    expected = {index: by_hand(model, prompt, stop_ids) for index, prompt in enumerate(PROMPTS)}
    assert {each.stopped for each in expected.values()} == {True, False}
    assert len({each.tokens for each in expected.values()}) > 3
    for batch_size in (1, 3, 7):
        assert run(model, stop_ids=stop_ids, batch_size=batch_size) == expected


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
def test_the_attention_implementation_set_last_is_used_and_changes_nothing(implementation: str):
    model = tiny()
    expected = run(model)
    model.set_attn_implementation(implementation)
    assert run(model) == expected
    use_packed_attention(model)
    assert run(model) == expected
    assert model.config._attn_implementation == f"llm_jepa_{implementation}"


def test_a_pad_that_sees_nothing_does_not_become_nan_in_half_precision():
    model = tiny("gpt2").half()
    model.set_attn_implementation("eager")
    with torch.no_grad():  # scores far below -16 for every pair: in float16 they push the lowest number to -inf
        for name, bias in model.named_parameters():
            if name.endswith("c_attn.bias"):
                bias[:32], bias[32:64] = 8, -8
    before = ALL_MASK_ATTENTION_FUNCTIONS["eager"]
    finite: list[bool] = []
    model.register_forward_hook(lambda _module, _args, output: finite.append(bool(output.logits.isfinite().all())))
    run(model, batch_size=7)
    assert all(finite)
    assert ALL_MASK_ATTENTION_FUNCTIONS["eager"] is before


def test_custom_attention_needs_a_mask_function_as_soon_as_there_is_padding():
    model = tiny()
    expected = run(model)
    AttentionInterface.register("tests_generate_attention", sdpa_attention_forward)
    model.set_attn_implementation("tests_generate_attention")
    assert run(model, batch_size=1) == expected
    with pytest.raises(ValueError, match="'tests_generate_attention' has no mask function"):
        run(model)


def test_a_stop_token_is_left_out_and_nothing_follows_it():
    model = tiny()
    free = {index: by_hand(model, prompt, ()) for index, prompt in enumerate(PROMPTS)}
    (stop,) = frequent_tokens(model, 1)
    for index, generation in run(model, stop_ids=[stop]).items():
        tokens = free[index].tokens
        cut = tokens.index(stop) if stop in tokens else len(tokens)
        assert generation == Generation(tokens=tokens[:cut], stopped=cut < len(tokens))
        assert generation.length == cut + generation.stopped


def test_each_of_several_stop_tokens_ends_a_generation():
    model = tiny()
    first, second = (by_hand(model, PROMPTS[index], ()).tokens for index in (0, 1))
    stop_ids = {first[2], second[3]}
    assert first[2] not in second[:4]
    assert second[3] not in first[:3]
    made = run(model, stop_ids=sorted(stop_ids))
    assert made[0] == Generation(tokens=first[: first.index(first[2])], stopped=True)
    assert made[1] == Generation(tokens=second[: second.index(second[3])], stopped=True)


def test_padding_with_a_stop_token_is_no_stop():
    model = tiny()
    stop_ids = frequent_tokens(model, 2)
    assert run(model, stop_ids=stop_ids, pad_id=stop_ids[0]) == run(model, stop_ids=stop_ids)


@pytest.mark.parametrize("place", [0, 3])
def test_a_stop_as_the_first_or_the_last_allowed_token_counts_as_stopped(place: int):
    model = tiny()
    tokens = by_hand(model, PROMPTS[0], ()).tokens
    assert tokens[place] not in tokens[:place]
    made = run(model, PROMPTS[:1], stop_ids=[tokens[place]], max_new_tokens=place + 1)[0]
    assert (made.tokens, made.stopped, made.length) == (tokens[:place], True, place + 1)
    if place:
        made = run(model, PROMPTS[:1], stop_ids=[tokens[place]], max_new_tokens=place)[0]
        assert (made.tokens, made.stopped, made.length) == (tokens[:place], False, place)


def test_generation_settings_of_the_model_have_no_effect_no_warning_and_no_change(caplog: pytest.LogCaptureFixture):
    model = tiny()
    expected = run(model)
    banned = frequent_tokens(model, 1)
    own = model.generation_config
    vars(own).update(do_sample=True, temperature=0.1, top_k=3, top_p=0.5, repetition_penalty=3.0, num_beams=4)
    vars(own).update(suppress_tokens=banned, bad_words_ids=[banned], min_new_tokens=9, max_length=7, use_cache=False)
    vars(own).update(no_repeat_ngram_size=1, num_return_sequences=2, return_dict_in_generate=True, eos_token_id=banned)
    vars(own).update(forced_eos_token_id=5, pad_token_id=7, cache_implementation="static")  # unchecked: nothing is logged
    before = own.to_dict()
    logger = logging.getLogger("transformers")  # it hands nothing to the root logger, where caplog listens
    logger.addHandler(caplog.handler)
    made = run(model)
    logger.removeHandler(caplog.handler)
    assert made == expected
    assert caplog.records == []
    assert model.generation_config is own
    assert own.to_dict() == before


def test_the_cache_is_used_although_the_config_says_not_and_no_gradient_is_kept():
    model = tiny()
    expected = run(model)
    model.config.use_cache = False
    widths: list[int] = []
    graphs: list[bool] = []

    def look(_module: object, _arguments: object, options: dict) -> None:
        widths.append(options["input_ids"].shape[1])
        # Weights that ZeRO 3 gathers in inference mode could not be trained afterwards.
        graphs.append(torch.is_grad_enabled() or torch.is_inference_mode_enabled())

    model.register_forward_pre_hook(look, with_kwargs=True)
    assert run(model) == expected
    assert not any(graphs)
    assert sorted(set(widths)) == [1, 7, 15]  # the widest of each batch of three, then a token a step


def test_training_mode_is_put_back_module_by_module():
    model = tiny("gpt2")
    expected = run(model)  # its dropout is 0.1 while training
    model.train()
    list(model.children())[-1].eval()
    before = [module.training for module in model.modules()]
    assert len(set(before)) == 2
    stream = generate(model, PROMPTS, stop_ids=[1], pad_id=PAD, max_new_tokens=12, batch_size=3)
    made = [next(stream)]
    assert [module.training for module in model.modules()] == before
    assert not torch.is_inference_mode_enabled()
    assert dict([*made, *stream]) == expected
    assert [module.training for module in model.modules()] == before


def test_after_a_failure_mode_and_settings_are_put_back_and_training_goes_on():
    model = tiny().train()
    own = model.generation_config
    with pytest.raises(IndexError):
        run(model, [[VOCABULARY], [1, 1]])
    assert model.training
    assert model.generation_config is own
    model(input_ids=torch.tensor([PROMPTS[0]]), labels=torch.tensor([PROMPTS[0]])).loss.backward()
    assert all(weight.grad is not None for weight in model.parameters())


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # peft reads it
def test_a_peft_model_generates_with_its_adapter_and_keeps_its_settings():
    config = peft.LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False)
    torch.manual_seed(1)
    model = peft.get_peft_model(tiny(), config).eval()
    base = core(model)
    own = base.generation_config
    own.update(do_sample=True, num_beams=2, suppress_tokens=list(range(20)))
    expected = {index: by_hand(model, prompt, [1]) for index, prompt in enumerate(PROMPTS)}
    assert run(model) == expected
    assert expected != run(tiny())
    assert model.generation_config is own
    assert base.generation_config is own


def test_the_longest_prompts_come_first_under_their_own_index():
    order = [index for index, _ in generate(tiny(), PROMPTS, stop_ids=[1], pad_id=0, max_new_tokens=1, batch_size=2)]
    assert order == [6, 1, 4, 3, 0, 5, 2]


@pytest.mark.parametrize(
    ("lengths", "batch_size", "batches"),
    [
        ([], 3, []),
        ([5], 3, [[0]]),
        ([1, 1, 1, 1], 2, [[0, 1], [2, 3]]),
        ([3, 9, 3, 7, 1], 2, [[1, 3], [0, 2], [4]]),
    ],
)
def test_batches_are_full_but_the_last_and_stable(lengths: list[int], batch_size: int, batches: list[list[int]]):
    assert longest_first(lengths, batch_size) == batches


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_a_prompt_that_leaves_no_room_is_refused_at_once_and_not_cut(family: str):
    prompts = [PROMPTS[0], draw_prompts([53])[0]]
    assert run(tiny(family), []) == {}
    assert len(run(tiny(family), prompts, max_new_tokens=11)) == 2
    message = "prompt 1 has 53 tokens, and with max_new_tokens 12 that makes 65: more than the model's 64 positions"
    with pytest.raises(UserError, match=message):
        generate(tiny(family), prompts, stop_ids=[1], pad_id=0, max_new_tokens=12, batch_size=2)


def test_an_empty_prompt_is_refused():
    with pytest.raises(UserError, match="prompt 1 has no tokens"):
        run(tiny(), [[3], []])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"stop_ids": []}, "stop_ids is empty"),
        ({"max_new_tokens": 0}, "max_new_tokens is 0"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"pad_id": VOCABULARY}, f"pad_id is {VOCABULARY}, outside the model's vocabulary of {VOCABULARY}"),
        ({"pad_id": -1}, "pad_id is -1"),
    ],
)
def test_arguments_that_cannot_work_are_refused(wrong: dict, message: str):
    with pytest.raises(ValueError, match=message):
        run(tiny(), **wrong)


def test_no_row_is_computed_past_its_stop_token():
    model = tiny()
    stop_ids = frequent_tokens(model, 2)
    rows: list[int] = []
    model.register_forward_pre_hook(lambda _m, _a, options: rows.append(len(options["input_ids"])), with_kwargs=True)
    made = run(model, stop_ids=stop_ids)
    lengths = [generation.length for generation in made.values()]
    assert len(set(lengths)) > 2
    assert sum(rows) == sum(lengths)
