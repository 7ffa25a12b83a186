"""Whether two views say different things: how many tokens they share, and whether that alone tells who belongs to whom.

Needs no model. A target that can be copied from its source, or that shares a template with every other, is predicted without
any understanding; then a good alignment says nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
import numpy.typing as npt

from llm_jepa.packing.layout import Layout
from llm_jepa.records import Example
from llm_jepa.views.tokenize import Sample, TokenView

SAMPLE = 256
"""Examples that are looked at, taken evenly from all over the data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewFacts:
    """What the pairs of some examples have in common, as shares in 0..1.

    Attributes:
        pairs: number of pairs looked at.
        identical: pairs whose views are the same words, but for case and white space.
        contained: pairs of which one view holds the other word for word, and more.
        shared: mean share of a target's distinct tokens that its source has too.
        shared_shuffled: the same with the sources of other pairs.
        found: pairs whose target shares more of its tokens with its source than any other target does; chance is 1 / pairs.
        template: mean share of chat template in the views that are encoded by themselves.
    """

    pairs: int
    identical: float
    contained: float
    shared: float
    shared_shuffled: float
    found: float
    template: float


def evenly(items: Sequence[Sample], count: int) -> list[Sample]:
    """Return at most `count` of the samples that have two views, taken evenly from all over them."""
    paired = [item for item in items if len(item.views) > 1]
    return paired[:: max(1, -(-len(paired) // count))]


def view_facts(examples: Sequence[Example], samples: Sequence[Sample], layout: Layout) -> ViewFacts | None:
    """Return the facts of the pairs of some samples; None where there are fewer than two pairs.

    Args:
        examples: what the samples were made from, and maybe more; found by name.
        samples: such as `evenly` returns.
        layout: gives the direction and the framing.
    """
    by_name = {example.name: example for example in examples}
    texts: list[tuple[str, str]] = []
    tokens: list[tuple[frozenset[int], frozenset[int]]] = []
    for sample in samples:
        views = by_name[sample.name].views
        for source, target in layout.direction.pairs(len(sample.views)):
            texts.append((_plain(views[source].content), _plain(views[target].content)))
            tokens.append((frozenset(sample.views[source].ids), frozenset(sample.views[target].ids)))
    if len(texts) < 2:
        return None
    shared, jaccard = _overlaps(tokens)
    own = np.diagonal(shared)
    others = (shared.sum() - own.sum()) / (len(own) * (len(own) - 1))
    rivals = np.where(np.eye(len(own), dtype=bool), -1.0, jaccard).max(axis=1)
    return ViewFacts(
        pairs=len(texts),
        identical=fmean(a == b for a, b in texts),
        contained=fmean(a != b and (a in b or b in a) for a, b in texts),
        shared=float(own.mean()),
        shared_shuffled=float(others),
        found=float((np.diagonal(jaccard) > rivals).mean()),
        template=_template(samples, layout),
    )


def _plain(text: str) -> str:
    """Return the words of a text between spaces, so that only whole words are found in another."""
    return f" {' '.join(text.casefold().split())} "


def _overlaps(
    tokens: Sequence[tuple[frozenset[int], frozenset[int]]],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return, for every source (row) and target (column), the shared part of the target and of both together."""
    both = [[len(source & target) for _, target in tokens] for source, _ in tokens]
    common = np.array(both, dtype=np.float64)
    sources, targets = (np.array([len(pair[side]) for pair in tokens], dtype=np.float64) for side in (0, 1))
    return common / targets.clip(1), common / (sources[:, None] + targets - common).clip(1)


def _template(samples: Sequence[Sample], layout: Layout) -> float:
    def alone(view: TokenView) -> bool:
        return not (layout.shared and view.sequence is not None)

    views = [view for sample in samples for view in sample.views if alone(view)]
    if not layout.framed or not views:
        return 0.0
    return fmean(view.frame / max(1, len(view.framed)) for view in views)
