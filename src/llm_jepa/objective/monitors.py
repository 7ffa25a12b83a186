"""What tells structure from collapse while training: the loss alone does not.

A small JEPA distance is reached just as well by embedding everything onto one direction. Then matched and shuffled pairs are
equally close, the right target cannot be picked out, and the effective rank falls to 1.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from llm_jepa.objective.distances import wide

COLLAPSED_COSINE, COLLAPSED_GAP = 0.95, 0.05
"""Mean cosine of shuffled pairs above which all share one direction (the mean of the unit vectors then has more than 0.97 of
their length), and the gap below which matched pairs hardly differ from them."""


TELLING_RETRIEVAL = 0.5
"""Retrieval at 1 from which embeddings do tell examples apart, however close their cosines: most partners are found."""


def collapsed(*, cosine_matched: float, cosine_shuffled: float, retrieval_at_1: float) -> bool:
    """Return whether embeddings all point in one direction and no longer tell examples apart."""
    alike = cosine_shuffled > COLLAPSED_COSINE and cosine_matched - cosine_shuffled < COLLAPSED_GAP
    return alike and retrieval_at_1 < TELLING_RETRIEVAL


_ROUNDING = 1e-6
"""Cosines in float32 that differ by less are taken as equal: which of two equal targets is nearest would be chance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alignment:
    """How predictions and targets of some pairs lie to each other.

    Attributes:
        cosine_matched: mean cosine similarity of a prediction and its own target, in [-1, 1].
        cosine_shuffled: mean over all other targets: what shuffled pairs would show.
        cosine_gap: the difference; 0 means that the views tell nothing about each other.
        retrieval_at_1: share of predictions nearer (by cosine) to their own target than to any other; chance is 1 / pairs.
            Of targets that are equal, as those of examples with the same Code, none is nearest.
        effective_rank: exp of the entropy of the normalised singular values of the unit-length targets (Roy and Vetterli,
            2007); between 1 (all in one direction) and min(pairs, hidden).
        pairs: number of pairs; retrieval and rank depend on it.
    """

    cosine_matched: float
    cosine_shuffled: float
    cosine_gap: float
    retrieval_at_1: float
    effective_rank: float
    pairs: int

    @property
    def collapsed(self) -> bool:
        """Whether the embeddings all point in one direction and no longer tell examples apart."""
        return collapsed(
            cosine_matched=self.cosine_matched,
            cosine_shuffled=self.cosine_shuffled,
            retrieval_at_1=self.retrieval_at_1,
        )


@torch.no_grad()
def alignment(predicted: Float[Tensor, "pair hidden"], target: Float[Tensor, "pair hidden"]) -> Alignment:
    """Return the alignment of at least two pairs.

    Example:
        >>> found = alignment(torch.eye(3), torch.eye(3))
        >>> found.cosine_matched, found.cosine_shuffled, found.retrieval_at_1, round(found.effective_rank, 3)
        (1.0, 0.0, 1.0, 3.0)
    """
    pairs = predicted.shape[0]
    if pairs < 2:
        raise ValueError(f"alignment needs at least 2 pairs to compare, not {pairs}")
    unit = functional.normalize(wide(target), dim=-1)
    similarity = functional.normalize(wide(predicted), dim=-1) @ unit.T
    matched = similarity.diagonal()
    shuffled = (similarity.sum() - matched.sum()) / (pairs * (pairs - 1))
    share = torch.linalg.svdvals(unit)
    share = share / share.sum()
    own = torch.eye(pairs, dtype=torch.bool, device=similarity.device)
    nearest_other = similarity.masked_fill(own, -torch.inf).amax(dim=1)
    return Alignment(
        cosine_matched=float(matched.mean()),
        cosine_shuffled=float(shuffled),
        cosine_gap=float(matched.mean() - shuffled),
        retrieval_at_1=float((matched > nearest_other + _ROUNDING).float().mean()),
        effective_rank=float(torch.exp(torch.special.entr(share).sum())),
        pairs=pairs,
    )
