"""What all scorers share: names, order and the mean over examples."""

import copy

import pytest

from llm_jepa.records import Example, Message, Prediction
from llm_jepa.scoring.choice import ChoiceScorer
from llm_jepa.scoring.labels import LabelPrefix
from llm_jepa.scoring.numbers import FinalNumber
from llm_jepa.scoring.references import AnyReference
from llm_jepa.scoring.scorer import Average, Better, Measure, Scorer, average
from llm_jepa.scoring.text import TextScorer

SCORERS = [
    (TextScorer(), ["exact", "prefix", "stopped"]),
    (FinalNumber(), ["final_number", "exact", "stopped"]),
    (AnyReference(), ["contains", "contains_raw", "exact_reference", "stopped"]),
    (LabelPrefix(labels=("Good", "Bad")), ["label", "exact", "valid", "stopped"]),
    (ChoiceScorer(), ["letter", "letter_probability", "ending", "ending_raw"]),
]
ANY_SCORER = pytest.mark.parametrize(("scorer", "names"), SCORERS, ids=[type(scorer).__name__ for scorer, _ in SCORERS])
TEXTS = ["", " ", "Good", "#### 18", "; ", "A", "\ud83d", "?"]


@ANY_SCORER
def test_the_names_of_the_measures_and_their_order_are_fixed(scorer: Scorer, names: list[str]):
    assert [measure.name for measure in scorer.measures] == names


@ANY_SCORER
@pytest.mark.parametrize("answer", TEXTS)
@pytest.mark.parametrize("generated", TEXTS)
def test_every_measure_has_a_share_or_nothing_for_any_text(scorer: Scorer, names: list[str], answer: str, generated: str):
    example = Example(name="a", messages=(Message(role="assistant", content=answer),))
    prediction = Prediction(name="a", prompt="", expected=answer, generated=generated, stopped=True, tokens=1)
    verdicts = scorer(example, prediction)
    assert list(verdicts) == names
    assert {value for value in verdicts.values() if value is not None} <= {0.0, 1.0}


@ANY_SCORER
def test_every_measure_says_what_it_counts_and_leaves_out(scorer: Scorer, names: list[str]):
    for measure in scorer.measures:
        assert "leaves out" in measure.what or "left out" in measure.what
        assert (measure.unit, measure.better) == ("share, 0 to 1", Better.higher)


@ANY_SCORER
def test_a_scorer_is_a_value(scorer: Scorer, names: list[str]):
    assert copy.deepcopy(scorer) == scorer
    assert hash(copy.deepcopy(scorer)) == hash(scorer)


EXACT = Measure(name="exact", title="exact match", what="-")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1.0, 0.0, 0.0, 1.0], Average(value=0.5, counted=4, excluded=0)),
        ([1.0, None, 0.0, None, None], Average(value=0.5, counted=2, excluded=3)),
        ([0.0, 0.0], Average(value=0.0, counted=2, excluded=0)),
        ([1.0], Average(value=1.0, counted=1, excluded=0)),
        ([None, None], Average(value=None, counted=0, excluded=2)),
        ([], Average(value=None, counted=0, excluded=0)),
        ([0.25, 0.5], Average(value=0.375, counted=2, excluded=0)),
    ],
)
def test_the_mean_is_over_the_examples_that_count(values: list[float | None], expected: Average):
    assert average(EXACT, [{"exact": value, "other": 9.0} for value in values]) == expected


def test_a_verdict_without_the_measure_is_an_error():
    with pytest.raises(KeyError, match="exact"):
        average(EXACT, [{"other": 1.0}])
