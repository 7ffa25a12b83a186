"""The table of an analysis: what each number is called, how it is written, and how it is read."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from llm_jepa.analysis.structure import Relation
from llm_jepa.experiments.analyze.record import Analysed
from llm_jepa.experiments.results.measures import ABSENT

Value = Callable[[Analysed], float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of the table.

    Attributes:
        label: its name.
        group: heading under which it stands.
        value: reads it from a model; None where there is none.
        reading: one line on what it is and how to read it.
        share: whether it is a share, written in percent.
    """

    label: str
    group: str
    value: Value
    reading: str
    share: bool = False


def table(items: Sequence[Analysed]) -> list[tuple[str, list[tuple[Row, list[str]]]]]:
    """Return for each group its rows with one cell a model; rows that no model has are left out."""
    groups: dict[str, list[tuple[Row, list[str]]]] = {}
    for row in ROWS:
        cells = [_cell(row, item) for item in items]
        if set(cells) != {ABSENT}:
            groups.setdefault(row.group, []).append((row, cells))
    return list(groups.items())


def _cell(row: Row, item: Analysed) -> str:
    value = row.value(item)
    if value is None:
        return ABSENT
    if row.share:
        return f"{100 * value:.1f} %"
    return number(value)


def number(value: float) -> str:
    """Return a number with three digits: 310.7 -> "311", 0.01234 -> "0.0123", 4e-13 -> "4e-13".

    Example:
        >>> number(3953.11), number(4.0449), number(-0.5), number(0.0)
        ('3,953', '4.04', '−0.500', '0')
    """
    if value == 0:
        return "0"
    if abs(value) < 1e-4:
        return f"{value:.0e}".replace("-", "−")
    decimals = max(0, 2 - math.floor(math.log10(abs(float(f"{value:.3g}")))))
    return f"{value:,.{decimals}f}".replace("-", "−")


def _encoded(read: Callable[[Relation], float | None]) -> Value:
    return lambda item: read(item.structure.encoded)


def _predicted(read: Callable[[Relation], float | None]) -> Value:
    return lambda item: None if item.structure.predicted is None else read(item.structure.predicted)


def _at(k: int) -> Callable[[Relation], float | None]:
    return lambda relation: relation.forward.at.get(k)


def _back(k: int) -> Callable[[Relation], float | None]:
    return lambda relation: relation.backward.at.get(k)


_STATED, _SCALED, _TOLD, _PRED, _SPREAD, _BEFORE = (
    "As the paper states them: Enc(Text) and Enc(Code)",
    "Divided by Code's own spread",
    "Do they tell examples apart? Enc(Text) and Enc(Code)",
    "What was trained: the prediction and its target",
    "How the embeddings are spread",
    "Before and after",
)

ROWS = (
    Row(
        label="Mean of the top 100 singular values",
        group=_STATED,
        value=_encoded(lambda relation: relation.mean_top_100),
        reading="Of Enc(Text) − Enc(Code) (Table 14, Figure 3). Small where views agree, and where all are the same.",
    ),
    Row(
        label="Least-squares error",
        group=_STATED,
        value=_encoded(lambda relation: relation.linear.error),
        reading="How far the best linear map from Text to Code misses (Table 14). It shrinks with the embeddings.",
    ),
    Row(
        label="Top 100 singular values, relative",
        group=_SCALED,
        value=_encoded(lambda relation: relation.relative_mean_top_100),
        reading="The same over Code's distance from its own mean. A collapse does not lower it.",
    ),
    Row(
        label="Unexplained by a linear map",
        group=_SCALED,
        share=True,
        value=_encoded(lambda relation: relation.linear.unexplained),
        reading="Share of Code's variance that the map leaves, on the pairs it was fitted to. The mean alone leaves 100 %.",
    ),
    Row(
        label="Unexplained on other pairs",
        group=_SCALED,
        share=True,
        value=_encoded(lambda relation: relation.linear.unexplained_held_out),
        reading="The same on the other half of the pairs. This one says whether the views are linearly related.",
    ),
    Row(
        label="Cosine, matched pairs",
        group=_TOLD,
        value=_encoded(lambda relation: relation.cosine_matched),
        reading="Mean cosine of an example's Text and Code. It is 1 where all embeddings are the same, so read the gap.",
    ),
    Row(
        label="Cosine, shuffled pairs",
        group=_TOLD,
        value=_encoded(lambda relation: relation.cosine_shuffled),
        reading="The same for different examples. Near 1: everything lies in one direction.",
    ),
    Row(
        label="Gap",
        group=_TOLD,
        value=_encoded(lambda relation: relation.cosine_gap),
        reading="Matched less shuffled. Near 0 the embeddings do not tell which views belong together.",
    ),
    Row(
        label="Text finds its Code: first",
        group=_TOLD,
        share=True,
        value=_encoded(_at(1)),
        reading="Own Code is nearest to the Text by cosine; ties count against it. Chance is 1 / pairs.",
    ),
    Row(label="… among the first 5", group=_TOLD, share=True, value=_encoded(_at(5)), reading=""),
    Row(label="… among the first 10", group=_TOLD, share=True, value=_encoded(_at(10)), reading=""),
    Row(
        label="Mean reciprocal rank",
        group=_TOLD,
        value=_encoded(lambda relation: relation.forward.mean_reciprocal_rank),
        reading="Mean of 1 / rank of the own Code.",
    ),
    Row(
        label="Code finds its Text: first",
        group=_TOLD,
        share=True,
        value=_encoded(_back(1)),
        reading="The other way round.",
    ),
    Row(label="… among the first 10, from Code", group=_TOLD, share=True, value=_encoded(_back(10)), reading=""),
    Row(
        label="Pred: top 100 singular values",
        group=_PRED,
        value=_predicted(lambda relation: relation.mean_top_100),
        reading="The same numbers for what the JEPA term compares: the embedding at the last [PRED] token and its target.",
    ),
    Row(
        label="Pred: the same, relative",
        group=_PRED,
        value=_predicted(lambda relation: relation.relative_mean_top_100),
        reading="",
    ),
    Row(
        label="Pred: cosine, matched pairs",
        group=_PRED,
        value=_predicted(lambda relation: relation.cosine_matched),
        reading="",
    ),
    Row(
        label="Pred: cosine, shuffled pairs",
        group=_PRED,
        value=_predicted(lambda relation: relation.cosine_shuffled),
        reading="",
    ),
    Row(label="Pred: gap", group=_PRED, value=_predicted(lambda relation: relation.cosine_gap), reading=""),
    Row(label="Pred finds its target: first", group=_PRED, share=True, value=_predicted(_at(1)), reading=""),
    Row(label="Target finds its Pred: first", group=_PRED, share=True, value=_predicted(_back(1)), reading=""),
    Row(
        label="Effective rank, Text",
        group=_SPREAD,
        value=lambda item: item.structure.text.effective_rank,
        reading="Number of directions that the embeddings spread over; 1 is a single one.",
    ),
    Row(label="Effective rank, Code", group=_SPREAD, value=lambda item: item.structure.code.effective_rank, reading=""),
    Row(
        label="Effective rank, Code, centred",
        group=_SPREAD,
        value=lambda item: item.structure.code.effective_rank_centred,
        reading="With the mean taken away: directions in which examples still differ, however little.",
    ),
    Row(
        label="Anisotropy, Text",
        group=_SPREAD,
        value=lambda item: item.structure.text.anisotropy,
        reading="Mean cosine of two different examples in one view. 1: all in one direction.",
    ),
    Row(label="Anisotropy, Code", group=_SPREAD, value=lambda item: item.structure.code.anisotropy, reading=""),
    Row(
        label="Length, Code",
        group=_SPREAD,
        value=lambda item: item.structure.code.mean_length,
        reading="Mean Euclidean length: the unit in which singular values are measured.",
    ),
    Row(
        label="Spread, Code",
        group=_SPREAD,
        value=lambda item: item.structure.code.spread,
        reading="Root of the mean squared distance from the mean. Far below the length: the examples hardly differ.",
    ),
    Row(
        label="CKA with the first model, Text",
        group=_BEFORE,
        value=lambda item: None if item.alike is None else item.alike.text,
        reading="1: the same embeddings but for rotation and size; low: training made them anew.",
    ),
    Row(
        label="CKA with the first model, Code",
        group=_BEFORE,
        value=lambda item: None if item.alike is None else item.alike.code,
        reading="",
    ),
)
"""The rows, in order. An empty reading: the row before says it."""
