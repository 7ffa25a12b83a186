"""Yelp: five stars as five words; the text stays as it is."""

from pathlib import Path

import pytest
from tests.tasks.task_rows import all_rows, contents, same

from llm_jepa.errors import UserError
from llm_jepa.tasks.yelp import TASK, from_hub

LABELS = ["Very Bad", "Bad", "Mediocre", "Good", "Very Good"]


def test_a_row_of_the_hub_gives_the_example_of_the_official_row(shared: Path) -> None:
    row = {"label": 1, "text": "Terrible terrible food"}
    assert same(from_hub, row, TASK.from_file, all_rows(shared, "yelp_test")[2])


def test_every_official_answer_is_one_of_the_labels(shared: Path) -> None:
    for row in all_rows(shared, "yelp_test"):
        text, answer = contents(row)
        assert same(from_hub, {"text": text, "label": LABELS.index(answer)}, TASK.from_file, row)


@pytest.mark.parametrize("text", ["good\\n\\nfood", 'a \\"deal\\"', "a real\nnewline"])
def test_the_text_is_kept_character_by_character(text: str) -> None:
    assert from_hub({"text": text, "label": 4}, "row:1").views[0].content == text


def test_a_label_that_does_not_exist_is_one_sentence() -> None:
    with pytest.raises(UserError, match=r"^yelp:1: 'label' is 5, but it is a number from 0 to 4"):
        from_hub({"text": "t", "label": 5}, "yelp:1")
