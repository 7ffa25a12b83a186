"""HellaSwag: four endings and a letter, from the official row and from the hub's columns."""

import copy
from pathlib import Path
from typing import Any

import pytest
from tests.tasks.task_rows import all_rows, same

from llm_jepa.errors import UserError
from llm_jepa.tasks.hellaswag import from_file, from_hub

POLE_VAULT = {
    "ind": 20022,
    "activity_label": "Pole vault",
    "ctx_a": "Pole vault is a sport where you run with a pole and stop and swing your body.",
    "ctx_b": "a few women",
    "ctx": "Pole vault is a sport where you run with a pole and stop and swing your body. a few women",
    "endings": [
        "go down a rock and stop.",
        "watch from around a pole vault.",
        "are in the wading pool.",
        "are in the gym practicing to do this pole vault, trying to do their best.",
    ],
    "source_id": "activitynet~v_xftFhOCEqFs",
    "split": "val",
    "split_type": "indomain",
    "label": "3",
}
"""A validation row as the hub has it; the first of the file of extra rows."""


def official() -> dict[str, Any]:
    """Return a small row of the official format."""
    question = "A man walks.\nA) He sits.\nB) He runs.\nC) He eats.\nD) He sleeps."
    return {
        "messages": [
            {"role": "system", "content": "Which one?"},
            {"role": "user", "content": question},
            {"role": "assistant", "content": "B"},
        ],
        "text": [{"role": "user", "content": "A man walks."}],
        "code": [{"role": "assistant", "content": "He runs."}],
    }


def test_a_row_of_the_hub_gives_the_example_of_the_official_row(shared: Path) -> None:
    assert same(from_hub, POLE_VAULT, from_file, all_rows(shared, "hellaswag_val_extra")[0])


@pytest.mark.parametrize(
    "changes", [{"label": 3}, {"ctx": None}], ids=["the label as a number", "the context in two columns"]
)
def test_other_forms_of_the_columns_give_the_same_example(changes: dict[str, Any]) -> None:
    assert from_hub({**POLE_VAULT, **changes}, "row:1") == from_hub(POLE_VAULT, "row:1")


@pytest.mark.parametrize("name", ["hellaswag_test", "hellaswag_val_extra"])
def test_every_official_row_is_rebuilt_from_what_was_read_in_it(shared: Path, name: str) -> None:
    for row in all_rows(shared, name):
        extra = from_file(row, "row:1").extra
        assert list(extra) == ["context", "ending A", "ending B", "ending C", "ending D"]
        endings = [extra[f"ending {letter}"] for letter in "ABCD"]
        letter = row["messages"][2]["content"]
        assert same(from_hub, {"ctx": extra["context"], "endings": endings, "label": "ABCD".index(letter)}, from_file, row)


def test_the_views_are_the_context_and_the_right_ending_and_no_part_of_the_trained_sequence() -> None:
    example = from_file(official(), "row:1")
    assert [(view.content, view.message) for view in example.views] == [("A man walks.", None), ("He runs.", None)]
    assert example.answer == "B"
    assert example.extra["ending D"] == "He sleeps."


BROKEN = {
    "another context": ("text", [{"role": "user", "content": "A cat walks."}], "the question is not its context"),
    "a right ending that is another's": ("code", [{"role": "assistant", "content": "He eats."}], "'code' is not the ending"),
    "no views": ("text", None, "the question is not its context"),
}


@pytest.mark.parametrize(("column", "value", "said"), BROKEN.values(), ids=list(BROKEN))
def test_a_row_that_contradicts_itself_is_refused(column: str, value: Any, said: str) -> None:
    with pytest.raises(UserError, match=rf"^hs\.jsonl:4: {said}"):
        from_file({**official(), column: value}, "hs.jsonl:4")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("\nC) He eats.", ""),
        ("\nC) ", " C) "),
        ("He runs.", "He\nD) runs."),
        ("\nB) He runs.\nC) He eats.", "\nC) He eats.\nB) He runs."),
    ],
    ids=["three endings", "two on a line", "a mark twice", "another order"],
)
def test_a_question_that_cannot_be_read_in_one_way_is_refused(old: str, new: str) -> None:
    row = copy.deepcopy(official())
    row["messages"][1]["content"] = row["messages"][1]["content"].replace(old, new)
    with pytest.raises(UserError, match=r"^hs\.jsonl:4: the question is not its context and four endings A\) to D\)"):
        from_file(row, "hs.jsonl:4")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"label": ""}, "'label' is '', but it is a number from 0 to 3"),
        ({"label": "4"}, "'label' is '4', but it is a number from 0 to 3"),
        ({"endings": ["a", "b", "c"]}, "'endings' is no list of four texts"),
        ({"endings": "abcd"}, "'endings' is no list of four texts"),
        ({"ctx": None, "ctx_b": None}, "'ctx_b' holds no text"),
    ],
)
def test_a_hub_row_of_another_kind_is_one_sentence(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=f"^hellaswag:9: {said}"):
        from_hub({**POLE_VAULT, **changes}, "hellaswag:9")
