"""The parts of an OpenELM layer: norm, attention with the layer's own head counts, feed-forward network of its own width.

Queries, keys and values come from one matrix, in this order; each head of queries and keys is normalised before it is
rotated. Of the two halves that a gated feed-forward network makes, the first is activated. Norms, rotations and attention's
softmax are computed in float32, and in float64 for a float64 model.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Cache
from transformers.activations import ACT2FN
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from llm_jepa.model.openelm.config import OpenELMConfig

EPSILON = 1e-6
"""Added to the mean square in every norm; no field of the released configs."""


def precise(dtype: torch.dtype) -> torch.dtype:
    """Return the dtype that norms and angles are computed in, for a model of `dtype`."""
    return torch.promote_types(dtype, torch.float32)


def _precise(values: Tensor) -> Tensor:
    return values.to(precise(values.dtype))


def rotation(positions: Tensor, *, width: int, base: float, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return cosine and sine (row 1 token width/2) of every plane's angle, for heads of `width` at positions (row token)."""
    exponents = torch.arange(0, width, 2, dtype=dtype, device=positions.device) / width
    angles = positions[:, None, :, None].to(dtype) / base**exponents
    return angles.cos(), angles.sin()


def _rotated(heads: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Return the heads (row head token width), whose halves are the two coordinates of each plane, turned by the angles."""
    first, second = _precise(heads).chunk(2, dim=-1)
    turned = torch.cat((first * cosine - second * sine, second * cosine + first * sine), dim=-1)
    return turned.to(heads.dtype)


def eager_attention_forward(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    **options: Any,
) -> tuple[Tensor, Tensor]:
    """Return attention and its weights; the name and the signature are transformers'."""
    del module, options, dropout  # no dropout in this model
    groups = query.shape[1] // key.shape[1]
    keys, values = (part.repeat_interleave(groups, dim=1) for part in (key, value))
    scores = query @ keys.transpose(-1, -2) * scaling
    if attention_mask is not None:
        scores = scores + attention_mask[..., : keys.shape[-2]]
    weights = _precise(scores).softmax(dim=-1).to(query.dtype)
    return (weights @ values).transpose(1, 2), weights


class OpenELMRMSNorm(nn.Module):
    """Divide by the root mean square over the last axis, then scale."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, values: Tensor) -> Tensor:
        """Return the normalised values, in their own dtype."""
        exact = _precise(values)
        scaled = exact * torch.rsqrt(exact.square().mean(dim=-1, keepdim=True) + EPSILON)
        return scaled.to(values.dtype) * self.weight

    def extra_repr(self) -> str:
        """Return the width, for printing."""
        return f"{self.weight.shape[0]}, eps={EPSILON}"


class OpenELMAttention(nn.Module):
    """Causal attention with the head counts of layer `layer_idx`."""

    is_causal = True

    def __init__(self, config: OpenELMConfig, layer_idx: int) -> None:
        super().__init__()
        queries, keys, width = config.num_query_heads[layer_idx], config.num_kv_heads[layer_idx], config.head_dim
        self.config, self.layer_idx = config, layer_idx
        self.head_counts = (queries, keys, keys)
        self.num_key_value_groups = queries // keys
        self.scaling = width**-0.5
        self.qkv_proj = nn.Linear(config.model_dim, (queries + 2 * keys) * width, bias=False)
        self.out_proj = nn.Linear(queries * width, config.model_dim, bias=False)
        self.q_norm = OpenELMRMSNorm(width) if config.normalize_qk_projections else nn.Identity()
        self.k_norm = OpenELMRMSNorm(width) if config.normalize_qk_projections else nn.Identity()

    def forward(
        self,
        hidden_states: Tensor,
        *,
        rotation: tuple[Tensor, Tensor],
        attention_mask: Any = None,
        cache: Cache | None = None,
        **options: Any,
    ) -> tuple[Tensor, Tensor | None]:
        """Return what the layer attends to (row token width), and the weights where the implementation has them."""
        rows, tokens, _ = hidden_states.shape
        heads = self.qkv_proj(hidden_states).view(rows, tokens, sum(self.head_counts), -1).transpose(1, 2)
        query, key, value = heads.split(self.head_counts, dim=1)
        query, key = _rotated(self.q_norm(query), *rotation), _rotated(self.k_norm(key), *rotation)
        if cache is not None:
            # Rotated keys are kept, where Apple's code keeps plain ones and rotates all at every step: the same values.
            where = {"cache_position": options.get("cache_position")}
            key, value = cache.update(key, value, self.layer_idx, where)
        kind = self.config._attn_implementation  # transformers has no public name for it
        attend: Callable[..., Any] = eager_attention_forward if kind == "eager" else ALL_ATTENTION_FUNCTIONS[kind]
        result, weights = attend(self, query, key, value, attention_mask, dropout=0.0, scaling=self.scaling, **options)
        return self.out_proj(result.reshape(rows, tokens, -1)), weights


class OpenELMFeedForward(nn.Module):
    """The feed-forward network with the width of layer `layer_idx`, gated or not."""

    def __init__(self, config: OpenELMConfig, layer_idx: int) -> None:
        super().__init__()
        width = config.ffn_widths[layer_idx]
        self.gated = config.ffn_with_glu
        self.proj_1 = nn.Linear(config.model_dim, 2 * width if self.gated else width, bias=False)
        self.proj_2 = nn.Linear(width, config.model_dim, bias=False)
        self.activation = ACT2FN[config.activation_fn_name]

    def forward(self, values: Tensor) -> Tensor:
        """Return the network's output (row token width)."""
        inner = self.proj_1(values)
        if not self.gated:
            return self.proj_2(self.activation(inner))
        gate, value = inner.chunk(2, dim=-1)
        return self.proj_2(self.activation(gate) * value)
