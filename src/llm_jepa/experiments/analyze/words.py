"""What the numbers of an analysis say, a sentence or two a model: whether it collapsed, and what Table 14 is worth then."""

from collections.abc import Sequence

from llm_jepa.analysis.structure import Relation
from llm_jepa.experiments.analyze.record import Analysed
from llm_jepa.experiments.results.measures import counted, percent
from llm_jepa.objective.monitors import COLLAPSED_GAP, TELLING_RETRIEVAL

SMALLER = 0.5
"""A number has fallen where it is less than this share of the first model's."""

WARNING = "Table 14's small numbers alone would not tell it from structure."


def sentence(item: Analysed, first: Analysed) -> str:
    """Say of one model whether its embeddings collapsed, and what its distance from the first model means."""
    beside = "" if item is first else _beside(item, first)
    return f"{item.label}: {_state(item)}.{beside}"


def headline(items: Sequence[Analysed]) -> str:
    """Name the models that collapsed, in one sentence."""
    fallen = [item.label for item in items if item.structure.trained.collapsed]
    if len(items) == 1:
        return f"The embeddings {'have' if fallen else 'have not'} collapsed onto one direction."
    if not fallen:
        return f"None of the {len(items)} models has collapsed onto one direction."
    many = f"{len(fallen)} of {len(items)} models {'has' if len(fallen) == 1 else 'have'}"
    return f"{many} collapsed onto one direction: {', '.join(fallen)}."


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
    found = relation.forward
    chance = percent(1 / found.candidates)
    return (
        f"(cosine {relation.cosine_matched:.3f} for matched and {relation.cosine_shuffled:.3f} for shuffled pairs; "
        f"{percent(found.at[1])} of the {source} find their partner among {found.candidates:,}, chance {chance})"
    )


def _beside(item: Analysed, first: Analysed) -> str:
    """Where the numbers of Table 14 fell: whether only the embeddings' size did, or what they say of each other too."""
    mine, other = item.structure, first.structure
    told = _fall("Enc(Text)", item, first, (mine.encoded, other.encoded))
    if told or mine.predicted is None or other.predicted is None:
        return told
    return _fall("Pred(Enc(Text))", item, first, (mine.predicted, other.predicted))


def _fall(which: str, item: Analysed, first: Analysed, relations: tuple[Relation, Relation]) -> str:
    now, before = relations
    fallen = [(f"top singular values of {which} − Enc(Code) fall", now.mean_top_100, before.mean_top_100)]
    relative = [_ratio(now.relative_mean_top_100, before.relative_mean_top_100)]
    if not (now.linear.fits_anything or before.linear.fits_anything):
        fallen.append(("least-squares error", now.linear.error, before.linear.error))
        relative.append(_ratio(now.relative_error, before.relative_error))
    shares = [_ratio(mine, other) for _, mine, other in fallen]
    if max(shares) >= SMALLER:
        return ""
    sizes = " and the ".join(f"{name} to {_part(share)}" for (name, _, _), share in zip(fallen, shares, strict=True))
    divided = " and ".join(f"{share:.2g}" for share in relative)
    told = f" Beside {first.label} the {sizes}; divided by Code's own spread they are {divided} times as large"
    if item.structure.trained.collapsed:
        return f"{told}. With all embeddings nearly the same they must be small: {WARNING}"
    if max(relative) < SMALLER:
        return f"{told}, so they fell by more than the embeddings shrank."
    return f"{told}, so most of the fall is one of size: {WARNING}"


def _ratio(now: float, before: float) -> float:
    return now / before if before else 1.0


def _part(share: float) -> str:
    return f"1/{1 / share:,.0f}" if share > 1e-6 else "nothing"
