"""OpenELM's shapes and values, against a second implementation and the released configs."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.helpers import word_tokenizer
from tests.model import openelm_reference
from tests.model.openelm_models import IDS, KINDS, NAMES, RELEASED_LIKE, SIZES, model_of, said

from llm_jepa.errors import UserError
from llm_jepa.model.flops import CostModel
from llm_jepa.model.load import ModelConfig, load_model
from llm_jepa.model.openelm import OpenELMConfig, OpenELMForCausalLM
from llm_jepa.model.openelm.config import make_divisible
from llm_jepa.model.openelm.layers import OpenELMRMSNorm
from llm_jepa.model.parts import context_limit


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("kind", KINDS)
def test_logits_and_gradients_are_those_of_a_second_implementation(kind: str, attention: str) -> None:
    fields, shape = KINDS[kind]
    model: Any = model_of(fields, attention=attention)
    own = {name: item.detach().clone().requires_grad_() for name, item in model.named_parameters()}
    expected = openelm_reference.logits(own, shape, IDS)
    found = model(torch.tensor([IDS])).logits[0]
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=0)
    direction = torch.randn(expected.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    (expected * direction).sum().backward()
    (found * direction).sum().backward()
    for name, item in model.named_parameters():
        torch.testing.assert_close(item.grad, own[name].grad, atol=1e-11, rtol=0)
    assert all(item.grad is not None and item.grad.abs().max() > 1e-3 for item in own.values())


@pytest.mark.parametrize(("tied", "more"), [(True, []), (False, ["lm_head.weight"])])
def test_a_saved_file_holds_the_released_names(tied: bool, more: list[str], tmp_path: Path) -> None:
    model = model_of(RELEASED_LIKE | {"num_transformer_layers": 2, "share_input_output_layers": tied})
    model.save_pretrained(tmp_path)
    assert sorted(load_file(tmp_path / "model.safetensors")) == sorted([*NAMES, *more])


RELEASED: dict[str, tuple[float, int, dict[str, Any]]] = {
    "270M": (0.27, 271_527_168, {"num_transformer_layers": 16, "model_dim": 1280, "head_dim": 64}),
    "450M": (0.45, 457_179_136, {"num_transformer_layers": 20, "model_dim": 1536, "head_dim": 64}),
    "1_1B": (1.08, 1_079_891_456, {"num_transformer_layers": 28, "model_dim": 2048, "head_dim": 64}),
    "3B": (3.04, 3_036_647_424, {"num_transformer_layers": 36, "model_dim": 3072, "head_dim": 128}),
}
"""Billions of parameters as published (paper, Table 4), their exact number from the shapes, and the config's sizes."""

COMMON: dict[str, Any] = {
    "num_gqa_groups": 4,
    "qkv_multipliers": [0.5, 1.0],
    "ffn_multipliers": [0.5, 4.0],
    "normalize_qk_projections": True,
    "share_input_output_layers": True,
}
KEYS_270M = [3, 3, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4, 5, 5, 5, 5]
SHARES_270M = [0.5, 0.73, 0.97, 1.2, 1.43, 1.67, 1.9, 2.13, 2.37, 2.6, 2.83, 3.07, 3.3, 3.53, 3.77, 4.0]
WIDTHS_270M = [768, 1024, 1280, 1536, 1792, 2048, 2560, 2816, 3072, 3328, 3584, 3840, 4352, 4608, 4864, 5120]
KEYS_1B = [4, 4, 4, 5, 5, 5, 5, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 6, 7, 7, 7, 7, 7, 7, 8, 8, 8, 8]
SHARES_1B = [
    *[0.5, 0.63, 0.76, 0.89, 1.02, 1.15, 1.28, 1.41, 1.54, 1.67, 1.8, 1.93, 2.06, 2.19],
    *[2.31, 2.44, 2.57, 2.7, 2.83, 2.96, 3.09, 3.22, 3.35, 3.48, 3.61, 3.74, 3.87, 4.0],
]
"""As in the config.json files of apple/OpenELM-270M and apple/OpenELM-1_1B."""


@pytest.mark.parametrize(("size", "keys", "shares"), [("270M", KEYS_270M, SHARES_270M), ("1_1B", KEYS_1B, SHARES_1B)])
def test_heads_and_multipliers_are_those_of_the_released_configs(size: str, keys: list[int], shares: list[float]) -> None:
    config = OpenELMConfig(**COMMON, **RELEASED[size][2])
    assert (config.num_kv_heads, config.num_query_heads) == (keys, [4 * heads for heads in keys])
    assert config.ffn_multipliers == shares
    if size == "270M":
        assert config.ffn_widths == WIDTHS_270M


@pytest.mark.parametrize("size", RELEASED)
def test_a_released_size_has_its_published_number_of_parameters(size: str) -> None:
    published, exact, sizes = RELEASED[size]
    with torch.device("meta"):
        model = OpenELMForCausalLM(OpenELMConfig(**COMMON, **sizes))
        model.tie_weights()  # transformers 5.0 does so only where there are values
    assert model.num_parameters() == exact
    assert exact / 1e9 == pytest.approx(published, abs=0.0075)


def test_the_smallest_release_has_the_sum_of_its_published_shapes() -> None:
    layers = zip(KEYS_270M, WIDTHS_270M, strict=True)
    each = [1280 * 64 * (6 * keys + 4 * keys) + 3 * 1280 * width + 2 * 64 + 2 * 1280 for keys, width in layers]
    assert RELEASED["270M"][1] == 32000 * 1280 + sum(each) + 1280


@pytest.mark.parametrize(("value", "divisor", "expected"), [(640, 256, 768), (870.4, 256, 1024), (383, 256, 512), (1, 8, 8)])
def test_a_width_is_rounded_to_its_divisor_and_loses_at_most_a_tenth(value: float, divisor: int, expected: int) -> None:
    assert make_divisible(value, divisor) == expected


def test_the_names_other_code_asks_for_are_the_configs_own_fields() -> None:
    config = OpenELMConfig(
        hidden_size=24, num_hidden_layers=2, max_position_embeddings=99, head_dim=4, num_attention_heads=3
    )
    assert (config.model_dim, config.num_transformer_layers, config.max_context_length) == (24, 2, 99)
    assert config.num_query_heads == config.num_attention_heads == config.num_key_value_heads == [3, 3]
    assert config.ffn_widths == [256, 256]
    assert OpenELMConfig(tie_word_embeddings=True).share_input_output_layers is True


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"num_query_heads": [4, 4]}, "num_query_heads has 2 values, but there are 3 layers"),
        ({"ffn_multipliers": [1.0, 1.0, 1.0, 1.0]}, "ffn_multipliers has 4 values, but there are 3 layers"),
        ({"num_query_heads": 4, "num_kv_heads": 3}, "4 query heads cannot share 3 key heads evenly"),
        ({"num_query_heads": 1, "num_gqa_groups": 2}, "1 query heads cannot share 0 key heads evenly"),
        ({"normalization_layer_name": "layer_norm"}, "normalization_layer_name is 'layer_norm', but only 'rms_norm' exists"),
        ({"model_dimension": 32}, "'model_dimension' is no field of a openelm config; did you mean 'model_dim'"),
    ],
)
def test_a_config_that_does_not_fit_is_refused_in_a_sentence(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        load_model(ModelConfig(config={"model_type": "openelm", **SIZES, **fields}), word_tokenizer(), seed=0)


def test_random_weights_from_a_run_config() -> None:
    model = load_model(ModelConfig(config={"model_type": "openelm"} | RELEASED_LIKE), word_tokenizer(), seed=0)
    assert isinstance(model, OpenELMForCausalLM)
    assert context_limit(model) == 128
    assert CostModel.of(model).head == 64 * 24


def test_first_values_follow_the_released_code() -> None:
    wide = {"model_dim": 256, "num_transformer_layers": 2, "head_dim": 64, "vocab_size": 500, "initializer_range": 0.5}
    model = load_model(ModelConfig(config={"model_type": "openelm", **wide}), word_tokenizer(), seed=0)
    expected = {
        "transformer.token_embeddings.weight": 256**-0.5,
        "transformer.layers.1.attn.qkv_proj.weight": 256**-0.5,
        "transformer.layers.1.attn.out_proj.weight": 256**-0.5 / 2,
        "transformer.layers.1.ffn.proj_1.weight": 256**-0.5,
        "transformer.layers.1.ffn.proj_2.weight": 256**-0.5 / 2,
        "lm_head.weight": 0.5,
    }
    for name, deviation in expected.items():
        assert float(model.get_parameter(name).detach().std()) == pytest.approx(deviation, rel=0.02), name
    assert torch.equal(model.get_parameter("transformer.norm.weight"), torch.ones(256))


def test_a_norm_is_computed_in_float32() -> None:
    norm, values = OpenELMRMSNorm(64).to(torch.bfloat16), torch.randn(3, 64).to(torch.bfloat16)
    exact = values.float() / (values.float().square().mean(-1, keepdim=True) + 1e-6).sqrt()
    assert torch.equal(norm(values), exact.to(torch.bfloat16))


def test_only_distances_between_places_count() -> None:
    model = model_of(RELEASED_LIKE)
    later = torch.arange(len(IDS))[None] + 50
    torch.testing.assert_close(said(model, position_ids=later), said(model), atol=1e-11, rtol=0)
    apart = torch.arange(len(IDS))[None] * 3
    assert (said(model, position_ids=apart) - said(model)).abs().max() > 1e-2


def test_hidden_states_and_attention_weights_are_shown_where_asked_for() -> None:
    model: Any = model_of(RELEASED_LIKE, attention="eager")
    shown = model(torch.tensor([IDS]), output_hidden_states=True, output_attentions=True)
    assert [tuple(state.shape) for state in shown.hidden_states] == [(1, 7, 24)] * 4
    assert [tuple(item.shape) for item in shown.attentions] == [(1, heads, 7, 7) for heads in (4, 6, 6)]
    torch.testing.assert_close(model.lm_head(shown.hidden_states[-1]), shown.logits)
    plain = model(torch.tensor([IDS]))
    assert (plain.hidden_states, plain.attentions) == (None, None)


def test_the_loss_is_the_mean_over_next_tokens() -> None:
    model: Any = model_of(RELEASED_LIKE)
    chances = torch.log_softmax(said(model), dim=-1)[0]
    expected = -sum(chances[place, token] for place, token in enumerate(IDS[1:])) / 6
    assert float(model(torch.tensor([IDS]), labels=torch.tensor([IDS])).loss.detach()) == pytest.approx(float(expected))
