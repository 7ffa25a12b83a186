"""What all prompts of a batch begin with is computed once: the template's system message, an instruction, examples.

The rows are padded on the left, so the common tokens stand in other columns of each. Keys and values do not depend on the
column, only on the position, which counts without pads: those of one row, moved by its pads, are those of every row.
"""

from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Cache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from llm_jepa.model.parts import core

SHORTEST = 8
"""Common tokens from which on one more call of the model is worth it."""

CACHE_NAMES = ("cache", "past_key_values")
"""What transformers calls a cache: the second until it was renamed."""


def common_tokens(prompts: Sequence[Sequence[int]]) -> int:
    """Return how many tokens all prompts begin with; each keeps one of its own, from which its answer is predicted.

    Example:
        >>> common_tokens([[5, 6, 7, 8], [5, 6, 9]]), common_tokens([[5, 6], [5, 6]]), common_tokens([[5, 6]])
        (2, 1, 1)
    """
    columns = zip(*prompts, strict=False)  # up to the end of the shortest
    same = sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, columns))
    return min(same, min(len(ids) for ids in prompts) - 1)


def shared_cache(model: nn.Module, prompts: Sequence[Sequence[int]], gaps: Sequence[int]) -> dict[str, Cache]:
    """Return the cache of the first columns of a batch that is padded on the left, under transformers' name for it.

    Args:
        model: in evaluation mode, without gradients.
        prompts: token ids of each row, without pads.
        gaps: pads on the left of each row; at least one row has none.

    Returns:
        nothing where it would not pay off, or where the model caches something else than keys and values of all tokens
        (states of recurrences, windows shorter than the common tokens).
    """
    count = common_tokens(prompts)
    if len(prompts) < 2 or count < SHORTEST:
        return {}
    device = core(model).device
    found = cache_of(model(input_ids=torch.tensor([prompts[0][:count]], device=device), use_cache=True))
    layers: Any = [layer for cache in found.values() for layer in cache.layers]
    if not all(_holds(layer, count) for layer in layers):
        return {}
    place = (torch.arange(count) - torch.tensor(gaps)[:, None]).clamp(min=0).to(device)  # a pad's are never seen
    for layer in layers:
        layer.keys, layer.values = (_moved(part, place) for part in (layer.keys, layer.values))
    return found


def cache_of(output: Mapping[str, Any]) -> dict[str, Cache]:
    """Return the cache in a model's output, under the name that this version of transformers has for it.

    A cache of another kind, as of recurrent models, is left out.
    """
    name = next((name for name in CACHE_NAMES if name in output), None)  # newer outputs answer to both names
    return {} if name is None or not isinstance(output[name], Cache) else {name: output[name]}


def _holds(layer: object, count: int) -> bool:
    known = isinstance(layer, DynamicLayer | DynamicSlidingWindowLayer)
    return known and layer.keys is not None and layer.keys.shape[2] == count


def _moved(part: Tensor, place: Tensor) -> Tensor:
    """Return (row, head, token, width) with token `place[row, column]` of the one row in each column."""
    return part[0][:, place].transpose(0, 1).contiguous()
