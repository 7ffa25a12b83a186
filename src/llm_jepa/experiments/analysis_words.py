"""What the numbers of an analysis say, a sentence or two a model: whether it collapsed, and what Table 14 is worth then."""

from collections.abc import Sequence

from llm_jepa.analysis.structure import Relation
from llm_jepa.experiments.analysis_record import Analysed
from llm_jepa.experiments.measures import counted, percent
from llm_jepa.objective.monitors import COLLAPSED_GAP, TELLING_RETRIEVAL

SMALLER = 0.5
"""A number has fallen where it is less than this share of the first model's."""

WARNING = "Table 14's small numbers alone would not tell this from structure."


def sentence(item: Analysed, first: Analysed) -> str:
    """Say of one model whether its embeddings collapsed, and what its distance from the first model means."""
    beside = "" if item is first else _beside(item, first)
    return f"{item.label}: {_state(item)}.{beside}"


def remarks(items: Sequence[Analysed], *, left_out: int) -> list[str]:
    """Return what a reader should know beside the numbers: how models were read, and which numbers mean nothing here."""
    found = [item.subject.remark for item in items if item.subject.remark]
    if left_out:
        found.append(
            f"{counted(left_out, 'pair')} did not fit into the context of every model and {_were(left_out)} left out."
        )
    trivial = [item.label for item in items if item.structure.encoded.linear.fits_anything]
    if trivial:
        found.append(
            f"{', '.join(trivial)}: no more pairs ({items[0].structure.pairs:,}) than hidden units, so a linear map fits "
            "anything, and the least-squares error is 0 for structure, noise and collapse alike; read the share that is "
            "unexplained on other pairs."
        )
    return found


def _were(count: int) -> str:
    return "was" if count == 1 else "were"


def _state(item: Analysed) -> str:
    relation = item.structure.trained
    told = _numbers(item, relation)
    if relation.collapsed:
        known = "collapsed: all" if item.subject.run else "all"
        return f"{known} embeddings point in one direction and hardly tell examples apart {told}"
    if relation.cosine_gap >= COLLAPSED_GAP:
        return f"not collapsed {told}"
    if relation.forward.at[1] >= TELLING_RETRIEVAL:
        return f"not collapsed: embeddings lie close together, yet tell examples apart {told}"
    return f"not collapsed onto one direction, but the embeddings hardly tell which views belong together {told}"


def _numbers(item: Analysed, relation: Relation) -> str:
    source = "Texts" if item.structure.predicted is None else "predictions"
    share, chance = relation.forward.at[1], 1 / relation.forward.candidates
    return (
        f"(cosine {relation.cosine_matched:.3f} for matched and {relation.cosine_shuffled:.3f} for shuffled pairs; "
        f"{percent(share)} of the {source} find their partner among {relation.forward.candidates:,}, chance {percent(chance)})"
    )


def _beside(item: Analysed, first: Analysed) -> str:
    """Where both numbers of Table 14 fell: whether only the embeddings' size did, or what they say of each other too."""
    mine, other = item.structure.encoded, first.structure.encoded
    fallen = [("top singular values fall", mine.mean_top_100, other.mean_top_100)]
    relative = [_ratio(mine.relative_mean_top_100, other.relative_mean_top_100)]
    if not (mine.linear.fits_anything or other.linear.fits_anything):
        fallen.append(("least-squares error", mine.linear.error, other.linear.error))
        relative.append(_ratio(mine.relative_error, other.relative_error))
    shares = [_ratio(now, before) for _, now, before in fallen]
    if max(shares) >= SMALLER:
        return ""
    sizes = " and the ".join(f"{name} to {_part(share)}" for (name, _, _), share in zip(fallen, shares, strict=True))
    divided = " and ".join(f"{share:.2g}" for share in relative)
    told = f" Beside {first.label} the {sizes}; divided by Code's own spread they are {divided} times {first.label}'s"
    if item.structure.trained.collapsed:
        return f"{told}: they are small because all embeddings are the same. {WARNING}"
    if max(relative) < SMALLER:
        return f"{told}: they fell by more than the embeddings shrank."
    return f"{told}: most of the fall is one of size. {WARNING}"


def _ratio(now: float, before: float) -> float:
    return now / before if before else 1.0


def _part(share: float) -> str:
    return f"1/{1 / share:,.0f}" if share > 1e-6 else "nothing"
