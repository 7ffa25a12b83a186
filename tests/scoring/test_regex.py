import random
import time
from typing import Any

import pytest
from tests.helpers import text_code

from llm_jepa.records import Prediction
from llm_jepa.scoring.regex import RegexScorer, equivalent
from llm_jepa.scoring.scorer import average

# One, the other, whether they accept the same strings.
PAIRS = [
    # spelling
    (r"dog", r"(dog)", True),
    (r"dog", r"((d)(o))g", True),
    (r"dog", r"\d\o\g", True),
    (r"dog", r"Dog", False),
    (r"dog", r"dogdog", False),
    (r"a b", r"ab", False),
    (r"\.", r".", False),
    (r"\*", r"[*]", True),
    ("naïve", "nai\u0308ve", False),
    (r"()", r"(a){0}", True),
    (r"()", r"a*", False),
    # union
    (r"(dog)|(.)", r"(.)|(dog)", True),
    (r"(dog)|(dog)", r"dog", True),
    (r"a|b|c", r"[a-c]", True),
    (r"ab|ac", r"a(b|c)", True),
    (r"ab|c", r"a(b|c)", False),
    (r"(truck)|([a-z])", r"(truck)|([A-Z])", False),
    # classes
    (r"[A-Za-z]", r"[a-zA-Z]", True),
    (r"[A-Za-z]", r"[A-Z]|[a-z]", True),
    (r"[AEIOUaeiou]", r"[uoieaUOIEA]", True),
    (r"[AEIOUaeiou]", r"[aeiou]", False),
    (r"[0-9]", r"[0123456789]", True),
    (r"[0-9]", r"[1-9]", False),
    (r"[^a]", r"(~a)&.", True),
    (r"[^a]", r"~a", False),
    (r"[a-]", r"a|-", True),
    (r"[]a]", r"\]|a", True),
    # repetition
    (r"a+", r"aa*", True),
    (r"a+", r"a*", False),
    (r"(a*)*", r"a*", True),
    (r"a?", r"a|()", True),
    (r"(a){3,}", r"aaaa*", True),
    (r"(a){3,}", r"(a){4,}", False),
    (r"a{2}", r"aa", True),
    (r"a{2,4}", r"aa|aaa|aaaa", True),
    (r"a{2,4}", r"a{2,5}", False),
    (r"a{0,}", r"a*", True),
    (r"ab*", r"(ab)*", False),
    (r"(.*)([0-9])", r".*[0-9]", True),
    (r"(.*dog.*){2,}", r".*dog.*dog.*", True),
    (r"(.*dog.*){2,}", r".*dog.*", False),
    (r".*.*.*", r".*", True),
    (r"(.){7,}", r"(.){6,}", False),
    (r".*(a|b).*", r"(.*a.*)|(.*b.*)", True),
    # intersection
    (r"(.*a.*)&(.*b.*)", r"(.*b.*)&(.*a.*)", True),
    (r"(.*a.*)&(.*b.*)", r".*(a.*b|b.*a).*", True),
    (r"(.*a.*)&(.*b.*)", r".*a.*b.*", False),
    (r"([a-z])&([AEIOUaeiou])", r"[aeiou]", True),
    (r"([0-9])&(dog)", r"([A-Z])&(truck)", True),  # both accept nothing
    (r"([0-9])&(dog)", r"()", False),
    (r"a|b&c", r"a", True),  # & before |
    (r"(a|b)&b", r"b", True),
    (r"ab&a.", r"ab", True),  # concatenation before &
    # complement
    (r"~(~(dog))", r"dog", True),
    (r"~((a)|(b))", r"(~(a))&(~(b))", True),
    (r"~((a)&(b))", r"(~(a))|(~(b))", True),
    (r"~(.*)", r"a&b", True),
    (r"~(.*dog.*)", r"~(dog)", False),
    (r"~(dog)", r"dog", False),
    (r"~a*", r"(~(a))*", True),  # ~ before *
    (r"~a*", r"~(a*)", False),
    (r"~ab", r"(~(a))b", True),
    (r".|~(.)", r".*", True),
    # the mark
    (r"\b(dog)\b", r"\bdog\b", True),
    (r"\b(dog)\b", r"dog", False),
    (r"\b(dog)\b", r"(dog)\b", False),
    (r"\b(dog)\b", r"b(dog)b", False),  # dk.brics.automaton reads the letter
    (r"[a-z]|\b", r"[a-z]", False),
    (r".|\b", r".", True),
    (r"\b([0-9])&(.)|(dog)\b", r"(dog)\b", True),
    (r"\b(a|b)\b", r"\ba\b|\bb\b", True),
    # whitespace at the ends
    (r"(dog)", " dog\n", True),
]


@pytest.mark.parametrize(("one", "other", "same"), PAIRS)
def test_whether_two_expressions_accept_the_same_strings_whichever_comes_first(one: str, other: str, same: bool):
    assert (equivalent(one, other), equivalent(other, one)) == (same, same)


BROKEN = ["", " ", "(dog", "dog)", "(", ")", "*", "a||b", "a|", "|a", "&a", "a&", "(|a)", "~", "a~", "~*", "+a", "[", "[]"]
BROKEN += [
    "[^]",
    "[a",
    "[a-",
    "[z-a]",
    "\\",
    "[\\",
    "a{",
    "a{}",
    "a{,2}",
    "a{5,2}",
    "a{x}",
    "a{1,2",
    "{2}",
    "a{99999999999}",
]
BROKEN += ["a{٣}", "(dog).*)", "(*)"]


@pytest.mark.parametrize("text", BROKEN)
def test_a_generated_text_that_is_no_expression_is_wrong(text: str):
    assert equivalent("dog", text) is False


@pytest.mark.parametrize("text", BROKEN)
def test_an_expected_text_that_is_no_expression_says_nothing(text: str):
    assert equivalent(text, "dog") is None


def test_equal_texts_are_equivalent_without_being_read():
    assert equivalent("(dog", " (dog\n", seconds=0.0) is True


HOSTILE = {
    "deep": "(" * 10_000 + "a" + ")" * 10_000,
    "deep and never closed": "(" * 10_000,
    "stars in stars": "(" * 2_000 + "a" + ")*" * 2_000,
    "complements in complements": "~(" * 10_000 + "a" + ")" * 10_000,
    "a billion": "a{1,1000000000}",
    "a billion of nothing": "(){1000000000}",
    "a billion of what cannot be": "(a&b){1000000000}",
    "more digits than an int may have": "a{" + "9" * 10_000 + "}",
    "powers": "((((a{9}){9}){9}){9}){9}",
    "a huge union": "|".join(f"w{index}" for index in range(20_000)),
    "exponential": ".*a" + "." * 30,
    "exponential under complement": "~(.*a.{20})",
    "exponential product": "&".join(f"(.*{letter}.*)" for letter in "abcdefghijklmnopqrst"),
    "every character another": "".join(chr(0x4E00 + index) for index in range(20_000)),
    "classes in classes": "".join(f"[ -{chr(0x100 + index)}]" for index in range(900)),
    "a class of many": "[" + "".join(chr(0x100 + index) for index in range(0, 60_000, 2)) + "]",
    "a megabyte": "a" * 1_000_000,
    "a megabyte of brackets": "[" * 1_000_000,
    "a megabyte of dogs": ".*(dog).*" * 110_000,
    "a lone surrogate": "\ud800\x00",
    "emoji": "🐕+",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_text_is_wrong_or_given_up_in_time(text: str):
    start = time.perf_counter()
    found = equivalent("(dog).*([0-9]).*", text, seconds=0.2)
    assert time.perf_counter() - start < 4.0
    assert found is not True  # none means the same; a slow machine gives up where a fast one does not


@pytest.mark.parametrize("name", ["deep", "deep and never closed", "a class of many", "a lone surrogate", "emoji"])
def test_a_text_that_only_looks_hostile_is_judged(name: str):
    assert equivalent("(dog).*([0-9]).*", HOSTILE[name], seconds=60.0) is False


def test_a_hostile_expectation_is_given_up_in_time_too():
    start = time.perf_counter()
    assert equivalent(".*a" + "." * 30, "dog", seconds=0.2) is None
    assert time.perf_counter() - start < 4.0


def test_without_time_nothing_is_known():
    assert equivalent("(dog)+", "(dog)*", seconds=0.0) is None


def golds(real_rows: Any, name: str, count: int) -> list[str]:
    return [row["messages"][-1]["content"] for row in real_rows(name, count)]


@pytest.mark.parametrize("name", ["nl_rx_synth_test", "nl_rx_turk_test"])
def test_every_gold_is_the_complement_of_its_complement(real_rows: Any, name: str):
    # Another text for the same language, so that nothing is decided by comparing texts.
    found = [equivalent(gold, f"~(~({gold}))", seconds=60.0) for gold in golds(real_rows, name, 100)]
    assert found == [True] * 100


def test_no_gold_is_its_own_complement(real_rows: Any):
    found = [equivalent(gold, f"~({gold})", seconds=60.0) for gold in golds(real_rows, "nl_rx_synth_train", 80)]
    assert found == [False] * 80


def test_golds_of_other_examples_are_seldom_equivalent(real_rows: Any):
    expected = golds(real_rows, "nl_rx_synth_test", 500)
    generated = random.Random(0).sample(expected, len(expected))
    found = [equivalent(one, other) for one, other in zip(expected, generated, strict=True)]
    assert found.count(None) == 0
    assert 0.01 < found.count(True) / len(found) < 0.05  # about 2.8 %: most of them accept no string at all


def verdicts(expected: str, generated: str, *, stopped: bool = True, seconds: float = 2.0) -> dict[str, float | None]:
    prediction = Prediction(name="a", prompt="p", expected=expected, generated=generated, stopped=stopped, tokens=4)
    return dict(RegexScorer(seconds=seconds)(text_code(), prediction))


# expected, generated, exact, equivalent, prefix
VERDICTS = [
    ("(dog)|(.)", "(dog)|(.)", 1.0, 1.0, 1.0),
    ("(dog)|(.)", " (dog)|(.)\n", 1.0, 1.0, 1.0),
    ("(dog)|(.)", "(.)|(dog)", 0.0, 1.0, 0.0),
    ("(dog)", "(dog)(dog)", 0.0, 0.0, 1.0),
    ("(dog)", "(dog", 0.0, 0.0, 0.0),
    ("(dog)", "", 0.0, 0.0, 0.0),
    ("(dog", "(dog)", 0.0, None, 1.0),
    ("(dog", "(dog", 1.0, 1.0, 1.0),
    ("", "(dog)", 0.0, None, None),
    ("", "", 1.0, 1.0, None),
]


@pytest.mark.parametrize(("expected", "generated", "exact", "same", "prefix"), VERDICTS)
def test_the_scorer_gives_a_verdict_by_text_and_by_language(
    expected: str, generated: str, exact: float, same: float | None, prefix: float | None
):
    assert verdicts(expected, generated) == {"exact": exact, "equivalent": same, "prefix": prefix, "stopped": 1.0}


def test_the_scorer_tells_whether_the_model_stopped():
    assert verdicts("a", "a", stopped=False)["stopped"] == 0.0


def test_the_measures_are_named_as_the_verdicts_and_exact_match_comes_first():
    names = [measure.name for measure in RegexScorer().measures]
    assert names == ["exact", "equivalent", "prefix", "stopped"] == list(verdicts("a", "a"))


def test_a_pair_that_is_not_decided_in_time_is_left_out_and_counted():
    found = [verdicts("a|b", "b|a"), verdicts("a|b", "[ab]+"), verdicts("a|b", ".*a" + "." * 30, seconds=0.1)]
    measure = RegexScorer().measures[1]
    summary = average(measure, found)
    assert (summary.value, summary.counted, summary.excluded) == (0.5, 2, 1)
