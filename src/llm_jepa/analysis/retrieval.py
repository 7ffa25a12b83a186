"""Whether an embedding finds its partner among the other examples' embeddings: pure functions, by cosine similarity."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

_CHUNK = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrieval:
    """How often queries find their own candidate.

    Attributes:
        at: for every k, the share of queries whose own candidate is among the k nearest; chance is k / candidates.
        mean_reciprocal_rank: mean of 1 / rank of the own candidate.
        candidates: number of candidates.
    """

    at: dict[int, float]
    mean_reciprocal_rank: float
    candidates: int


def ranks(query: Float[Tensor, "example hidden"], candidate: Float[Tensor, "example hidden"]) -> Int[Tensor, " example"]:
    """Return the rank (1 is best) of every query's own candidate; candidates that are as near count as nearer.

    Counting ties against the query keeps a collapse, where all are as near, from looking like success.

    Example:
        >>> ranks(torch.eye(3), torch.eye(3)), ranks(torch.ones(3, 2), torch.ones(3, 2))
        (tensor([1, 1, 1]), tensor([3, 3, 3]))
    """
    query, candidate = (functional.normalize(item.double(), dim=-1) for item in (query, candidate))
    own = (query * candidate).sum(dim=-1)
    nearer = [
        (query[start : start + _CHUNK] @ candidate.T >= own[start : start + _CHUNK, None] - _ROUNDING).sum(dim=-1)
        for start in range(0, len(query), _CHUNK)
    ]
    return torch.cat(nearer)


_ROUNDING = 1e-12
"""Cosines nearer than this are equal: two ways of adding the same products differ by about as much."""


def retrieval(
    query: Float[Tensor, "example hidden"], candidate: Float[Tensor, "example hidden"], *, ks: tuple[int, ...] = (1, 5, 10)
) -> Retrieval:
    """Return how often `query[i]` finds `candidate[i]` among all candidates.

    Raises:
        ValueError: there are no examples.
    """
    if not len(query):
        raise ValueError("retrieval needs at least 1 example")
    found = ranks(query, candidate)
    return Retrieval(
        at={k: float((found <= k).double().mean()) for k in ks if k < len(query) or k == 1},
        mean_reciprocal_rank=float((1 / found.double()).mean()),
        candidates=len(candidate),
    )
