"""Paraphrase: one row a caption on the hub, groups here; view i predicts view i + 1."""

from typing import Any

import pytest

from llm_jepa.errors import UserError
from llm_jepa.tasks.official import chat
from llm_jepa.tasks.paraphrase import from_file, gather


def captions(*texts: tuple[int, str]) -> list[dict[str, Any]]:
    """Return rows as the hub has them."""
    return [{"paraphrase_set_id": which, "text": text, "id": index} for index, (which, text) in enumerate(texts)]


def test_captions_of_one_set_make_one_group_in_the_order_of_the_rows() -> None:
    rows = gather(captions((7, "a cat"), (3, "a dog"), (7, "one cat"), (3, "one dog"), (7, "the cat")))
    examples = [from_file(row, "row:1") for row in rows]
    assert [[view.content for view in example.views] for example in examples] == [
        ["a cat", "one cat", "the cat"],
        ["a dog", "one dog"],
    ]


def test_a_set_of_one_caption_is_left_out() -> None:
    assert list(gather(captions((1, "alone"), (2, "a"), (2, "b")))) == [{"paraphrases": ["a", "b"]}]


def test_a_group_from_the_hub_equals_the_same_group_in_a_file() -> None:
    (row,) = gather(captions((1, "a"), (1, "b")))
    assert from_file(row, "row:1") == from_file({"id": 139, "paraphrases": ["a", "b"]}, "row:1")


def test_a_group_has_no_messages_and_every_view_its_own_sequence() -> None:
    example = from_file({"paraphrases": ["a", "b", "c"]}, "row:1")
    assert example.messages == ()
    assert [(view.content, view.message) for view in example.views] == [("a", None), ("b", None), ("c", None)]


def test_an_official_pair_is_a_group_of_two() -> None:
    example = from_file(chat("s", "a cat", "one cat"), "row:1")
    assert example == from_file({"paraphrases": ["a cat", "one cat"]}, "row:1")


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"text": "a", "code": "b"}, "the row has neither 'paraphrases' nor 'messages'"),
        ({"paraphrases": ["a"]}, "'paraphrases' needs two or more texts"),
        ({"messages": [{"role": "user", "content": "a"}]}, "'messages' ends with a user message"),
    ],
)
def test_a_row_of_another_kind_is_one_sentence(row: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=rf"^p\.jsonl:2: {said}"):
        from_file(row, "p.jsonl:2")


def test_a_hub_row_without_a_set_is_one_sentence() -> None:
    with pytest.raises(UserError, match=r"^cestwc/paraphrase:2: 'paraphrase_set_id' is missing"):
        gather([*captions((1, "a")), {"text": "b"}])
