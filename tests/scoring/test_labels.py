"""Labels that outputs begin with."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_jepa.errors import UserError
from llm_jepa.records import Example, Message, Prediction
from llm_jepa.scoring.labels import LABEL, VALID, LabelPrefix
from llm_jepa.scoring.text import EXACT, STOPPED

YELP = ("Very Good", "Good", "Mediocre", "Bad", "Very Bad")


def verdicts(answer: str, generated: str, *, labels: tuple[str, ...] = YELP, stopped: bool = True):
    example = Example(name="a", messages=(Message(role="assistant", content=answer),))
    prediction = Prediction(name="a", prompt="p", expected=answer, generated=generated, stopped=stopped, tokens=9)
    return LabelPrefix(labels=labels)(example, prediction)


# answer, output, label, exact, valid
VERDICTS = [
    ("Good", "Good", 1.0, 1.0, 1.0),
    ("Good", " Good\n", 1.0, 1.0, 1.0),
    ("Good", "Good.", 1.0, 0.0, 1.0),
    ("Good", "GoodGoodGood", 1.0, 0.0, 1.0),  # never stops
    ("Good", "Good\nVery Bad", 1.0, 0.0, 1.0),
    ("Good", "Goodness", 1.0, 0.0, 1.0),  # the paper asks for no word boundary
    ("Good", "Very Good", 0.0, 0.0, 1.0),
    ("Very Good", "Good", 0.0, 0.0, 1.0),
    ("Very Good", "Very", 0.0, 0.0, 0.0),
    ("Very Good", "Very Good indeed", 1.0, 0.0, 1.0),
    ("Very Good", "Very Bad", 0.0, 0.0, 1.0),
    ("Bad", "Bad...", 1.0, 0.0, 1.0),
    ("Bad", "Very Bad", 0.0, 0.0, 1.0),
    ("Bad", "Good or Bad", 0.0, 0.0, 1.0),
    ("Bad", "bad", 0.0, 0.0, 0.0),  # case counts
    ("Bad", "It is Bad", 0.0, 0.0, 0.0),
    ("Bad", "**Bad**", 0.0, 0.0, 0.0),
    ("Bad", "", 0.0, 0.0, 0.0),
    ("Bad", " ", 0.0, 0.0, 0.0),
    ("Mediocre ", "Mediocre", 1.0, 1.0, 1.0),
    ("Terrible", "Terrible", None, 1.0, 0.0),  # no known label
    ("Goodness", "Good", None, 0.0, 1.0),
    ("", "Good", None, None, 1.0),
]


@pytest.mark.parametrize(("answer", "generated", "label", "exact", "valid"), VERDICTS)
def test_an_output_is_right_when_it_begins_with_the_right_label(answer: str, generated: str, label, exact, valid):
    assert verdicts(answer, generated) == {"label": label, "exact": exact, "valid": valid, "stopped": 1.0}


def test_the_label_decides_and_three_measures_stand_beside_it():
    assert LabelPrefix(labels=YELP).measures == (LABEL, EXACT, VALID, STOPPED)
    assert verdicts("Good", "Good", stopped=False)["stopped"] == 0.0


@pytest.mark.parametrize("labels", [("Fair", "Fair to good"), ("Fair to good", "Fair")])
@pytest.mark.parametrize(
    ("answer", "generated", "right"),
    [("Fair", "Fair", 1.0), ("Fair to good", "Fair", 0.0), ("Fair", "Fair to good", 0.0), ("Fair", "Fair to", 1.0)],
)
def test_of_labels_that_begin_alike_the_longest_is_given(labels, answer: str, generated: str, right: float):
    assert verdicts(answer, generated, labels=labels)["label"] == right


def test_white_space_around_labels_does_not_count():
    assert verdicts("Good", "Good", labels=(" Good", "Bad\n"))["label"] == 1.0


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        ((), "labels is empty; name every label that an answer may be"),
        (("Good", " "), "labels has a blank one; every output begins with it, so leave it out"),
        (("Good", "Bad", "Good "), "labels has 'Good' twice; name every label once"),
    ],
)
def test_labels_that_decide_nothing_are_refused(labels: tuple[str, ...], sentence: str):
    with pytest.raises(UserError) as caught:
        LabelPrefix(labels=labels)
    assert str(caught.value) == sentence


@given(generated=st.text(), before=st.sampled_from(("", *YELP)))
def test_one_label_at_most_is_right_and_then_the_output_is_valid(generated: str, before: str):
    given = [verdicts(label, before + generated) for label in YELP]
    assert sum(each["label"] or 0 for each in given) == given[0]["valid"]


@given(label=st.sampled_from(YELP), after=st.text())
def test_what_follows_a_label_changes_nothing(label: str, after: str):
    assert verdicts(label, label + after)["label"] == 1.0
