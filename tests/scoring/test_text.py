import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_jepa.records import Example, Message, Prediction, View
from llm_jepa.scoring.text import EXACT, PREFIX, STOPPED, TextScorer, exact_match, prefix_match


def prediction(expected: str, generated: str, *, stopped: bool = True, tokens: int = 4) -> Prediction:
    return Prediction(name="a", prompt="p", expected=expected, generated=generated, stopped=stopped, tokens=tokens)


# expected, generated, exact, prefix
VERDICTS = [
    ("(.*dog.*)", "(.*dog.*)", True, True),
    ("(.*dog.*)", "(.*dog.*)(.*dog.*)(.*dog.*)", False, True),  # the paper's "extra" endings: never stopped
    ("(.*dog.*)", "(.*dog.*)\n(.*dog.*)", False, True),
    ("(.*dog.*)", "(.*dog.*", False, False),  # cut short
    ("(.*dog.*)", "The answer is (.*dog.*)", False, False),  # found somewhere is not enough
    ("(.*dog.*)", "(.*Dog.*)", False, False),
    ("(.*dog.*)", "(.* dog.*)", False, False),
    ("(.*dog.*)", " (.*dog.*)\n", True, True),
    (" (.*dog.*)\n", "(.*dog.*)", True, True),
    ("a b ", "a b", True, True),
    ("1000", "10000", False, True),  # the prefix criterion's own weakness
    ("e", "", False, False),  # an empty answer is never right
    ("e", " \n", False, False),
    ("SELECT 1", "SELECT 1;", False, True),
    ("naïve", "nai\u0308ve", False, False),  # code points are compared as they are
    ("(x)[0-9]+.*", "(x)[0-9]+.*", True, True),  # nothing is read as a pattern
    ("a.c", "abc", False, False),
]


@pytest.mark.parametrize(("expected", "generated", "exact", "prefix"), VERDICTS)
def test_verdicts(expected: str, generated: str, exact: bool, prefix: bool):
    assert (exact_match(expected, generated), prefix_match(expected, generated)) == (exact, prefix)


@pytest.mark.parametrize("expected", ["", "  \n"])
def test_an_empty_answer_is_refused_as_a_prefix_because_all_texts_begin_with_it(expected: str):
    with pytest.raises(ValueError, match="expected answer is empty"):
        prefix_match(expected, "anything")


def verdicts(answer: str, generated: str, *, stopped: bool = True):
    example = Example(name="a", messages=(Message(role="assistant", content=answer),))
    return TextScorer()(example, prediction(answer, generated, stopped=stopped))


def test_equality_decides_and_the_prefix_and_the_stop_rate_stand_beside_it():
    assert TextScorer().measures == (EXACT, PREFIX, STOPPED)


@pytest.mark.parametrize(("expected", "generated", "exact", "prefix"), VERDICTS)
def test_the_scorer_gives_the_verdicts_as_numbers(expected: str, generated: str, exact: bool, prefix: bool):
    assert verdicts(expected, generated) == {"exact": float(exact), "prefix": float(prefix), "stopped": 1.0}


@pytest.mark.parametrize("answer", ["", "  \n"])
@pytest.mark.parametrize("generated", ["", "anything"])
def test_an_example_with_a_blank_answer_is_left_out(answer: str, generated: str):
    assert verdicts(answer, generated) == {"exact": None, "prefix": None, "stopped": 1.0}


def test_an_output_that_ran_into_the_token_limit_did_not_stop_and_may_be_right():
    assert verdicts("ab", "ab", stopped=False) == {"exact": 1.0, "prefix": 1.0, "stopped": 0.0}


def test_a_group_of_views_is_scored_against_its_last_view():
    views = tuple(View(content=text, role="") for text in ("first", "last"))
    given = TextScorer()(Example(name="g", messages=(), views=views), prediction("last", "last"))
    assert given == {"exact": 1.0, "prefix": 1.0, "stopped": 1.0}


@given(st.text(), st.text())
def test_an_exact_match_is_a_prefix_match_and_goes_both_ways(expected: str, generated: str):
    assert exact_match(expected, generated) == exact_match(generated, expected)
    if expected.strip():
        assert exact_match(expected, generated) <= prefix_match(expected, generated)


@given(st.text().filter(str.strip), st.text(), st.text(alphabet=" \n\t"))
def test_what_follows_the_answer_spoils_the_exact_match_alone(expected: str, after: str, space: str):
    assert prefix_match(expected, expected.strip() + after)
    assert exact_match(expected, f"{space}{expected}{space}")
    assert exact_match(expected, expected.strip() + after) == (not after.strip())
