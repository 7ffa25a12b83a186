"""Targets of all ranks for contrastive distances, with gradients flowing back to the rank that made them."""

from dataclasses import replace

import torch
from torch import distributed
from torch.distributed.nn.functional import all_gather
from torch.nn import functional

from llm_jepa.packing.batch import Encoded


def gather_candidates(encoded: Encoded) -> Encoded:
    """Return `encoded` with the targets of all ranks as candidates, in the order of the ranks; alone, unchanged.

    Ranks may hold different numbers of pairs.
    """
    if not distributed.is_initialized() or distributed.get_world_size() == 1:
        return encoded
    own = encoded.target.shape[0]
    counts = [torch.zeros((), dtype=torch.long, device=encoded.target.device) for _ in range(distributed.get_world_size())]
    distributed.all_gather(counts, torch.tensor(own, device=encoded.target.device))
    sizes = [int(count) for count in counts]
    padded = functional.pad(encoded.target, (0, 0, 0, max(sizes) - own))
    gathered = all_gather(padded.contiguous())
    candidates = torch.cat([part[:size] for part, size in zip(gathered, sizes, strict=True)])
    return replace(encoded, candidates=candidates, first_candidate=sum(sizes[: distributed.get_rank()]))
