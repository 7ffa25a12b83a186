"""Which choice the likelihoods make; probabilities are worked out by hand."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_jepa.records import Example, Message, Prediction
from llm_jepa.scoring.choice import ENDING, ENDING_RAW, LETTER, LETTER_PROBABILITY, ChoiceScorer

NAN, INF = math.nan, math.inf
TEXTS = {"ending A": "a" * 10, "ending B": "b" * 20, "ending C": "c" * 40, "ending D": "d" * 5}


def letters(*values: float) -> dict[str, float]:
    return {f"letter {letter}": value for letter, value in zip("ABCDE", values, strict=False)}


def endings(*values: float) -> dict[str, float]:
    return {f"ending {letter}": value for letter, value in zip("ABCDE", values, strict=False)}


def verdicts(likelihoods: dict[str, float], *, answer: str = "B", extra: dict[str, str] | None = None):
    message = Message(role="assistant", content=answer)
    example = Example(name="a", messages=(message,), extra=TEXTS if extra is None else extra)
    prediction = Prediction(
        name="a", prompt="p", expected=answer, generated="?", stopped=True, tokens=1, likelihoods=likelihoods
    )
    return ChoiceScorer()(example, prediction)


def log(*weights: float) -> list[float]:
    return [math.log(weight) for weight in weights]


# likelihoods of the letters, right letter, letter, its probability
LETTERS = [
    (log(0.1, 0.4, 0.3, 0.2), "B", 1.0, 0.4),
    (log(0.1, 0.4, 0.3, 0.2), "A", 0.0, 0.1),
    (log(0.1, 0.4, 0.3, 0.2), "C", 0.0, 0.3),
    (log(0.1, 0.4, 0.3, 0.2), "D", 0.0, 0.2),
    (log(0.1, 0.4, 0.3, 0.2), " B\n", 1.0, 0.4),
    (log(0.001, 0.004, 0.003, 0.002), "B", 1.0, 0.4),  # other tokens take the rest
    ([-1001.0, -1000.0, -1001.0, -1001.0], "B", 1.0, 1 / (1 + 3 / math.e)),
    ([-1000.0, -5.0, -5.0, -2000.0], "B", 0.0, 0.5),  # a tie is no choice
    ([-1.0, -1.0, -1.0, -1.0], "A", 0.0, 0.25),
    ([-1.0, -1.0, -1.0, -1.0], "B", 0.0, 0.25),
    ([-1.0, -1.0, -9.0, -9.0], "C", 0.0, 1 / (2 + 2 * math.e**8)),
    ([-INF, -1.0, -INF, -INF], "B", 1.0, 1.0),
    ([-INF, -1.0, -INF, -INF], "A", 0.0, 0.0),
    ([-INF, -INF, -INF, -INF], "B", 0.0, 0.0),
    ([NAN, -1.0, -2.0, -3.0], "B", 0.0, 0.0),
    ([-1.0, NAN, -2.0, -3.0], "B", 0.0, 0.0),
    ([NAN, NAN, NAN, NAN], "B", 0.0, 0.0),
    (log(0.1, 0.4, 0.3, 0.2), "E", None, None),
    (log(0.1, 0.4, 0.3, 0.2), "b", None, None),
    (log(0.1, 0.4, 0.3, 0.2), "", None, None),
    (log(0.1, 0.4, 0.3), "B", None, None),  # three are no choice of four
    ([], "B", None, None),
]


@pytest.mark.parametrize(("values", "answer", "letter", "probability"), LETTERS)
def test_the_right_letter_is_the_only_likeliest(values: list[float], answer: str, letter, probability):
    given = verdicts(letters(*values), answer=answer)
    assert given["letter"] == letter
    assert given["letter_probability"] == (None if probability is None else pytest.approx(probability, rel=1e-12))
    assert (given["ending"], given["ending_raw"]) == (None, None)


# likelihoods of endings with 10, 20, 40 and 5 characters, right letter, per character, as a whole
ENDINGS = [
    ([-10.0, -10.0, -50.0, -10.0], "B", 1.0, 0.0),
    ([-10.0, -10.0, -10.0, -10.0], "C", 1.0, 0.0),
    ([-10.0, -15.0, -20.0, -4.0], "C", 1.0, 0.0),
    ([-10.0, -15.0, -20.0, -4.0], "D", 0.0, 1.0),  # sums favour the short
    ([-1.0, -50.0, -50.0, -50.0], "A", 1.0, 1.0),
    ([-1.0, -50.0, -50.0, -50.0], "B", 0.0, 0.0),
    ([-10.0, -20.0, -40.0, -5.0], "B", 0.0, 0.0),  # the same per character
    ([-10.0, -20.0, -40.0, -5.0], "D", 0.0, 1.0),
    ([-5.0, -5.0, -90.0, -90.0], "B", 1.0, 0.0),
    ([-INF, -5.0, -INF, -INF], "B", 1.0, 1.0),
    ([NAN, -5.0, -90.0, -90.0], "B", 0.0, 0.0),
    ([-5.0, -5.0, -90.0, -90.0], "E", None, None),
    ([-5.0, -5.0, -90.0], "B", None, None),
]


@pytest.mark.parametrize(("values", "answer", "ending", "raw"), ENDINGS)
def test_the_right_ending_is_the_only_likeliest_per_character(values: list[float], answer: str, ending, raw):
    given = verdicts(letters(-1.0, -1.0, -1.0, -1.0) | endings(*values), answer=answer)
    assert (given["ending"], given["ending_raw"]) == (ending, raw)


@pytest.mark.parametrize("extra", [{}, {**TEXTS, "ending C": ""}, {"ending A": "a"}])
def test_without_the_texts_of_the_endings_there_is_no_length_to_divide_by(extra: dict[str, str]):
    given = verdicts(letters(*log(0.1, 0.4, 0.3, 0.2)) | endings(-9.0, -1.0, -9.0, -9.0), extra=extra)
    assert given == {"letter": 1.0, "letter_probability": pytest.approx(0.4), "ending": None, "ending_raw": 1.0}


def test_the_letter_decides_and_three_measures_stand_beside_it():
    assert ChoiceScorer().measures == (LETTER, LETTER_PROBABILITY, ENDING, ENDING_RAW)
    assert list(verdicts({})) == [measure.name for measure in ChoiceScorer().measures]


@pytest.mark.parametrize(("values", "probability"), [([1.0, 2.0], 2 / 3), ([1.0, 2.0, 1.0, 1.0, 1.0], 2 / 6)])
def test_there_may_be_more_or_fewer_choices_than_four(values: list[float], probability: float):
    given = verdicts(letters(*log(*values)), extra={})
    assert (given["letter"], given["letter_probability"]) == (1.0, pytest.approx(probability))


@pytest.mark.parametrize("likelihoods", [letters(-1.0), {"letter B": -1.0, "ending A": -1.0}, {"B": -1.0, "A": -2.0}])
def test_one_letter_is_no_choice(likelihoods: dict[str, float]):
    assert verdicts(likelihoods, extra={})["letter"] is None


sums = st.lists(st.floats(min_value=-1e6, max_value=0), min_size=4, max_size=4)


@given(values=sums)
def test_probabilities_of_the_four_letters_sum_to_one_and_one_letter_at_most_is_right(values: list[float]):
    given = [verdicts(letters(*values), answer=letter) for letter in "ABCD"]
    assert sum(each["letter_probability"] or 0 for each in given) == pytest.approx(1)
    assert sum(each["letter"] or 0 for each in given) == float(values.count(max(values)) == 1)


@given(values=sums, right=st.sampled_from("ABCD"))
def test_the_chosen_letter_is_right_only_with_a_probability_above_a_quarter(values: list[float], right: str):
    given = verdicts(letters(*values), answer=right)
    assert given["letter"] == 0.0 or (given["letter_probability"] or 0) > 0.25 - 1e-9


@given(values=sums, right=st.sampled_from("ABCD"))
def test_endings_of_one_length_are_ranked_as_their_sums(values: list[float], right: str):
    given = verdicts(endings(*values), answer=right, extra={f"ending {letter}": "same" for letter in "ABCD"})
    assert given["ending"] == given["ending_raw"]
