from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_jepa.scoring.regex import equivalent
from llm_jepa.scoring.regex_language import Clock, OutOfTime, same_language
from llm_jepa.scoring.regex_syntax import parse

# An independent reading: a tree is drawn, printed with all its brackets, and matched by walking over the string.
Tree = tuple[Any, ...]


def _trees() -> st.SearchStrategy[Tree]:
    leaves = st.sampled_from([("set", "a"), ("set", "b"), ("set", "ab"), ("any",), ("empty",)])
    bounds = st.sampled_from([(0, None), (1, None), (0, 1), (2, None), (2, 2), (1, 3)])

    def grow(inner: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
        pair = st.tuples(st.sampled_from(["then", "or", "and"]), inner, inner)
        return pair | st.tuples(st.just("not"), inner) | st.tuples(st.just("repeat"), inner, bounds)

    return st.recursive(leaves, grow, max_leaves=6)


def _text(tree: Tree) -> str:
    match tree:
        case ("set", members):
            return f"[{members}]"
        case ("any",):
            return "."
        case ("empty",):
            return "()"
        case ("not", inner):
            return f"~({_text(inner)})"
        case ("repeat", inner, (least, most)):
            return f"({_text(inner)}){{{least},{'' if most is None else most}}}"
        case (kind, left, right):
            return f"({_text(left)}){ {'then': '', 'or': '|', 'and': '&'}[kind] }({_text(right)})"
    raise AssertionError(tree)


@cache
def _accepts(tree: Tree, string: str) -> bool:
    match tree:
        case ("set", members):
            return len(string) == 1 and string in members
        case ("any",):
            return len(string) == 1
        case ("empty",):
            return not string
        case ("not", inner):
            return not _accepts(inner, string)
        case ("repeat", inner, (least, most)):
            return _accepts_repeated(inner, string, least, most)
        case ("or", left, right):
            return _accepts(left, string) or _accepts(right, string)
        case ("and", left, right):
            return _accepts(left, string) and _accepts(right, string)
        case ("then", left, right):
            return any(_accepts(left, string[:cut]) and _accepts(right, string[cut:]) for cut in range(len(string) + 1))
    raise AssertionError(tree)


def _accepts_repeated(inner: Tree, string: str, least: int, most: int | None) -> bool:
    # Ends of n repetitions from the start; more repetitions than characters and `least` together reach no new end.
    ends, reached = {0}, least == 0 and not string
    for count in range(1, (least + len(string) if most is None else most) + 1):
        ends = {end for start in ends for end in range(start, len(string) + 1) if _accepts(inner, string[start:end])}
        reached |= count >= least and len(string) in ends
    return reached


STRINGS = ["", *"abx", "aa", "ab", "ba", "bb", "xa", "ax", "xx", "aab", "aba", "xab", "bbb", "abab", "baxb"]


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(tree=_trees(), string=st.sampled_from(STRINGS))
def test_the_language_holds_just_the_strings_that_an_independent_matcher_accepts(tree: Tree, string: str):
    # A string is in a language just if adding it changes nothing.
    text = _text(tree)
    assert equivalent(text, f"({text})|({string})", seconds=60.0) is _accepts(tree, string)


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(one=_trees(), other=_trees())
def test_the_verdict_is_symmetric_and_true_only_if_no_short_string_tells_the_two_apart(one: Tree, other: Tree):
    verdict = equivalent(_text(one), _text(other), seconds=60.0)
    assert equivalent(_text(other), _text(one), seconds=60.0) is verdict
    if any(_accepts(one, string) != _accepts(other, string) for string in STRINGS):
        assert verdict is False


# What the smallest automaton is made to compare: everything, nothing, and sets that share some characters.
ALPHABETS = [
    ("~(.*)", "a&b", True),  # a set that holds every character leaves none outside
    (".", "[^a]|a", True),
    (".", "[^a]", False),
    ("[a-m]|[g-z]", "[a-z]", True),
    ("[a-m]&[g-z]", "[g-m]", True),
    ("[^a-m]&[^g-z]", "[^a-z]", True),
    ("()", "~(..*)", True),
    ("()", "~(())", False),
]


@pytest.mark.parametrize(("one", "other", "same"), ALPHABETS)
def test_the_common_alphabet_tells_apart_what_the_two_expressions_do(one: str, other: str, same: bool):
    assert same_language(parse(one), parse(other), Clock(60.0)) is same


def test_an_expression_is_compared_with_itself_by_its_automaton():
    tree = parse(r"\b(([AEIOUaeiou])(.*)){2,}\b")
    assert same_language(tree, tree, Clock(60.0)) is True


def test_too_many_characters_are_given_up_at_once():
    tree = parse("|".join(chr(0x4E00 + index) for index in range(1001)))
    with pytest.raises(OutOfTime):
        same_language(tree, parse("a"), Clock(60.0))


def test_the_clock_stops_the_library_in_the_middle_of_a_call():
    # One complement of an automaton of 2 ** 21 states: no operation ends before the limit.
    with pytest.raises(OutOfTime):
        same_language(parse("~(.*a.{20})"), parse("a"), Clock(0.1))
