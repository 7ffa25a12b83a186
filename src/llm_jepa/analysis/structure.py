"""Embeddings of pairs -> how they lie, in the paper's numbers and in those that tell structure from collapse.

Enc(Text) and Enc(Code) give what the paper shows (Figure 3, Table 14). Where a model has [PRED] tokens, what was trained is
Pred(Enc(Text)), so the same numbers are taken of that and Enc(Code) too.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from llm_jepa.analysis.geometry import (
    LinearMap,
    anisotropy,
    cosines,
    effective_rank,
    linear_map,
    mean_length,
    mean_top,
    singular_values,
    spread,
)
from llm_jepa.analysis.retrieval import Retrieval, retrieval
from llm_jepa.objective import monitors


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The embeddings of the same pairs by one model, one row a pair.

    Attributes:
        text: Enc(Text).
        code: Enc(Code).
        predicted: Pred(Enc) of the view that the model was trained to predict from; None where it is Enc itself.
        target: Enc of the view that `predicted` stands for.
    """

    text: Float[Tensor, "pair hidden"]
    code: Float[Tensor, "pair hidden"]
    predicted: Float[Tensor, "pair hidden"] | None = None
    target: Float[Tensor, "pair hidden"] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    """How two sets of embeddings of the same examples lie to each other.

    Attributes:
        singular_values: of their difference, largest first.
        relative_singular_values: the same over the second one's spread.
        mean_top_100: mean of the first hundred.
        relative_mean_top_100: mean of the first hundred relative ones.
        linear: the best linear map from the first to the second.
        relative_error: the error of that map over the second one's spread.
        cosine_matched: mean cosine of the same example's two.
        cosine_shuffled: mean cosine of different examples'.
        forward: how often the first finds its second.
        backward: how often the second finds its first.
    """

    singular_values: tuple[float, ...]
    relative_singular_values: tuple[float, ...]
    mean_top_100: float
    relative_mean_top_100: float
    linear: LinearMap
    relative_error: float
    cosine_matched: float
    cosine_shuffled: float
    forward: Retrieval
    backward: Retrieval

    @property
    def cosine_gap(self) -> float:
        """What matched pairs have over shuffled ones; near 0 the embeddings do not tell which views belong together."""
        return self.cosine_matched - self.cosine_shuffled

    @property
    def collapsed(self) -> bool:
        """Whether all embeddings point in one direction and no longer tell examples apart, by the rule of training."""
        return monitors.collapsed(
            cosine_matched=self.cosine_matched, cosine_shuffled=self.cosine_shuffled, retrieval_at_1=self.forward.at[1]
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """How one set of embeddings is spread out.

    Attributes:
        effective_rank: number of directions of the unit-length embeddings, from 1 on.
        effective_rank_centred: the same with their mean taken away.
        anisotropy: mean cosine of two different examples' embeddings.
        mean_length: mean Euclidean length.
        spread: root of the mean squared distance from the mean embedding.
    """

    effective_rank: float
    effective_rank_centred: float
    anisotropy: float
    mean_length: float
    spread: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Structure:
    """What is measured on one model.

    Attributes:
        pairs: number of pairs.
        hidden: width of an embedding.
        encoded: Enc(Text) and Enc(Code).
        predicted: Pred(Enc) and its target; None where Pred is the identity.
        text: spread of Enc(Text).
        code: spread of Enc(Code).
        prediction: spread of Pred(Enc); None as above.
    """

    pairs: int
    hidden: int
    encoded: Relation
    predicted: Relation | None
    text: Spread
    code: Spread
    prediction: Spread | None

    @property
    def trained(self) -> Relation:
        """The relation that the JEPA term is about."""
        return self.encoded if self.predicted is None else self.predicted


def measure(reading: Reading) -> Structure:
    """Return every number of a reading.

    Raises:
        ValueError: fewer than two pairs, or embeddings that are not finite.
    """
    parts = [part for part in (reading.text, reading.code, reading.predicted) if part is not None]
    broken = int(sum((~part.isfinite()).any(dim=1).sum() for part in parts))
    if broken:
        raise ValueError(f"{broken} of {sum(len(part) for part in parts)} embeddings are not finite")
    predicted = prediction = None
    if reading.predicted is not None and reading.target is not None:
        predicted, prediction = _relation(reading.predicted, reading.target), _spread(reading.predicted)
    return Structure(
        pairs=len(reading.text),
        hidden=reading.text.shape[1],
        encoded=_relation(reading.text, reading.code),
        predicted=predicted,
        text=_spread(reading.text),
        code=_spread(reading.code),
        prediction=prediction,
    )


def _relation(text: Tensor, code: Tensor) -> Relation:
    values, scale = singular_values(text, code), spread(code).clamp_min(torch.finfo(torch.float64).tiny)
    matched, shuffled = cosines(text, code)
    linear = linear_map(text, code)
    return Relation(
        singular_values=tuple(values.tolist()),
        relative_singular_values=tuple((values / scale).tolist()),
        mean_top_100=mean_top(values),
        relative_mean_top_100=mean_top(values / scale),
        linear=linear,
        relative_error=linear.error / float(scale),
        cosine_matched=matched,
        cosine_shuffled=shuffled,
        forward=retrieval(text, code),
        backward=retrieval(code, text),
    )


def _spread(embeddings: Tensor) -> Spread:
    return Spread(
        effective_rank=effective_rank(embeddings),
        effective_rank_centred=effective_rank(embeddings, centred=True),
        anisotropy=anisotropy(embeddings),
        mean_length=mean_length(embeddings),
        spread=float(spread(embeddings)) / len(embeddings) ** 0.5,
    )
