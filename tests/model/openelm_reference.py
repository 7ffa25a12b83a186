"""OpenELM written again from its description alone: one token, one head, one number of a plane at a time, nothing shared.

Mehta et al., 2024 (arXiv:2404.14619), and the order inside the released tensors: queries, keys, values of all heads in one
matrix; gate before value in the feed-forward network; rotation of the coordinates j and j + half of a head.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What a small model should turn out to be, as literals."""

    query_heads: Sequence[int]
    key_heads: Sequence[int]
    head_dim: int
    gated: bool
    normalised: bool
    tied: bool


def logits(weights: Mapping[str, Tensor], shape: Shape, ids: Sequence[int]) -> Tensor:
    """Return the logits (token vocabulary) of one sequence."""
    table = weights["transformer.token_embeddings.weight"]
    states = [table[token] for token in ids]
    for layer in range(len(shape.query_heads)):
        name = f"transformer.layers.{layer}"
        normal = [_norm(state, weights[f"{name}.attn_norm.weight"]) for state in states]
        states = [state + update for state, update in zip(states, _attend(weights, shape, layer, normal), strict=True)]
        for place, state in enumerate(states):
            states[place] = state + _feed(weights, shape, name, _norm(state, weights[f"{name}.ffn_norm.weight"]))
    last = torch.stack([_norm(state, weights["transformer.norm.weight"]) for state in states])
    return last @ (table if shape.tied else weights["lm_head.weight"]).T


def _norm(vector: Tensor, scale: Tensor) -> Tensor:
    return vector / (vector.square().sum() / len(vector) + 1e-6).sqrt() * scale


def _turned(vector: Tensor, place: int) -> Tensor:
    half = len(vector) // 2
    turned: list[Tensor] = [vector.new_zeros(())] * len(vector)
    for plane in range(half):
        angle = place * 10000 ** (-plane / half)
        cosine, sine = math.cos(angle), math.sin(angle)
        turned[plane] = vector[plane] * cosine - vector[plane + half] * sine
        turned[plane + half] = vector[plane + half] * cosine + vector[plane] * sine
    return torch.stack(turned)


def _attend(weights: Mapping[str, Tensor], shape: Shape, layer: int, states: Sequence[Tensor]) -> list[Tensor]:
    name, width = f"transformer.layers.{layer}.attn", shape.head_dim
    queries, keys = shape.query_heads[layer], shape.key_heads[layer]
    parts = [weights[f"{name}.qkv_proj.weight"] @ state for state in states]

    def head(place: int, index: int) -> Tensor:
        return parts[place][index * width : (index + 1) * width]

    def ready(place: int, index: int, kind: str) -> Tensor:
        plain = head(place, index)
        return _turned(_norm(plain, weights[f"{name}.{kind}_norm.weight"]) if shape.normalised else plain, place)

    results = []
    for place in range(len(states)):
        found = []
        for query in range(queries):
            key = query * keys // queries
            asked = ready(place, query, "q")
            scores = [asked @ ready(seen, queries + key, "k") / math.sqrt(width) for seen in range(place + 1)]
            chances = torch.stack(scores).exp() / torch.stack(scores).exp().sum()
            found.append(sum(chance * head(seen, queries + keys + key) for seen, chance in enumerate(chances)))
        results.append(weights[f"{name}.out_proj.weight"] @ torch.cat(found))
    return results


def _feed(weights: Mapping[str, Tensor], shape: Shape, name: str, state: Tensor) -> Tensor:
    inner = weights[f"{name}.ffn.proj_1.weight"] @ state
    gate = inner[: len(inner) // 2] if shape.gated else inner
    active = gate / (1 + (-gate).exp())
    return weights[f"{name}.ffn.proj_2.weight"] @ (active * inner[len(inner) // 2 :] if shape.gated else active)
