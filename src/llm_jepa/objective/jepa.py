"""The LLM-JEPA objective: named tensors in, named terms out. It knows no model and no trainer."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from enum import Enum

import torch
from jaxtyping import Float
from torch import Tensor

from llm_jepa.objective.distances import Cosine, Distance
from llm_jepa.objective.dropout import dropped
from llm_jepa.packing.batch import Encoded


class Scope(Enum):
    """What one mean, or one coin, is for.

    Members:
        step: an optimizer step: all its micro-batches on all ranks.
        micro_batch: one micro-batch of one rank (the official code).
    """

    step = "step"
    micro_batch = "micro_batch"


class WeightRule(Enum):
    """What loss dropout does to the weight of the steps that keep the JEPA term.

    Members:
        fixed: nothing, so that over all steps the term weighs weight * (1 - dropout).
        compensated: it is divided by 1 - dropout, so that over all steps the term weighs `weight` at every rate: the paper's
            guideline for tuning both, "keeping λ × (1 − α) approximately constant" (section 5.2).
    """

    fixed = "fixed"
    compensated = "compensated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """What the terms are divided by: counts over the whole optimizer step, all micro-batches and all ranks.

    Counts that were summed over ranks are tensors, which stay on their device: to read them would be to wait for it.

    Attributes:
        labels: label tokens.
        pairs: pairs, also those of a dropped term (else dropout would change lambda).
        ranks: processes.
    """

    labels: float | Tensor
    pairs: float | Tensor
    ranks: int = 1

    def share_of_pairs(self, pairs: int) -> float | Tensor:
        """Return the share of the step's pairs that so many are."""
        return pairs / _at_least_one(self.pairs)


def _at_least_one(count: float | Tensor) -> float | Tensor:
    return count.clamp(min=1) if isinstance(count, Tensor) else max(count, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The loss of one micro-batch and its parts; all add up over the micro-batches and ranks of a step.

    Attributes:
        loss: gamma * next_token + weight * jepa; scaled as the objective says.
        next_token: mean negative log-likelihood of the label tokens of the step, in nats.
        jepa: mean distance of the pairs of the step.
    """

    loss: Float[Tensor, ""]
    next_token: Float[Tensor, ""]
    jepa: Float[Tensor, ""]


class Objective(ABC):
    """What is minimised, as a function of one packed forward.

    A view-free objective or a regulariser is another class of this kind and nothing else.
    """

    @property
    @abstractmethod
    def trains_views(self) -> bool:
        """Whether any step of the training reads views with a gradient; else their segments are not even packed."""

    @property
    @abstractmethod
    def always_uses_views(self) -> bool:
        """Whether every step reads views with a gradient; else batches without their segments are packed too."""

    @property
    @abstractmethod
    def gathers(self) -> bool:
        """Whether the targets of all ranks are needed."""

    @abstractmethod
    def uses_views(self, *, seed: int, step: int, micro_batch: int = 0) -> bool:
        """Return whether this micro-batch of an optimizer step reads views with a gradient."""

    @abstractmethod
    def combine(self, next_token: float, jepa: float) -> float:
        """Return the loss of the two means, for a held-out set."""

    @abstractmethod
    def __call__(self, encoded: Encoded, totals: Totals) -> Terms:
        """Return the terms of a micro-batch."""


@dataclass(frozen=True, kw_only=True)
class JEPA(Objective):
    """L = gamma * mean XEnt(next token) + weight * mean d(Pred(Enc(Text)), Enc(Code))  (paper, eq. 3).

    Attributes:
        gamma: weight of next-token prediction (paper: 1; Table 10 varies it).
        weight: lambda, the weight of the JEPA term (paper: 0.5 to 4); 0 is plain training, bit for bit.
        distance: d (paper: cosine).
        stop_gradient: treat the target as a constant (the paper does not).
        dropout: loss dropout rate: the share of optimizer steps without the JEPA term (paper: 0, 0.5, 0.75).
        dropout_scope: what one coin of loss dropout is for.
        weight_rule: what loss dropout does to the weight of the steps that keep the term (paper, section 5.2).
        normalization: over what the terms of the loss are means. Those of micro-batches are summed over a step and averaged
            over ranks, so that with g micro-batches the loss is g times the mean over the step; a run without a JEPA term
            always takes the step (both as in the official code). The terms that are logged are means over the step.
        all_ranks: a contrastive distance compares with the targets of all ranks, not of its own alone (the official code).

    Raises:
        ValueError: a value is out of range.

    Example:
        >>> JEPA(weight=0.0).trains_views, JEPA(weight=2.0, dropout=0.75).trains_views
        (False, True)
    """

    gamma: float = 1.0
    weight: float = 1.0
    distance: Distance = field(default_factory=Cosine)
    stop_gradient: bool = False
    dropout: float = 0.0
    dropout_scope: Scope = Scope.step
    weight_rule: WeightRule = WeightRule.fixed
    normalization: Scope = Scope.step
    all_ranks: bool = True

    def __post_init__(self) -> None:
        """Check the values."""
        if not (0 <= self.gamma < math.inf and 0 <= self.weight < math.inf):
            raise ValueError(f"gamma is {self.gamma} and weight {self.weight}, but both are 0 or more, and finite")
        if not 0 <= self.dropout <= 1:
            raise ValueError(f"dropout is {self.dropout}, but a rate lies in 0..1")

    @property
    def effective_weight(self) -> float:
        """What the JEPA term is multiplied with in the steps that have one.

        Example:
            >>> JEPA(weight=1.0, dropout=0.75, weight_rule=WeightRule.compensated).effective_weight
            4.0
        """
        if self.weight_rule is WeightRule.fixed or not self.trains_views:
            return self.weight
        return self.weight / (1 - self.dropout)

    @property
    def trains_views(self) -> bool:
        """Whether any step has a JEPA term."""
        return self.weight > 0 and self.dropout < 1

    @property
    def always_uses_views(self) -> bool:
        """Whether every step has a JEPA term."""
        return self.weight > 0 and self.dropout == 0

    @property
    def gathers(self) -> bool:
        """Whether the distance compares with the targets of all ranks."""
        return self.distance.contrastive and self.all_ranks

    def uses_views(self, *, seed: int, step: int, micro_batch: int = 0) -> bool:
        """Return whether this micro-batch of an optimizer step has a JEPA term."""
        coin = None if self.dropout_scope is Scope.step else micro_batch
        return self.trains_views and not dropped(rate=self.dropout, seed=seed, step=step, micro_batch=coin)

    def combine(self, next_token: float, jepa: float) -> float:
        """Return gamma * next_token + weight * jepa."""
        return self.gamma * next_token + self.weight * jepa

    def __call__(self, encoded: Encoded, totals: Totals) -> Terms:
        """Return the terms of a micro-batch, each divided by the totals of the whole step."""
        labels, pairs = encoded.label_nll.numel(), encoded.predicted.shape[0]
        next_token = encoded.label_nll.sum() / _at_least_one(totals.labels)
        loss = self.gamma * next_token * self._scale(labels, totals.labels, totals.ranks)
        if encoded.candidates.shape[0] == 0:  # a rank without pairs still owes the others' targets a (zero) gradient
            return Terms(loss=loss, next_token=next_token.detach(), jepa=torch.zeros_like(next_token.detach()))
        candidates = encoded.candidates.detach() if self.stop_gradient else encoded.candidates
        matched = torch.arange(pairs, device=candidates.device) + encoded.first_candidate
        jepa = self.distance(encoded.predicted, candidates, matched).sum() / _at_least_one(totals.pairs)
        if self.weight > 0:
            loss = loss + self.effective_weight * jepa * self._scale(pairs, totals.pairs, totals.ranks)
        return Terms(loss=loss, next_token=next_token.detach(), jepa=jepa.detach())

    def _scale(self, own: int, total: float | Tensor, ranks: int) -> float | Tensor:
        """Return what turns a share of the step's mean into what the loss takes: 1, or a rank's share of the own mean."""
        if self.normalization is Scope.step or not self.trains_views:
            return 1.0
        return _at_least_one(total) / (max(own, 1) * ranks)
