"""Targets of all ranks for contrastive distances, with gradients flowing back to the rank that made them."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, distributed
from torch.nn import functional

from llm_jepa.packing.batch import Encoded


class _Gather(torch.autograd.Function):
    """[own hidden] of every rank -> [rank own hidden]; every rank's loss sends its gradient back."""

    @staticmethod
    def forward(ctx: Any, own: Tensor) -> Tensor:
        del ctx
        parts = [torch.empty_like(own) for _ in range(distributed.get_world_size())]
        distributed.all_gather(parts, own)
        return torch.stack(parts)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        del ctx
        whole = gradient.clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(whole)
        return whole[distributed.get_rank()]


def gather_candidates(encoded: Encoded) -> Encoded:
    """Return `encoded` with the targets of all ranks as candidates, in the order of the ranks; alone, unchanged.

    Ranks may hold different numbers of pairs, or none. Where the result has a gradient, its backward is an exchange between
    the ranks: all of them have to take part.
    """
    if not distributed.is_initialized() or distributed.get_world_size() == 1:
        return encoded
    own = encoded.target.shape[0]
    counts = [torch.zeros((), dtype=torch.long, device=encoded.target.device) for _ in range(distributed.get_world_size())]
    distributed.all_gather(counts, torch.tensor(own, device=encoded.target.device))
    sizes = [int(count) for count in counts]
    padded = functional.pad(encoded.target, (0, 0, 0, max(sizes) - own))
    gathered: Any = _Gather.apply(padded.contiguous())
    candidates = torch.cat([part[:size] for part, size in zip(gathered, sizes, strict=True)])
    return replace(encoded, candidates=candidates, first_candidate=sum(sizes[: distributed.get_rank()]))
