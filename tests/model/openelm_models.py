"""Small OpenELM models, what their shapes should be, and the names of the released tensors."""

from pathlib import Path
from typing import Any

import torch
from tests.model.openelm_reference import Shape
from torch import Tensor
from transformers import AutoModelForCausalLM, PreTrainedModel

from llm_jepa.model import openelm
from llm_jepa.model.openelm import OpenELMConfig

openelm.register()

SIZES: dict[str, Any] = {
    "vocab_size": 64,
    "max_context_length": 128,
    "num_transformer_layers": 3,
    "model_dim": 24,
    "head_dim": 4,
    "ffn_dim_divisor": 8,
    "bos_token_id": 1,
    "eos_token_id": 3,
    "pad_token_id": 0,
}
GROWING = SIZES | {"qkv_multipliers": [0.5, 1.0], "ffn_multipliers": [0.5, 2.0], "num_gqa_groups": 2}
RELEASED_LIKE = GROWING | {"normalize_qk_projections": True, "share_input_output_layers": True}

KINDS: dict[str, tuple[dict[str, Any], Shape]] = {
    "as released": (
        RELEASED_LIKE,
        Shape(query_heads=[4, 6, 6], key_heads=[2, 3, 3], head_dim=4, gated=True, normalised=True, tied=True),
    ),
    "not gated, own output layer": (
        GROWING | {"ffn_with_glu": False, "normalize_qk_projections": True},
        Shape(query_heads=[4, 6, 6], key_heads=[2, 3, 3], head_dim=4, gated=False, normalised=True, tied=False),
    ),
    "no grouping, no head norms": (
        SIZES | {"ffn_multipliers": 1.0, "share_input_output_layers": True},
        Shape(query_heads=[6, 6, 6], key_heads=[6, 6, 6], head_dim=4, gated=True, normalised=False, tied=True),
    ),
    "heads given": (
        SIZES | {"num_query_heads": [8, 2, 3], "num_kv_heads": [2, 1, 3], "ffn_multipliers": [1.0, 0.4, 2.0]},
        Shape(query_heads=[8, 2, 3], key_heads=[2, 1, 3], head_dim=4, gated=True, normalised=False, tied=False),
    ),
}
IDS = (1, 17, 5, 40, 5, 63, 2)


def model_of(fields: dict[str, Any], *, attention: str = "sdpa", dtype: torch.dtype = torch.float64) -> PreTrainedModel:
    """Return a model with norms that scale and weights that matter, the same at every call."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = AutoModelForCausalLM.from_config(OpenELMConfig(**fields), attn_implementation=attention).to(torch.float64)
        for name, item in model.named_parameters():
            if name.endswith("norm.weight"):
                item.data += 0.3 * torch.randn_like(item)
            elif "attn" in name or "ffn" in name:
                item.data *= 2
    return model.to(dtype).eval()


def read(folder: Path) -> tuple[Any, dict[str, Any]]:
    """Return the model that transformers loads from a folder, and its report."""
    loaded: Any = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    return loaded


def said(model: Any, ids: Any = (IDS,), **options: Any) -> Tensor:
    with torch.no_grad():
        return model(torch.tensor(ids), **options).logits


NAMES = [
    "transformer.token_embeddings.weight",
    "transformer.layers.0.attn.qkv_proj.weight",
    "transformer.layers.0.attn.out_proj.weight",
    "transformer.layers.0.attn.q_norm.weight",
    "transformer.layers.0.attn.k_norm.weight",
    "transformer.layers.0.ffn.proj_1.weight",
    "transformer.layers.0.ffn.proj_2.weight",
    "transformer.layers.0.attn_norm.weight",
    "transformer.layers.0.ffn_norm.weight",
    "transformer.layers.1.attn.qkv_proj.weight",
    "transformer.layers.1.attn.out_proj.weight",
    "transformer.layers.1.attn.q_norm.weight",
    "transformer.layers.1.attn.k_norm.weight",
    "transformer.layers.1.ffn.proj_1.weight",
    "transformer.layers.1.ffn.proj_2.weight",
    "transformer.layers.1.attn_norm.weight",
    "transformer.layers.1.ffn_norm.weight",
    "transformer.norm.weight",
]
"""The tensors of the released safetensors files, cut to two layers."""
