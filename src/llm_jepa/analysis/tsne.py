"""Embeddings in two dimensions by t-SNE (van der Maaten and Hinton, 2008), the same coordinates at every call.

Only who is near whom means something: directions, sizes of groups and distances between them do not.
"""

from importlib.util import find_spec
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from llm_jepa.errors import UserError

Points: TypeAlias = list[tuple[float, float]]

SEED = 0
PERPLEXITY = 30.0
"""scikit-learn's default; lowered where there are fewer than three times as many embeddings."""

FEWEST = 6
"""Embeddings below which there is nothing to draw."""


def check_tsne() -> None:
    """Make sure that scikit-learn is there, before anything takes time.

    Raises:
        UserError: it is not.
    """
    if find_spec("sklearn") is None:
        raise UserError("t-SNE needs scikit-learn: `pip install 'llm-jepa[plots]'`, or leave it out with `--no_tsne`")


def tsne(text: Float[Tensor, "pair hidden"], code: Float[Tensor, "pair hidden"]) -> tuple[Points, Points] | None:
    """Return coordinates of both views, placed together; None for too few embeddings, or where all are the same.

    The result does not depend on where the embeddings lie as a whole, nor on their size.
    """
    from sklearn.manifold import TSNE

    together = torch.cat([text, code]).double()
    centred = together - together.mean(dim=0)
    size = centred.square().mean().sqrt()
    if len(together) < FEWEST or float(size) <= torch.finfo(torch.float32).eps * float(together.square().mean().sqrt()):
        return None
    perplexity = min(PERPLEXITY, (len(together) - 1) / 3)
    placed = TSNE(n_components=2, perplexity=perplexity, init="pca", random_state=SEED).fit_transform(
        (centred / size).float().numpy()
    )
    points = [(float(x), float(y)) for x, y in placed]
    return points[: len(text)], points[len(text) :]
