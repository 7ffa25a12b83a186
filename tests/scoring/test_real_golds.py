"""The scorers on whole real test files: right answers give 100 %, and answers of other rows give chance.

Chance is computed from the data without the scorers: the mean over all pairs of rows, of which a shuffle draws one per row.
The share of right rows scatters over shuffles about as over as many independent draws, with a standard deviation of
sqrt(chance (1 - chance) / draws). The seeds are fixed, so a result never varies; it must be within three deviations.
"""

import math
import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

import pytest

from llm_jepa.records import Example, Prediction
from llm_jepa.scoring.choice import ChoiceScorer
from llm_jepa.scoring.labels import LabelPrefix
from llm_jepa.scoring.numbers import FinalNumber, final_answer
from llm_jepa.scoring.references import AnyReference
from llm_jepa.scoring.scorer import Average, Scorer, average
from llm_jepa.scoring.text import TextScorer
from llm_jepa.tasks.columns import Columns, to_example

ROTTEN_TOMATOES = LabelPrefix(labels=("Good", "Bad"))
YELP = LabelPrefix(labels=("Very Good", "Good", "Mediocre", "Bad", "Very Bad"))

Examples: TypeAlias = Callable[[str], list[Example]]


@pytest.fixture(scope="module")
def examples(real_rows) -> Examples:
    """Return a function from the name of a file to all of its examples."""
    read: dict[str, list[Example]] = {}

    def load(name: str) -> list[Example]:
        if name not in read:
            rows = enumerate(real_rows(name, 1_000_000), start=1)
            read[name] = [to_example(row, name=f"{name}:{number}", columns=Columns()) for number, row in rows]
        return read[name]

    return load


def scores(scorer: Scorer, examples: Sequence[Example], outputs: Iterable[str]) -> dict[str, Average]:
    """The measures over all examples, for one output each."""
    verdicts = [
        scorer(example, _prediction(example, generated=output)) for example, output in zip(examples, outputs, strict=True)
    ]
    return {measure.name: average(measure, verdicts) for measure in scorer.measures}


def _prediction(example: Example, *, generated: str, **likelihoods: float) -> Prediction:
    return Prediction(
        name=example.name,
        prompt="",
        expected=example.answer,
        generated=generated,
        stopped=True,
        tokens=1,
        likelihoods={name.replace("_", " "): value for name, value in likelihoods.items()},
    )


SHUFFLES = 20


def shuffled(examples: Sequence[Example]) -> tuple[list[Example], list[str]]:
    """All rows SHUFFLES times over, and their answers, dealt out anew every time."""
    draw = random.Random(82)
    answers = [example.answer for example in examples]
    return [*examples] * SHUFFLES, [answer for _ in range(SHUFFLES) for answer in draw.sample(answers, len(answers))]


def all_of(count: int) -> Average:
    return Average(value=1.0, counted=count, excluded=0)


def none_of(count: int) -> Average:
    return Average(value=0.0, counted=count, excluded=0)


def same_pairs(values: Iterable[str]) -> float:
    """The share of pairs of rows, a row with itself included, that have the same value."""
    counts = Counter(values)
    return sum(count**2 for count in counts.values()) / counts.total() ** 2


def is_chance(found: Average, chance: float) -> bool:
    assert found.value is not None
    return abs(found.value - chance) <= 3 * math.sqrt(chance * (1 - chance) / found.counted)


GENERATED = [
    ("gsm8k_test", FinalNumber(), 1319, ("final_number", "exact", "stopped")),
    ("nq_open_test", AnyReference(), 1769, ("contains", "contains_raw", "stopped")),
    ("rotten_tomatoes_test", ROTTEN_TOMATOES, 1066, ("label", "exact", "valid", "stopped")),
    ("yelp_test", YELP, 2000, ("label", "exact", "valid", "stopped")),
    ("nl_rx_synth_test", TextScorer(), 2000, ("exact", "prefix", "stopped")),
    ("nl_rx_turk_test", TextScorer(), 2000, ("exact", "prefix", "stopped")),
]


@pytest.mark.parametrize(("name", "scorer", "rows", "measures"), GENERATED)
def test_right_answers_are_right_on_every_row(examples: Examples, name: str, scorer: Scorer, rows: int, measures):
    found = examples(name)
    given = scores(scorer, found, [example.answer for example in found])
    assert {measure: given[measure] for measure in measures} == dict.fromkeys(measures, all_of(rows))


@pytest.mark.parametrize(("name", "scorer", "rows", "measures"), GENERATED)
def test_saying_nothing_is_wrong_on_every_row(examples: Examples, name: str, scorer: Scorer, rows: int, measures):
    for output in ("", " \n"):
        given = scores(scorer, examples(name), [output] * rows)
        assert {given[measure] for measure in measures if measure != "stopped"} == {none_of(rows)}


# The shares are the labels' frequencies: 533 of 1,066; 361, 411, 372, 425 and 431 of 2,000.
@pytest.mark.parametrize(
    ("name", "scorer", "shares"),
    [
        ("rotten_tomatoes_test", ROTTEN_TOMATOES, {"Good": 0.5, "Bad": 0.5}),
        (
            "yelp_test",
            YELP,
            {"Very Good": 0.1805, "Good": 0.2055, "Mediocre": 0.186, "Bad": 0.2125, "Very Bad": 0.2155, "Very": 0},
        ),
    ],
)
def test_one_label_for_all_rows_is_right_as_often_as_it_occurs(examples: Examples, name: str, scorer, shares):
    found = examples(name)
    given = {label: scores(scorer, found, [label] * len(found))["label"].value for label in shares}
    assert given == pytest.approx(shares, abs=1e-12)


def gsm8k_value(example: Example) -> str:
    """The gold's last line as plain digits: all of them are integers, some with commas."""
    return example.answer.splitlines()[-1].removeprefix("#### ").replace(",", "")


@pytest.mark.parametrize(
    ("name", "scorer", "measure", "value"),
    [
        ("gsm8k_test", FinalNumber(), "final_number", gsm8k_value),
        ("rotten_tomatoes_test", ROTTEN_TOMATOES, "label", lambda example: example.answer),
        ("yelp_test", YELP, "label", lambda example: example.answer),
        ("nl_rx_synth_test", TextScorer(), "exact", lambda example: example.answer),
        ("nl_rx_turk_test", TextScorer(), "exact", lambda example: example.answer),
    ],
)
def test_answers_of_other_rows_are_right_by_chance(examples: Examples, name: str, scorer: Scorer, measure: str, value):
    found = examples(name)
    given = scores(scorer, *shuffled(found))
    assert is_chance(given[measure], same_pairs(map(value, found)))


@pytest.mark.parametrize("name", ["nl_rx_synth_test", "nl_rx_turk_test"])
def test_regexes_of_other_rows_begin_with_the_right_one_by_chance(examples: Examples, name: str):
    found = examples(name)
    answers = [example.answer for example in found]
    pairs = sum(answer.startswith(right) * count for answer in answers for right, count in Counter(answers).items())
    assert is_chance(scores(TextScorer(), *shuffled(found))["prefix"], pairs / len(answers) ** 2)


def test_every_gsm8k_gold_has_a_final_number_and_thousands_commas_do_not_matter(examples: Examples):
    found = examples("gsm8k_test")
    assert sum("," in (final_answer(example.answer) or "") for example in found) == 14
    plain = [f"#### {int(gsm8k_value(example))}" for example in found]
    assert scores(FinalNumber(), found, plain)["final_number"] == all_of(1319)
    grouped = [f"#### ${int(gsm8k_value(example)):,}.00" for example in found]
    assert scores(FinalNumber(), found, grouped)["final_number"] == all_of(1319)
    off_by_one = [f"#### {int(gsm8k_value(example)) + 1}" for example in found]
    assert scores(FinalNumber(), found, off_by_one)["final_number"] == none_of(1319)


# One row is right by the normalisation: its reference, the broadcaster "E!", is "e" without punctuation.
@pytest.mark.parametrize(("output", "official", "right"), [("", 1.0, []), ("e", 0.7015, ["E!"])])
def test_outputs_that_the_official_test_calls_right_are_wrong(examples: Examples, output: str, official: float, right):
    found = examples("nq_open_test")
    reversed_test = sum(output in example.answer for example in found) / len(found)
    assert reversed_test == pytest.approx(official, abs=5e-5)
    for measure in ("contains", "contains_raw", "exact_reference"):
        verdicts = [AnyReference()(example, _prediction(example, generated=output))[measure] for example in found]
        answers = [example.answer for example, verdict in zip(found, verdicts, strict=True) if verdict != 0.0]
        assert answers == ([] if measure == "contains_raw" else right)


@pytest.mark.parametrize("which", [0, -1])
def test_one_reference_of_every_row_is_an_exact_answer(examples: Examples, which: int):
    found = examples("nq_open_test")
    given = scores(AnyReference(), found, [example.answer.split("; ")[which] for example in found])
    assert given == dict.fromkeys(("contains", "contains_raw", "exact_reference", "stopped"), all_of(1769))


def test_all_references_of_a_row_at_once_are_an_exact_answer_only_where_there_is_one(examples: Examples):
    found = examples("nq_open_test")
    given = scores(AnyReference(), found, [example.answer for example in found])["exact_reference"]
    assert sum("; " not in example.answer for example in found) == 1040
    assert given == Average(value=1040 / 1769, counted=1769, excluded=0)


def words(text: str) -> tuple[str, ...]:
    """The words of a text that count, found by splitting, not by removing."""
    plain = "".join(character for character in text.lower() if not re.match(r"[!-/:-@\[-`{-~]", character))
    return tuple(word for word in plain.split() if word not in ("a", "an", "the"))


def test_nq_open_answers_of_other_rows_are_right_by_chance(examples: Examples):
    found = examples("nq_open_test")
    rows_of: dict[tuple[str, ...], set[int]] = {}
    for row, example in enumerate(found):
        for reference in example.answer.split("; "):
            rows_of.setdefault(words(reference), set()).add(row)
    pairs = 0
    for example in found:
        said = words(example.answer)
        phrases = {said[start:end] for start in range(len(said)) for end in range(start + 1, len(said) + 1)}
        pairs += len(set().union(*(rows_of.get(phrase, set()) for phrase in phrases)))
    assert is_chance(scores(AnyReference(), *shuffled(found))["contains"], pairs / len(found) ** 2)


ENDINGS = re.compile(r"\nA\) (.*)\nB\) (.*)\nC\) (.*)\nD\) (.*)\Z", re.DOTALL)


def chosen(example: Example, letter: str) -> Prediction:
    """A choice of this letter, and of its ending: one nat per character, where the other endings have two."""
    found = ENDINGS.search(example.messages[1].content)
    assert found is not None
    likelihoods: dict[str, float] = {}
    for each, text in zip("ABCD", found.groups(), strict=True):
        right = each == letter
        likelihoods |= {f"letter_{each}": -1.0 if right else -2.0, f"ending_{each}": -len(text) * (1.0 if right else 2.0)}
    return _prediction(example, generated=letter, **likelihoods)


def choices(examples: Sequence[Example], letters: Iterable[str]) -> dict[str, Average]:
    verdicts = []
    for example, letter in zip(examples, letters, strict=True):
        texts = ENDINGS.search(example.messages[1].content)
        assert texts is not None
        extra = {f"ending {each}": text for each, text in zip("ABCD", texts.groups(), strict=True)}
        row = Example(name=example.name, messages=example.messages, extra=extra)
        verdicts.append(ChoiceScorer()(row, chosen(row, letter)))
    return {measure.name: average(measure, verdicts) for measure in ChoiceScorer().measures}


def test_hellaswag_choices_of_the_right_letter_are_right_on_every_row(examples: Examples):
    found = examples("hellaswag_test")
    given = choices(found, [example.answer for example in found])
    assert (given["letter"], given["ending"]) == (all_of(2000), all_of(2000))
    assert given["letter_probability"].value == pytest.approx(1 / (1 + 3 / math.e))
    # Whole sums fail where the right ending is twice as long as another or longer.
    assert (given["ending_raw"].value or 0) < 1


@pytest.mark.parametrize(("letter", "share"), [("A", 0.26), ("B", 0.23), ("C", 0.259), ("D", 0.251)])
def test_one_letter_for_all_rows_is_right_as_often_as_it_occurs(examples: Examples, letter: str, share: float):
    given = choices(examples("hellaswag_test"), [letter] * 2000)
    assert (given["letter"].value, given["ending"].value) == (pytest.approx(share), pytest.approx(share))


def test_hellaswag_choices_of_other_rows_are_right_by_chance(examples: Examples):
    found = examples("hellaswag_test")
    given = choices(*shuffled(found))
    chance = same_pairs(example.answer for example in found)
    assert is_chance(given["letter"], chance)
    assert is_chance(given["ending"], chance)


def test_equal_likelihoods_are_wrong_on_every_row_with_a_probability_of_a_quarter(examples: Examples):
    found = examples("hellaswag_test")
    equal = {f"letter_{letter}": -1.0 for letter in "ABCD"}
    verdicts = [ChoiceScorer()(example, _prediction(example, generated="A", **equal)) for example in found]
    means = [average(measure, verdicts) for measure in ChoiceScorer().measures]
    assert [(mean.value, mean.counted) for mean in means] == [(0.0, 2000), (0.25, 2000), (None, 0), (None, 0)]
