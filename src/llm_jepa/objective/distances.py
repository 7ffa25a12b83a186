"""d in eq. 3: how far a predicted embedding is from its target; one value a pair, computed in float32 or wider.

Each is a value to put into the objective: `JEPA(distance=InfoNCE(temperature=0.07))`.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional


def wide(tensor: Tensor) -> Tensor:
    """Return the tensor in float32, or unchanged when it is float64."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()


class Distance(ABC):
    """A distance between predictions and targets.

    Attributes:
        contrastive: whether it reads the other targets too; they are then gathered over all ranks.
    """

    contrastive: bool = False

    @abstractmethod
    def __call__(
        self,
        predicted: Float[Tensor, "pair hidden"],
        candidates: Float[Tensor, "candidate hidden"],
        matched: Int[Tensor, " pair"],
    ) -> Float[Tensor, " pair"]:
        """Return the distance of every prediction to `candidates[matched]`, its target."""


@dataclass(frozen=True)
class Cosine(Distance):
    """1 - cosine similarity, in [0, 2]; the paper's choice (section 3.1).

    Example:
        >>> one, two = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 1.0]])
        >>> Cosine()(one, two, torch.tensor([0]))
        tensor([1.])
    """

    def __call__(
        self,
        predicted: Float[Tensor, "pair hidden"],
        candidates: Float[Tensor, "candidate hidden"],
        matched: Int[Tensor, " pair"],
    ) -> Float[Tensor, " pair"]:
        """Return 1 - cos for every pair."""
        return 1 - functional.cosine_similarity(wide(predicted), wide(candidates[matched]), dim=-1)


@dataclass(frozen=True)
class L2(Distance):
    """Euclidean length of the difference, unnormalised (Table 3, "l2-norm"); grows with the width of the model."""

    def __call__(
        self,
        predicted: Float[Tensor, "pair hidden"],
        candidates: Float[Tensor, "candidate hidden"],
        matched: Int[Tensor, " pair"],
    ) -> Float[Tensor, " pair"]:
        """Return the length of the difference for every pair."""
        return torch.linalg.vector_norm(wide(predicted) - wide(candidates[matched]), dim=-1)


@dataclass(frozen=True)
class MeanSquaredError(Distance):
    """Mean over the hidden units of the squared difference (Table 3, "MSE")."""

    def __call__(
        self,
        predicted: Float[Tensor, "pair hidden"],
        candidates: Float[Tensor, "candidate hidden"],
        matched: Int[Tensor, " pair"],
    ) -> Float[Tensor, " pair"]:
        """Return the mean squared difference for every pair."""
        return (wide(predicted) - wide(candidates[matched])).square().mean(dim=-1)


@dataclass(frozen=True)
class InfoNCE(Distance):
    """Cross-entropy of picking the right target among all candidates by cosine similarity / temperature (Table 3).

    The candidates are the targets of the micro-batch on all ranks; their number is part of the loss's meaning. The official
    code sees those of one device only.

    Attributes:
        temperature: divides the similarities (paper: 0.07).

    Raises:
        ValueError: the temperature is not positive.
    """

    temperature: float = 0.07
    contrastive = True

    def __post_init__(self) -> None:
        """Check the temperature."""
        if not 0 < self.temperature < math.inf:
            raise ValueError(f"temperature is {self.temperature}, but it divides similarities: give a finite number above 0")

    def __call__(
        self,
        predicted: Float[Tensor, "pair hidden"],
        candidates: Float[Tensor, "candidate hidden"],
        matched: Int[Tensor, " pair"],
    ) -> Float[Tensor, " pair"]:
        """Return -log softmax of the matched similarity for every pair."""
        similarity = functional.normalize(wide(predicted), dim=-1) @ functional.normalize(wide(candidates), dim=-1).T
        return functional.cross_entropy(similarity / self.temperature, matched, reduction="none")
