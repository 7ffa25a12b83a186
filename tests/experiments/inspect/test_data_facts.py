"""Facts counted from examples, against counts by hand and by another way."""

import statistics

import pytest

from llm_jepa.experiments.inspect.data_facts import Spread, leak, split_facts, spread
from llm_jepa.records import Example
from llm_jepa.tasks.official import chat, from_chat
from llm_jepa.tasks.paraphrase import from_file


def asked(*pairs: tuple[str, str]) -> list[Example]:
    """Return conversations of these questions and answers."""
    return [from_chat(chat("one instruction", *pair), f"row:{index}") for index, pair in enumerate(pairs)]


def groups(*captions: tuple[str, ...]) -> list[Example]:
    """Return groups without messages."""
    return [from_file({"paraphrases": list(group)}, f"row:{index}") for index, group in enumerate(captions)]


@pytest.mark.parametrize("count", [1, 2, 19, 20, 21, 100, 1001])
def test_a_spread_has_at_least_95_of_100_lengths_at_or_below_p95(count: int) -> None:
    lengths = [(7 * index) % count for index in range(count)]
    found = spread(lengths)
    assert (found.minimum, found.median, found.maximum) == (min(lengths), statistics.median(lengths), max(lengths))
    assert sum(length <= found.p95 for length in lengths) >= 0.95 * count > sum(length < found.p95 for length in lengths)


def test_lengths_are_of_text_and_code() -> None:
    facts = split_facts(asked(("two words", "a"), ("now three words", "b b")))
    assert [(part.name, part.lengths["words"]) for part in facts.parts] == [
        ("Text", Spread(minimum=2, median=2.5, p95=3, maximum=3)),
        ("Code", Spread(minimum=1, median=1.5, p95=2, maximum=2)),
    ]
    assert facts.parts[0].lengths["characters"] == Spread(minimum=9, median=12, p95=15, maximum=15)


def test_of_groups_all_views_are_measured() -> None:
    (part,) = split_facts(groups(("a", "bb", "ccc"), ("dddd", "e"))).parts
    assert part.name == "views"
    assert part.lengths["characters"] == Spread(minimum=1, median=2, p95=4, maximum=4)


def test_tokens_are_counted_where_there_is_a_counter() -> None:
    facts = split_facts(asked(("two words", "a")), lambda texts: [10 * len(text.split()) for text in texts])
    assert [part.lengths["tokens"].maximum for part in facts.parts] == [20, 10]


def test_repeated_rows_are_those_that_an_earlier_row_has() -> None:
    facts = split_facts(asked(("a", "1"), ("a", "1"), ("a", "2"), ("b", "1"), ("a", "1")))
    assert (facts.rows, facts.repeated_text, facts.repeated) == (5, 3, 2)


@pytest.mark.parametrize(
    ("pairs", "labels"),
    [
        ([("q", "Good")] * 15 + [("q", "Bad")] * 25, {"Bad": 25, "Good": 15}),
        ([("q", "Good")] * 9 + [("q", "Bad")] * 10, {}),
        ([("q", str(index)) for index in range(400)], {}),
    ],
    ids=["few labels", "too few rows to each", "an answer a row"],
)
def test_labels_are_counted_where_answers_are_few(pairs: list[tuple[str, str]], labels: dict[str, int]) -> None:
    assert dict(split_facts(asked(*pairs)).labels) == labels


def test_a_leak_counts_held_out_rows_by_text_by_both_and_by_answer() -> None:
    train = asked(("a", "1"), ("b", "2"), ("c", "3"))
    test = asked(("a", "1"), ("a", "1"), ("b", "3"), ("new", "2"), ("new", "new"))
    found = leak(("test", test), ("train", train))
    assert (found.held_out, found.train, found.rows) == ("test", "train", 5)
    assert (found.same_text, found.same, found.same_answer) == (3, 2, 4)


def test_the_instruction_alone_is_no_leak() -> None:
    train = [from_chat(chat("other instruction", "a", "1"), "row:1")]
    assert leak(("test", asked(("a", "1"))), ("train", train)).same_text == 1
    assert leak(("test", asked(("b", "1"))), ("train", asked(("a", "1")))).same_text == 0


def test_groups_are_the_same_as_wholes_and_have_no_answer() -> None:
    found = leak(("b", groups(("x", "y"), ("x", "z"))), ("a", groups(("x", "y"))))
    assert (found.same_text, found.same, found.same_answer) == (1, 1, None)
