"""The two public calls, and the statistics of a full run beside the released NL-RX-Synth."""

import gzip
import json
import math
import random
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import NormalDist, fmean, variance

import pytest

from llm_jepa.errors import UserError
from llm_jepa.records import Message, View
from llm_jepa.tasks import nl_regex
from llm_jepa.tasks.nl_regex import Pair, Splits, generate, splits

RELEASE = Path(__file__).parents[2] / ".." / "shared" / "data" / "nl_rx_original.jsonl.gz"
DISTINCT = 9_863  # sentences of the release, its 137 exact duplicates left out


@pytest.fixture(scope="module")
def full() -> Splits:
    return splits(train=8_000, validation=863, test=1_000, seed=0)


@pytest.fixture(scope="module")
def pairs(full: Splits) -> list[Pair]:
    examples = (*full.train, *full.validation, *full.test)
    return [Pair(text=example.messages[1].content, regex=example.answer) for example in examples]


@pytest.fixture(scope="module")
def release() -> list[Pair]:
    if not RELEASE.exists():
        pytest.skip(f"the released NL-RX-Synth is not at {RELEASE}")
    with gzip.open(RELEASE, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    assert len(rows) == 10_000
    distinct = {row["synth"]: Pair(text=row["synth"], regex=row["regex"]) for row in rows}
    assert len(distinct) == DISTINCT
    return list(distinct.values())


# What each call returns


def test_a_small_request_is_the_beginning_of_a_large_one_with_the_same_seed(pairs: list[Pair]) -> None:
    assert generate(count=1_200, seed=0) == pairs[:1_200]


def test_the_first_pairs_of_a_seed_stay_what_they_are(pairs: list[Pair]) -> None:
    assert pairs[:2] == [
        Pair(
            text="lines with the string 'dog' before a number followed by a lower-case letter",
            regex="(dog).*([0-9].*[a-z].*).*",
        ),
        Pair(text="lines ending with a number or the string 'dog', 3 or more times", regex="(((.*)([0-9]))|(dog)){3,}"),
    ]


def test_no_sentence_occurs_twice_within_or_across_splits_even_up_to_case_and_spaces(full: Splits) -> None:
    texts = [example.views[0].content for split in (full.train, full.validation, full.test) for example in split]
    assert len(texts) == DISTINCT
    assert len({" ".join(text.lower().split()) for text in texts}) == DISTINCT


def test_every_sentence_starts_with_lines_and_has_no_leftovers(pairs: list[Pair]) -> None:
    for pair in pairs:
        assert pair.text.startswith("lines ")
        assert pair.text == " ".join(pair.text.lower().split())
        assert "filler" not in pair.text
        assert "WORD" not in pair.regex


def test_an_example_has_the_instruction_the_sentence_the_regex_and_two_views(full: Splits, pairs: list[Pair]) -> None:
    assert [len(full.train), len(full.validation), len(full.test)] == [8_000, 863, 1_000]
    example = full.validation[16]
    text, regex = pairs[8_016].text, pairs[8_016].regex
    assert example.name == "nl_regex/validation:17"
    assert example.messages == (
        Message(role="system", content="Convert natural language to regular expression."),
        Message(role="user", content=text),
        Message(role="assistant", content=regex),
    )
    assert example.views == (
        View(content=text, role="user", message=1),
        View(content=regex, role="assistant", message=2),
    )


@pytest.fixture
def short_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nl_regex, "_PASSES", (nl_regex._Pass(depth=2, size=5, draws=500),))


@pytest.mark.usefixtures("short_run")
def test_the_seed_fixes_the_pairs_and_the_global_generator_is_left_alone() -> None:
    before = random.getstate()
    first = generate(count=50, seed=3)
    assert random.getstate() == before
    random.seed(99)
    assert generate(count=50, seed=3) == first
    assert generate(count=50, seed=4) != first


@pytest.mark.usefixtures("short_run")
def test_asking_for_nothing_gives_nothing() -> None:
    assert generate(count=0, seed=0) == []
    assert splits(train=0, validation=0, test=0, seed=0) == Splits(train=(), validation=(), test=())


@pytest.mark.usefixtures("short_run")
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: generate(count=-1, seed=0), "count is -1"),
        (lambda: splits(train=-2, validation=5, test=5, seed=0), "train is -2"),
        (lambda: splits(train=5, validation=-3, test=5, seed=0), "validation is -3"),
        (lambda: splits(train=5, validation=5, test=-4, seed=0), "test is -4"),
        (lambda: generate(count=501, seed=7), r"501 sentences are more than the \d+ .* with seed 7"),
        (lambda: splits(train=400, validation=60, test=41, seed=7), "501 sentences are more than"),
    ],
)
def test_counts_that_cannot_be_met_are_user_errors(call: Callable[[], object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        call()


# Statistics: a full run beside the release. A sentence of both cancels, so only those of one side are compared.


def has(pattern: str) -> Callable[[Pair], bool]:
    return lambda pair: re.search(pattern, pair.text) is not None


def has_in_regex(pattern: str) -> Callable[[Pair], bool]:
    return lambda pair: re.search(pattern, pair.regex) is not None


def joins(pair: Pair, sign: str) -> int:
    """Two joined by or/and have one sign, three have two; each of these nodes occurs at most once in a tree."""
    return pair.regex.count(f"){sign}(")


def literals(pair: Pair) -> int:
    return len(re.findall(r"'\w+'", pair.text))


def parenthesis_depth(pair: Pair) -> int:
    depth = deepest = 0
    for character in pair.regex:
        depth += (character == "(") - (character == ")")
        deepest = max(deepest, depth)
    return deepest


COUNTS: dict[str, Callable[[Pair], bool]] = {
    "number": has("number"),
    "capital": has("capital"),
    "lower": has("lower-case"),
    "letter": has("a letter"),
    "vowel": has("vowel"),
    "character": has("character"),
    "word": has("string"),
    "contains": has("contain(ing)? (?!only)"),
    "words": has_in_regex(r"\\b"),
    "starts": has("starting"),
    "ends": has("ending"),
    "followed-by": has("followed by"),
    "one-or-more": has("at least once"),
    "n-or-more": has(r"\d or more"),
    "zero-or-more": has("zero or more"),
    "only": has("only"),
    "or": lambda pair: joins(pair, "|") % 2 == 1,
    "and": lambda pair: joins(pair, "&") % 2 == 1,
    "or3": lambda pair: joins(pair, "|") >= 2,
    "and3": lambda pair: joins(pair, "&") >= 2,
    "not": has_in_regex("~"),
    "before": has(" before "),
    **{f"{n} literals": lambda pair, n=n: literals(pair) == n for n in range(5)},
    **{f"parenthesis depth {n}": lambda pair, n=n: parenthesis_depth(pair) == n for n in range(4)},
}
LENGTHS: dict[str, Callable[[Pair], int]] = {
    "words": lambda pair: len(pair.text.split()),
    "characters": lambda pair: len(pair.text),
    "regex characters": lambda pair: len(pair.regex),
}
# One chance in a hundred that any of the statistics of two equal sources is beyond it.
BOUND = NormalDist().inv_cdf(1 - 0.01 / 2 / (len(COUNTS) + len(LENGTHS)))


@pytest.mark.parametrize("name", COUNTS)
def test_each_count_is_that_of_the_release_up_to_sampling_noise(name: str, pairs: list[Pair], release: list[Pair]) -> None:
    ours, theirs = ({pair.text for pair in side if COUNTS[name](pair)} for side in (pairs, release))
    only_ours, only_theirs = len(ours - theirs), len(theirs - ours)
    assert abs(only_ours - only_theirs) <= BOUND * math.sqrt(only_ours + only_theirs)


@pytest.mark.parametrize("name", LENGTHS)
def test_mean_lengths_are_those_of_the_release_up_to_sampling_noise(
    name: str, pairs: list[Pair], release: list[Pair]
) -> None:
    ours, theirs = ([LENGTHS[name](pair) for pair in side] for side in (pairs, release))
    noise = math.sqrt((variance(ours) + variance(theirs)) / DISTINCT)
    assert abs(fmean(ours) - fmean(theirs)) <= BOUND * noise


@pytest.mark.parametrize(
    ("name", "of_release", "lowest", "highest"),  # the last two: of the longest over ten other seeds
    [("words", 21, 21, 22), ("characters", 125, 118, 133), ("regex characters", 54, 53, 54)],
)
def test_the_longest_are_as_long_as_those_of_the_release(
    name: str, of_release: int, lowest: int, highest: int, pairs: list[Pair], release: list[Pair]
) -> None:
    assert max(map(LENGTHS[name], release)) == of_release
    assert lowest <= max(map(LENGTHS[name], pairs)) <= highest


def test_the_release_shares_as_many_sentences_with_a_run_as_another_run_does(pairs: list[Pair], release: list[Pair]) -> None:
    def shared(side: Iterable[Pair]) -> float:
        return len({pair.text for pair in side} & ours) / DISTINCT

    ours = {pair.text for pair in pairs}
    with_release, with_other_run = shared(release), shared(generate(count=DISTINCT, seed=1))
    noise = math.sqrt((with_release * (1 - with_release) + with_other_run * (1 - with_other_run)) / DISTINCT)
    assert abs(with_release - with_other_run) <= BOUND * noise
    assert with_release > 0.55
