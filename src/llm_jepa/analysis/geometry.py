"""How the embeddings of two views lie to each other: pure functions of two matrices, one row an example.

Small numbers alone do not tell structure from collapse: when all embeddings come close to one point, differences, singular
values and errors of a linear map all become small. So every such number has a partner that is divided by the spread of the
embeddings themselves, and that does not shrink with them.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

TOP = 100
"""How many singular values the paper averages (Table 14) and draws (Figure 3)."""

FEWEST = 8
"""A linear map is tried on rows that it was not fitted to where each half has at least so many."""

STRENGTHS = tuple(10.0**power for power in range(-12, 3))
"""Penalties of the ridge regression that are tried, as multiples of the largest squared singular value of Text."""


def singular_values(text: Float[Tensor, "example hidden"], code: Float[Tensor, "example hidden"]) -> Float[Tensor, " value"]:
    """Return the singular values of Enc(Text) - Enc(Code), largest first (paper, Figure 3 left).

    They grow with the square root of the number of examples, and with the length of the embeddings.

    Example:
        >>> singular_values(torch.eye(2) * 3, torch.zeros(2, 2))
        tensor([3., 3.], dtype=torch.float64)
    """
    return torch.linalg.svdvals(text.double() - code.double())


def mean_top(values: Float[Tensor, " value"], top: int = TOP) -> float:
    """Return the mean of the largest values (paper, Table 14: of 100); of all, where there are fewer."""
    return float(values[:top].mean())


def relative_singular_values(
    text: Float[Tensor, "example hidden"], code: Float[Tensor, "example hidden"]
) -> Float[Tensor, " value"]:
    """Return the singular values of Enc(Text) - Enc(Code), divided by the root of Code's own squared spread.

    The spread is the Frobenius norm of Code less its mean: what a collapse takes away from both. Their squares add up to the
    mean squared distance of a pair over the variance of Code.
    """
    return singular_values(text, code) / spread(code).clamp_min(torch.finfo(torch.float64).tiny)


def spread(embeddings: Float[Tensor, "example hidden"]) -> Float[Tensor, ""]:
    """Return the Frobenius norm of the embeddings less their mean."""
    wide = embeddings.double()
    return torch.linalg.matrix_norm(wide - wide.mean(dim=0))


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearMap:
    """How well one linear map takes Text to Code.

    Attributes:
        error: min over X of ||Enc(Text) X - Enc(Code)||, the Frobenius norm (paper, Table 14).
        unexplained: share of Code's squared spread (about its mean) that the best affine map leaves, on the rows it was
            fitted to; 1 is what the mean alone does.
        unexplained_held_out: the same on rows that the map was not fitted to, with a ridge penalty chosen on the others;
            above 1 is worse than the mean. None with too few examples.
        fits_anything: there are no more examples than hidden units, so that `error` and `unexplained` are 0 whatever the
            embeddings are, but for dependent rows.
    """

    error: float
    unexplained: float
    unexplained_held_out: float | None
    fits_anything: bool


def linear_map(text: Float[Tensor, "example hidden"], code: Float[Tensor, "example hidden"]) -> LinearMap:
    """Fit the linear map from Text to Code by least squares.

    Raises:
        ValueError: fewer than two examples.
    """
    rows, hidden = text.shape
    if rows < 2:
        raise ValueError(f"a linear map needs at least 2 examples, not {rows}")
    text, code = text.double(), code.double()
    own = code - code.mean(dim=0)
    return LinearMap(
        error=float(torch.linalg.matrix_norm(_left(text, code))),
        unexplained=_share(_left(text - text.mean(dim=0), own), own),
        unexplained_held_out=_held_out(text, code) if rows // 2 >= FEWEST else None,
        fits_anything=rows <= hidden,
    )


def _left(source: Tensor, target: Tensor) -> Tensor:
    """Return what the best linear map from source leaves of target: what lies beyond the span of source's columns."""
    basis, values, _ = torch.linalg.svd(source, full_matrices=False)
    rank = int((values > values[0] * max(source.shape) * torch.finfo(source.dtype).eps).sum())
    basis = basis[:, :rank]
    return target - basis @ (basis.T @ target)


def _held_out(text: Tensor, code: Tensor) -> float:
    """Fit every other row, and return what is left of the rest: neighbours in a file are often alike."""
    fitted, tried = (text[::2], code[::2]), (text[1::2], code[1::2])
    means = [item.mean(dim=0) for item in fitted]
    source, target = (item - mean for item, mean in zip(fitted, means, strict=True))
    ridge = _ridge(source, target)
    own = tried[1] - means[1]
    return _share((tried[0] - means[0]) @ ridge - own, own)


def _ridge(source: Tensor, target: Tensor) -> Tensor:
    """Return the map with the penalty that is best at predicting each row from the others (leave-one-out, closed form).

    Args:
        source: rows less their mean.
        target: rows less their mean.
    """
    left, values, right = torch.linalg.svd(source, full_matrices=False)
    along = left.T @ target
    beyond = target - left @ along
    scale = values[0].square().clamp_min(torch.finfo(torch.float64).tiny)

    def missed(strength: float) -> float:
        kept = 1 - values.square() / (values.square() + strength * scale)
        residual = beyond + left @ (kept[:, None] * along)
        leverage = 1 - 1 / len(source) - left.square() @ (1 - kept)
        return float((residual / leverage.clamp_min(torch.finfo(torch.float64).eps)[:, None]).square().sum())

    best = min(STRENGTHS, key=missed) * scale
    return right.T @ ((values / (values.square() + best))[:, None] * along)


def _share(left: Tensor, own: Tensor) -> float:
    """Return the squared size of what is left over that of what was to be explained; 1 where that is nothing."""
    size = float(torch.linalg.matrix_norm(own).square())
    return float(torch.linalg.matrix_norm(left).square()) / size if size else 1.0


def anisotropy(embeddings: Float[Tensor, "example hidden"]) -> float:
    """Return the mean cosine of the embeddings of two different examples (Ethayarajh, 2019): 1 is one direction for all.

    Raises:
        ValueError: fewer than two examples.

    Example:
        >>> anisotropy(torch.eye(4)), round(anisotropy(torch.ones(3, 2)), 6)
        (0.0, 1.0)
    """
    rows = len(embeddings)
    if rows < 2:
        raise ValueError(f"anisotropy needs at least 2 examples, not {rows}")
    unit = functional.normalize(embeddings.double(), dim=-1)
    whole = unit.sum(dim=0).square().sum()
    return float((whole - unit.square().sum()) / (rows * (rows - 1)))


def effective_rank(embeddings: Float[Tensor, "example hidden"], *, centred: bool = False) -> float:
    """Return exp of the entropy of the normalised singular values of the unit-length rows (Roy and Vetterli, 2007).

    Args:
        embeddings: one row an example.
        centred: take the mean away first; then a common direction does not count.
    """
    unit = functional.normalize(embeddings.double(), dim=-1)
    values = torch.linalg.svdvals(unit - unit.mean(dim=0) if centred else unit)
    total = values.sum()
    return 1.0 if total == 0 else float(torch.exp(torch.special.entr(values / total).sum()))


def cka(one: Float[Tensor, "example hidden"], other: Float[Tensor, "example width"]) -> float:
    """Return the linear centred kernel alignment of two representations of the same examples (Kornblith et al., 2019).

    In [0, 1]; 1 when one is the other, rotated and scaled. The widths may differ.

    Example:
        >>> values = torch.randn(50, 8, generator=torch.Generator().manual_seed(0))
        >>> round(cka(values, 3 * values.flip(1)), 6)
        1.0
    """
    one, other = (item.double() - item.double().mean(dim=0) for item in (one, other))
    cross = torch.linalg.matrix_norm(other.T @ one).square()
    own = torch.linalg.matrix_norm(one.T @ one) * torch.linalg.matrix_norm(other.T @ other)
    return float(cross / own.clamp_min(torch.finfo(torch.float64).tiny))


def cosines(text: Float[Tensor, "example hidden"], code: Float[Tensor, "example hidden"]) -> tuple[float, float]:
    """Return the mean cosine of an example's own two embeddings, and of two different examples' embeddings.

    Raises:
        ValueError: fewer than two examples.

    Example:
        >>> cosines(torch.eye(3), torch.eye(3))
        (1.0, 0.0)
    """
    rows = len(text)
    if rows < 2:
        raise ValueError(f"cosines need at least 2 examples, not {rows}")
    one, other = (functional.normalize(item.double(), dim=-1) for item in (text, code))
    matched = float((one * other).sum())
    whole = float(one.sum(dim=0) @ other.sum(dim=0))
    return matched / rows, (whole - matched) / (rows * (rows - 1))


def mean_length(embeddings: Float[Tensor, "example hidden"]) -> float:
    """Return the mean Euclidean length of the embeddings."""
    return float(torch.linalg.vector_norm(embeddings.double(), dim=-1).mean())
