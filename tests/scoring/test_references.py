"""References in outputs: which are found, and what the official code's reversed test would say."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from llm_jepa.records import Example, Message, Prediction
from llm_jepa.scoring.references import (
    CONTAINS,
    CONTAINS_RAW,
    EXACT_REFERENCE,
    AnyReference,
    contains,
    equals,
    normalise,
    references,
)
from llm_jepa.scoring.text import STOPPED


def verdicts(answer: str, generated: str, *, stopped: bool = True):
    example = Example(name="a", messages=(Message(role="assistant", content=answer),))
    prediction = Prediction(name="a", prompt="p", expected=answer, generated=generated, stopped=stopped, tokens=9)
    return AnyReference()(example, prediction)


NORMAL = [
    ("The Beatles", "beatles"),
    ("a  man, a\tplan\n", "man plan"),
    ("an apple a day", "apple day"),
    ("U.S.A.", "usa"),
    ("1,000", "1000"),
    ("6 geese a-laying", "6 geese alaying"),
    ("October\xa029,\xa01993", "october 29 1993"),
    ('Jo; Josephine "Jo"', "jo josephine jo"),
    ("theatre", "theatre"),  # no article inside a word
    ("Andrée", "andre\u0301e"),
    ("72–41", "72–41"),  # as in the field, only ASCII punctuation goes
    ("/", ""),
    ("The", ""),
    ("?", ""),
    ("", ""),
]


@pytest.mark.parametrize(("text", "normal"), NORMAL)
def test_what_counts_of_a_text(text: str, normal: str):
    assert normalise(text) == normal


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ("Nine", ("Nine",)),
        ("6 geese a-laying; maids a-milking", ("6 geese a-laying", "maids a-milking")),
        ("a;b", ("a;b",)),
        (" a ;  b; ", ("a", "b")),
        ("; ; ", ()),
        (" ", ()),
    ],
)
def test_references_are_joined_with_semicolon_and_space(answer: str, found: tuple[str, ...]):
    assert references(answer) == found


GUY = "actor Guy Henry's; Guy Henry"

# answer, output, contains, contains_raw, exact_reference
VERDICTS = [
    (GUY, "Guy Henry", 1.0, 1.0, 1.0),
    (GUY, "It was Guy Henry, the actor.", 1.0, 1.0, 0.0),
    (GUY, "guy henry", 1.0, 0.0, 1.0),
    (GUY, "Guy Henry; actor Guy Henry's", 1.0, 1.0, 0.0),  # several references are no exact answer
    (GUY, "Guy", 0.0, 0.0, 0.0),  # part of a reference: right in the official code
    (GUY, "y", 0.0, 0.0, 0.0),
    (GUY, "", 0.0, 0.0, 0.0),  # an empty answer: right in the official code
    (GUY, " \n", 0.0, 0.0, 0.0),
    (GUY, "the", 0.0, 0.0, 0.0),  # nothing is left of the output
    (GUY, "Guy's friend Henry", 0.0, 0.0, 0.0),  # the words, but no phrase
    (GUY, "Guy Henryson", 0.0, 1.0, 0.0),  # inside a word
    ("Nine", "nineteen", 0.0, 0.0, 0.0),
    ("Nine", "NINE!", 1.0, 0.0, 1.0),
    ("17", "1700", 0.0, 1.0, 0.0),
    ("17", "In 17 days", 1.0, 1.0, 0.0),
    ("The Rolling Stones", "rolling stones", 1.0, 0.0, 1.0),
    ("Rolling Stones", "Rolling the Stones", 1.0, 0.0, 1.0),  # articles do not count
    ("1,000", "1000 men", 1.0, 0.0, 0.0),
    ("October\xa029,\xa01993; 1993", "October 29, 1993", 1.0, 1.0, 1.0),
    ("Elizabeth Pen\u0303a", "Elizabeth Peña", 1.0, 0.0, 1.0),
    ("Paris", "Paris/London", 0.0, 1.0, 0.0),
    # Nothing is left of these references: they must not be in every output
    ("/", "/", 1.0, 1.0, 1.0),
    ("/", " /\n", 1.0, 1.0, 1.0),
    ("/", "", 0.0, 0.0, 0.0),
    ("/", "the", 0.0, 0.0, 0.0),
    ("/", "?", 0.0, 0.0, 0.0),
    ("/", "either/or", 0.0, 1.0, 0.0),
    ("The", "The answer is 5.", 0.0, 1.0, 0.0),
    ("The", "The", 1.0, 1.0, 1.0),
    ("The; Nine", "nine", 1.0, 0.0, 1.0),
    # No references
    ("; ", "", None, None, None),
    (" ", "Nine", None, None, None),
]


@pytest.mark.parametrize(("answer", "generated", "found", "raw", "exact"), VERDICTS)
def test_an_output_is_right_when_any_reference_is_in_it(answer: str, generated: str, found, raw, exact):
    expected = {"contains": found, "contains_raw": raw, "exact_reference": exact, "stopped": 1.0}
    assert verdicts(answer, generated) == expected


def test_containment_decides_and_three_measures_stand_beside_it():
    assert AnyReference().measures == (CONTAINS, CONTAINS_RAW, EXACT_REFERENCE, STOPPED)
    assert verdicts("Nine", "Nine", stopped=False)["stopped"] == 0.0
    assert verdicts(" ", "Nine", stopped=False)["stopped"] == 0.0


filled = st.text(min_size=1).filter(lambda text: bool(text.strip()))


@given(reference=filled, before=st.text(), after=st.text())
def test_words_around_a_reference_keep_it_found(reference: str, before: str, after: str):
    assume(normalise(reference))
    assert contains(f"{before} {reference} {after}", reference)


@given(reference=filled, before=st.text(), after=st.text())
def test_characters_around_a_reference_keep_it_found_as_written(reference: str, before: str, after: str):
    assume("; " not in reference)
    assert verdicts(reference, f"{before}{reference.strip()}{after}")["contains_raw"] == 1.0


@given(reference=filled)
def test_a_reference_equals_and_contains_itself(reference: str):
    assert equals(reference, reference)
    assert contains(reference, reference)


@given(output=st.text(), reference=filled)
def test_an_exact_answer_contains_its_reference(output: str, reference: str):
    assert equals(output, reference) <= contains(output, reference)


lists = st.lists(st.text(alphabet="bcd 12", min_size=1).filter(str.strip), min_size=1).map("; ".join)


@given(output=st.text(alphabet=" \t\n?.,;\"'()/"), answer=lists)
def test_an_output_without_words_is_never_right(output: str, answer: str):
    assert verdicts(answer, output)["contains"] == 0.0
