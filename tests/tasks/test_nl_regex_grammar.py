"""Hand-solved trees: how they are printed, cleaned, rejected, dropped and grown."""

import math
import random

import pytest

from llm_jepa.tasks import nl_regex
from llm_jepa.tasks import nl_regex_grammar as g
from llm_jepa.tasks.nl_regex import Pair, Tree


def tree(kind: g.Kind, *children: Tree) -> Tree:
    return kind, children


def root(kind: g.Kind, *children: Tree) -> Tree:
    return tree(g.ROOT, tree(kind, *children))


NUMBER, CAPITAL, LOWER, LETTER, CHARACTER, VOWEL = (tree(kind) for kind in g.CLASSES)
CONTAINS, WORDS, STARTS, ENDS, FOLLOWED_BY = g.FUNCTIONS
STRING = tree(g.WORD)
THREE_TIMES = g.N_OR_MORE[1]


# Rendering


@pytest.mark.parametrize(
    ("top", "english", "regex"),
    [
        (NUMBER, "a number", "[0-9]"),
        (CAPITAL, "a capital letter", "[A-Z]"),
        (LOWER, "a lower-case letter", "[a-z]"),
        (LETTER, "a letter", "[A-Za-z]"),
        (CHARACTER, "a character", "."),
        (VOWEL, "a vowel", "[AEIOUaeiou]"),
        (STRING, "the string 'WORD'", "WORD"),
        (tree(CONTAINS, VOWEL), "containing a vowel", ".*[AEIOUaeiou].*"),
        (tree(WORDS, tree(ENDS, NUMBER)), "words with ending with a number", r"\b(.*)([0-9])\b"),
        (tree(STARTS, LETTER), "starting with a letter", "([A-Za-z])(.*)"),
        (tree(FOLLOWED_BY, LOWER, STRING), "a lower-case letter followed by the string 'WORD'", "[a-z].*WORD.*"),
        (tree(g.ONE_OR_MORE, NUMBER), "a number at least once", "([0-9])+"),
        (tree(THREE_TIMES, NUMBER), "a number, 3 or more times", "([0-9]){3,}"),
        (tree(g.ZERO_OR_MORE, NUMBER), "a number, zero or more times", "([0-9])*"),
        (tree(g.ONLY, CAPITAL), "containing only a capital letter", "[A-Z]"),
        (tree(g.OR, NUMBER, LETTER), "a number or a letter", "([0-9])|([A-Za-z])"),
        (tree(g.AND, NUMBER, LETTER), "a number and a letter", "([0-9])&([A-Za-z])"),
        (tree(g.NOT, CHARACTER), "not a character", "~(.)"),
        (tree(g.BEFORE, NUMBER, LETTER), "a number before a letter", "([0-9]).*([A-Za-z]).*"),
        (
            tree(g.AND3, NUMBER, LOWER, VOWEL),
            "<and3filler> a number, a lower-case letter, and a vowel",
            "([0-9])&([a-z])&([AEIOUaeiou])",
        ),
        (
            tree(g.OR3, NUMBER, LOWER, VOWEL),
            "either a number, a lower-case letter, or a vowel",
            "([0-9])|([a-z])|([AEIOUaeiou])",
        ),
        (
            tree(g.NOT, tree(CONTAINS, tree(g.AND, NUMBER, VOWEL))),
            "not containing a number and not a vowel",
            "~(.*([0-9])&([AEIOUaeiou]).*)",
        ),
        (
            tree(g.NOT, tree(g.AND3, NUMBER, LOWER, VOWEL)),
            "not a number, not a lower-case letter, and not a vowel",
            "~(([0-9])&([a-z])&([AEIOUaeiou]))",
        ),
        (
            tree(g.NOT, tree(g.OR3, NUMBER, LOWER, VOWEL)),
            "not a number, a lower-case letter, or a vowel",
            "~(([0-9])|([a-z])|([AEIOUaeiou]))",
        ),
        (tree(g.AND, tree(g.NOT, NUMBER), VOWEL), "not a number and a vowel", "(~([0-9]))&([AEIOUaeiou])"),
    ],
)
def test_each_kind_of_node_is_printed_as_english_and_as_regex(top: Tree, english: str, regex: str) -> None:
    assert nl_regex._english(top) == english
    assert nl_regex._regex(top) == regex


@pytest.mark.parametrize(
    ("whole", "text", "regex"),
    [
        (root(g.BEFORE, NUMBER, STRING), "lines with a number before the string 'dog'", "([0-9]).*(dog).*"),
        (root(FOLLOWED_BY, STRING, STRING), "lines with the string 'dog' followed by the string 'truck'", "dog.*truck.*"),
        (root(g.NOT, VOWEL), "lines not having a vowel", "~([AEIOUaeiou])"),
        (root(g.NOT, STRING), "lines not having the string 'dog'", "~(dog)"),
        (root(CONTAINS, tree(g.NOT, NUMBER)), "lines not containing a number", ".*~([0-9]).*"),
        (root(WORDS, tree(STARTS, NUMBER)), "lines with words with starting with a number", r"\b([0-9])(.*)\b"),
        (root(WORDS, tree(CONTAINS, NUMBER)), "lines with words that contain a number", r"\b.*[0-9].*\b"),
        (root(WORDS, tree(g.NOT, NUMBER)), "lines with words that don't have a number", r"\b~([0-9])\b"),
        (root(WORDS, tree(g.NOT, STRING)), "lines with words that don't the string 'dog'", r"\b~(dog)\b"),
        (
            root(g.BEFORE, tree(g.OR3, STRING, NUMBER, VOWEL), CAPITAL),
            "lines having either the string 'dog', a number, or a vowel before a capital letter",
            "((dog)|([0-9])|([AEIOUaeiou])).*([A-Z]).*",
        ),
        (
            root(CONTAINS, tree(g.AND3, STRING, NUMBER, STRING)),
            "lines containing the string 'dog', a number, and the string 'truck'",
            ".*(dog)&([0-9])&(truck).*",
        ),
        (
            root(g.BEFORE, tree(g.AND3, STRING, STRING, STRING), tree(g.OR, STRING, NUMBER)),
            "lines having the string 'dog', the string 'truck', and the string 'ring' before the string 'lake' or a number",
            "((dog)&(truck)&(ring)).*((lake)|([0-9])).*",
        ),
    ],
)
def test_a_sentence_is_cleaned_and_its_strings_are_named_from_left_to_right(whole: Tree, text: str, regex: str) -> None:
    assert nl_regex._pair(whole) == Pair(text=text, regex=regex)


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("lines having containing a number", "lines containing a number"),
        ("a number having before a letter", "a number before a letter"),
        ("lines having starting with a letter", "lines starting with a letter"),
        ("lines having ending with a letter", "lines ending with a letter"),
        ("lines having not a letter", "lines not having a letter"),
        ("lines having having a letter", "lines having a letter"),
        ("words with having a letter", "words with a letter"),
        ("lines not not a number", "lines not a number"),
        ("lines containing having not a number", "lines not containing a number"),  # three replacements, in their order
    ],
)
def test_clean_up_that_no_tree_can_need_follows_the_table_too(raw: str, clean: str) -> None:
    assert nl_regex._clean(raw) == clean


# Rejection: each rejected tree beside one that differs in nothing but the rule


@pytest.mark.parametrize(
    ("rejected", "kept"),
    [
        (root(g.BEFORE, NUMBER, NUMBER), root(g.BEFORE, NUMBER, VOWEL)),
        (root(CONTAINS, tree(CONTAINS, NUMBER)), root(CONTAINS, tree(g.NOT, NUMBER))),
        (
            root(g.BEFORE, tree(g.AND3, STRING, STRING, STRING), tree(g.OR, STRING, STRING)),
            root(g.BEFORE, tree(g.AND3, STRING, STRING, STRING), tree(g.OR, STRING, VOWEL)),
        ),
        (
            root(g.BEFORE, tree(g.ONE_OR_MORE, NUMBER), tree(THREE_TIMES, VOWEL)),
            root(g.BEFORE, tree(g.ONE_OR_MORE, NUMBER), tree(g.NOT, VOWEL)),
        ),
        (
            root(g.NOT, tree(g.OR, tree(g.ONE_OR_MORE, NUMBER), tree(g.ZERO_OR_MORE, VOWEL))),
            root(g.NOT, tree(g.OR, tree(g.ONE_OR_MORE, NUMBER), tree(g.ONLY, VOWEL))),
        ),
        (root(THREE_TIMES, tree(g.N_OR_MORE[0], NUMBER)), root(THREE_TIMES, tree(STARTS, NUMBER))),
        (root(g.OR, NUMBER, tree(CONTAINS, VOWEL)), root(g.BEFORE, NUMBER, tree(CONTAINS, VOWEL))),
        (root(g.AND, tree(CONTAINS, VOWEL), STRING), root(g.AND, tree(CONTAINS, VOWEL), tree(ENDS, STRING))),
        (root(g.OR3, NUMBER, VOWEL, STRING), root(CONTAINS, tree(g.OR3, NUMBER, VOWEL, STRING))),
        (root(g.AND3, NUMBER, VOWEL, STRING), root(CONTAINS, tree(g.AND3, NUMBER, VOWEL, STRING))),
        (root(CONTAINS, tree(g.ONLY, NUMBER)), root(g.NOT, tree(g.ONLY, NUMBER))),
        (root(CONTAINS, tree(g.ONLY, NUMBER)), root(CONTAINS, tree(g.NOT, tree(g.ONLY, NUMBER)))),
    ],
)
def test_a_tree_is_rejected_by_its_shape(rejected: Tree, kept: Tree) -> None:
    assert nl_regex._pair(rejected) is None
    assert nl_regex._pair(kept) is not None


@pytest.mark.parametrize(
    ("whole", "phrase"),
    [
        (root(g.BEFORE, CAPITAL, LETTER), "letter before a letter"),
        (root(STARTS, tree(ENDS, NUMBER)), "starting with ending"),
        (root(ENDS, tree(STARTS, NUMBER)), "ending with starting"),
        (root(CONTAINS, tree(STARTS, NUMBER)), "containing starting"),
        (root(g.BEFORE, NUMBER, tree(STARTS, VOWEL)), "before starting"),
        (root(STARTS, tree(CONTAINS, NUMBER)), "starting with containing"),
    ],
)
def test_a_sentence_is_rejected_for_one_clumsy_phrase(whole: Tree, phrase: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert nl_regex._pair(whole) is None
    monkeypatch.setattr(g, "CLUMSY", tuple(other for other in g.CLUMSY if other != phrase))
    pair = nl_regex._pair(whole)
    assert pair is not None
    assert phrase in pair.text


def share_not_dropped(whole: Tree, limits: nl_regex._Pass) -> float:
    rng = random.Random(5)
    return sum(not nl_regex._is_dropped(rng, limits, whole) for _ in range(4_000)) / 4_000


def noise(share: float) -> float:
    return 3.5 * math.sqrt(share * (1 - share) / 4_000)


@pytest.mark.parametrize(
    ("whole", "share"),
    [
        (root(CONTAINS, NUMBER), 1),
        (root(CONTAINS, tree(g.AND3, NUMBER, VOWEL, STRING)), 1 / 2),
        (root(CONTAINS, tree(g.OR3, NUMBER, VOWEL, STRING)), 1 / 2),
    ],
)
def test_half_of_the_draws_with_three_joined_literals_are_dropped(whole: Tree, share: float) -> None:
    nothing_can_fail = nl_regex._PASSES[0]
    assert share_not_dropped(whole, nothing_can_fail) == pytest.approx(share, abs=noise(share))


@pytest.mark.parametrize(
    ("whole", "share"),
    [
        (root(WORDS, tree(CONTAINS, NUMBER)), 14 / 15),
        (root(CONTAINS, NUMBER), 24 / 25),
        (root(STARTS, NUMBER), 19 / 20),
        (root(FOLLOWED_BY, NUMBER, VOWEL), 1),
    ],
)
def test_draws_are_dropped_when_the_second_growth_fails(whole: Tree, share: float) -> None:
    # In the second pass the child of the top node may be "words with", one of its slot's entries, and that cannot grow.
    assert share_not_dropped(whole, nl_regex._PASSES[1]) == pytest.approx(share, abs=noise(share))


# Growing


@pytest.mark.parametrize(
    ("limits", "place", "may_grow"),
    [
        (nl_regex._Pass(depth=2, size=5, draws=1), {"depth": 1, "size": 4, "forks": 1}, True),
        (nl_regex._Pass(depth=2, size=5, draws=1), {"depth": 2, "size": 4, "forks": 1}, False),
        (nl_regex._Pass(depth=2, size=5, draws=1), {"depth": 1, "size": 5, "forks": 1}, False),
        (nl_regex._Pass(depth=2, size=5, draws=1), {"depth": 1, "size": 4, "forks": 2}, False),
    ],
)
def test_a_child_has_slots_only_within_depth_size_and_forks(
    limits: nl_regex._Pass, place: dict[str, int], may_grow: bool
) -> None:
    rng = random.Random(1)
    grown = [nl_regex._grow(rng, limits, g.NOT, **place) for _ in range(300)]
    names = {whole[1][0][0].name for whole in grown if whole is not None}
    literals = {"number", "capital", "lower", "letter", "vowel", "character", "word"}
    assert names > literals if may_grow else names == literals
    assert (nl_regex._grow(rng, limits, WORDS, **place) is None) is not may_grow


def test_slots_weigh_their_entries_as_the_generator_does() -> None:
    def weights(slot: str) -> dict[str, float]:
        names = [kind.name for kind in g.INNER[slot]]
        return {name: names.count(name) / len(names) for name in names}

    assert weights(g.LITERAL)["word"] == 4 / 10
    assert (len(weights(g.ANY)), weights(g.ANY)["n-or-more"], weights(g.ANY)["word"]) == (22, 1 / 25, 4 / 25)
    assert (len(weights(g.NONLITERAL)), set(weights(g.NONLITERAL).values())) == (15, {1 / 15})
    assert (len(weights(g.SIMPLE)), weights(g.SIMPLE)["n-or-more"], weights(g.SIMPLE)["vowel"]) == (17, 1 / 20, 1 / 20)
