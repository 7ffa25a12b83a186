"""Which final answers are the same number; expected values are written out by hand."""

import time
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_jepa.records import Example, Message, Prediction
from llm_jepa.scoring.numbers import FINAL_NUMBER, FinalNumber, final_answer, read_number
from llm_jepa.scoring.text import EXACT, STOPPED


def verdicts(answer: str, generated: str, *, stopped: bool = True):
    example = Example(name="a", messages=(Message(role="assistant", content=answer),))
    prediction = Prediction(name="a", prompt="p", expected=answer, generated=generated, stopped=stopped, tokens=9)
    return FinalNumber()(example, prediction)


def same(answer: str, generated: str) -> float | None:
    return verdicts(answer, generated)["final_number"]


NUMBERS = [
    ("18", "18"),
    ("18.", "18"),
    ("18.0", "18"),
    ("+18", "18"),
    ("0018", "18"),
    (".5", "0.5"),
    ("-3", "-3"),
    ("−3", "-3"),  # U+2212
    ("–3", "-3"),  # U+2013
    ("- 3", "-3"),
    ("-0", "0"),
    ("1,000", "1000"),
    ("1,234,567.89", "1234567.89"),
    ("1 000", "1000"),
    ("1\u202f000\u202f000", "1000000"),
    ("1{,}000", "1000"),
    ("1\\,000", "1000"),
    ("$18", "18"),
    ("\\$18.50", "18.5"),
    ("-$5", "-5"),
    ("$-5", "-5"),
    ("€ 3", "3"),
    ("3£", "3"),
    ("5%", "5"),
    ("5 \\%", "5"),
    ("**18**", "18"),
    ("_18_", "18"),
    ("`18`", "18"),
    ("(18)", "18"),
    ("$18$", "18"),
    ("\\(18\\)", "18"),
    ("$\\boxed{1,000}$", "1000"),
    ("\\boxed{\\text{18}}", "18"),
    ("18 dollars", "18"),
    ("18eggs a day.", "18"),
    ("18 cm^2", "18"),
    ("18-inch", "18"),
    ("5 kilograms", "5"),
    ("18. That makes 36 in two days.", "18"),
    ("18 18 18", "18"),  # never stops
    ("9" * 40 + ".5", "9" * 40 + ".5"),  # exact, where a float is not
]


@pytest.mark.parametrize(("text", "number"), NUMBERS)
def test_a_number_is_read_in_every_spelling(text: str, number: str):
    assert read_number(text) == Decimal(number)


NO_NUMBERS = [
    "",
    "eighteen",
    "x = 18",
    "Answer: 18",
    "1/2",
    "1 1/2",
    "1½",
    "18²",
    "\\frac{1}{2}",
    "1\\frac{1}{2}",
    "3:30",
    "2 + 2",
    "2 * 9 = 18",
    "2**9",
    "**18** / 2",
    "(18) + (2)",
    "10-12",
    "18 = 18",
    "1e3",
    "10k",
    "10 million",
    "2 dozen",
    "1,00",
    "1,0000",
    "12,34,567",
    "1.000,50",
    "18.0.1",
    "--5",
    "+-5",
    "١٨",  # digits, but not 0 to 9
    "-",
    ".",
    "**",
]


@pytest.mark.parametrize("text", NO_NUMBERS)
def test_half_of_a_number_is_none(text: str):
    assert read_number(text) is None


ANSWERS = [
    ("9 * 2 = 18\n#### 18", "18"),
    ("####18", "18"),
    ("##### 18", "18"),
    ("####\n18", "18"),
    ("#### 18\n#### 19", "18"),  # goes on with another solution
    ("#### 18#### 18#### 18", "18"),
    ("#### 18\r\nQ: How many?", "18"),
    ("#### Step 1\n9 + 9\n#### 18", "18"),  # a heading is passed over
    ("#### blue\n#### red", "blue"),
    ("####  a  day \nor two", "a  day"),
    ("The answer is 18.", None),
    ("\\boxed{18}", None),
    ("### 18", None),
    ("", None),
    ("####", None),
    ("#### \n ", None),
    ("so ####\n\n####", None),
]


@pytest.mark.parametrize(("text", "answer"), ANSWERS)
def test_the_final_answer_follows_the_first_mark_with_a_number(text: str, answer: str | None):
    assert final_answer(text) == answer


GOLD = "There are 9 * 2 = <<9*2=18>>18 eggs.\n#### 18"

# answer, output, final_number
VERDICTS = [
    (GOLD, GOLD, 1.0),
    (GOLD, "Another way.\n#### 18.00", 1.0),
    (GOLD, "#### $18", 1.0),
    (GOLD, "#### **18** eggs", 1.0),
    (GOLD, "#### 18\n#### 20", 1.0),
    (GOLD, "#### 20\n#### 18", 0.0),
    (GOLD, "#### -18", 0.0),
    (GOLD, "#### 180", 0.0),
    (GOLD, "#### 1", 0.0),
    (GOLD, "#### 18.5", 0.0),
    (GOLD, "#### 18/2", 0.0),
    (GOLD, "#### eighteen", 0.0),
    (GOLD, "18", 0.0),  # the mark is part of the answer
    (GOLD, "There are 18 eggs.", 0.0),
    (GOLD, "####", 0.0),
    (GOLD, "", 0.0),
    ("#### 1,000", "#### 1000", 1.0),  # official code: different
    ("#### 1000", "#### 1,000", 1.0),
    ("#### 1,000", "#### 1", 0.0),
    ("#### 0", "####", 0.0),
    ("#### 0", "#### -0.0", 1.0),
    ("#### blue", "#### blue ", 1.0),
    ("#### blue", "#### Blue", 0.0),
    ("#### blue", "#### 18", 0.0),
    ("#### 1/2", "#### 1/2", 1.0),
    ("#### 1/2", "#### 1", 0.0),
    ("18", "18", None),  # official code: None equals None, so right
    ("18", "#### 18", None),
    ("no answer", "", None),
    ("####", "####", None),
]


@pytest.mark.parametrize(("answer", "generated", "value"), VERDICTS)
def test_final_answers_are_compared_as_numbers_or_as_text(answer: str, generated: str, value: float | None):
    assert same(answer, generated) == value


def test_the_final_number_decides_and_the_whole_solution_and_the_stop_rate_stand_beside_it():
    assert FinalNumber().measures == (FINAL_NUMBER, EXACT, STOPPED)
    assert verdicts(GOLD, "#### 18", stopped=False) == {"final_number": 1.0, "exact": 0.0, "stopped": 0.0}
    assert verdicts(GOLD, f"{GOLD}\n") == {"final_number": 1.0, "exact": 1.0, "stopped": 1.0}
    assert verdicts(" ", "a") == {"final_number": None, "exact": None, "stopped": 1.0}


SPELLINGS = (
    "{0}",
    "{0:,}",
    "  {0} ",
    "{0}.",
    "{0}.000",
    "{0:,}.0 dollars",
    "${0:,}",
    "**{0:,}**",
    "{0}%",
    "\\boxed{{{0}}}",
    "{0} eggs a day",
)
integers = st.integers(-(10**15), 10**15)
without_marks = st.text().map(lambda text: text.replace("#", ""))


@pytest.mark.parametrize("spelling", SPELLINGS)
@given(number=integers)
def test_every_spelling_of_an_integer_is_that_integer(spelling: str, number: int):
    written = spelling.format(number)
    assert read_number(written) == number
    assert read_number(written.replace("-", "−")) == number
    assert same(f"#### {number}", f"#### {written}") == same(f"#### {written}", f"#### {number}") == 1.0


@given(one=integers, other=integers)
def test_two_integers_are_the_same_answer_only_when_they_are_equal(one: int, other: int):
    assert same(f"#### {one:,}", f"#### {other}") == float(one == other)


@given(number=st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**9), max_value=10**9))
def test_zeros_behind_a_decimal_change_nothing(number: Decimal):
    assert same(f"#### {number:f}", f"#### {number:f}00") == 1.0


@given(before=without_marks, after=st.text(), number=integers)
def test_steps_before_the_mark_and_lines_behind_it_change_nothing(before: str, after: str, number: int):
    assert final_answer(f"{before}#### {number}\n{after}") == str(number)


@pytest.mark.parametrize("begin", ["", "1", "(", "1,000", "1 ", "(1", "-"])
@pytest.mark.parametrize(
    "again", [" ", "*", "(", "{", ")", "1", "0,000", "1 ", "* ", "( ", "-", "/", "#### ", "\\boxed", "k", "$"]
)
def test_a_long_output_that_repeats_itself_is_read_in_linear_time(begin: str, again: str):
    text = f"#### {begin}{again * 20_000}x"
    start = time.process_time()
    final_answer(text)
    assert time.process_time() - start < 1  # a quadratic search takes several


@given(generated=without_marks)
def test_an_output_without_the_mark_is_never_right(generated: str):
    assert same("#### 18", generated) == 0.0


@given(text=st.text(alphabet="0123456789,. -+$%*/\\{}()#\n abk", max_size=40))
def test_whatever_follows_the_mark_is_read_and_equals_itself(text: str):
    assert same(f"#### {text}", f"#### {text}") in (1.0, None)
