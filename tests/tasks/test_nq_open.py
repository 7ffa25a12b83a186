"""NQ-Open: several reference answers are one text, joined."""

from pathlib import Path
from typing import Any

import pytest
from tests.tasks.task_rows import all_rows, contents, same

from llm_jepa.errors import UserError
from llm_jepa.tasks.nq_open import TASK, from_hub

HUB = {
    "train": (0, {"question": "where is planet of the apes filmed 2017", "answer": ["Vancouver"]}),
    "test": (
        0,
        {
            "question": "on the 6th day of christmas my true love sent to me",
            "answer": ["6 geese a-laying", "maids a-milking"],
        },
    ),
}


@pytest.mark.parametrize("split", list(HUB))
def test_a_row_of_the_hub_gives_the_example_of_the_official_row(shared: Path, split: str) -> None:
    index, row = HUB[split]
    assert same(from_hub, row, TASK.from_file, all_rows(shared, f"nq_open_{split}")[index])


@pytest.mark.parametrize("split", ["train", "test"])
def test_every_official_row_is_a_question_and_joined_answers(shared: Path, split: str) -> None:
    for row in all_rows(shared, f"nq_open_{split}"):
        question, answer = contents(row)
        assert same(from_hub, {"question": question, "answer": answer.split("; ")}, TASK.from_file, row)


@pytest.mark.parametrize("answer", [None, [], "Vancouver", [1]])
def test_answers_that_are_no_list_of_texts_are_one_sentence(answer: Any) -> None:
    with pytest.raises(UserError, match=r"^nq_open:1: 'answer' is no list of texts"):
        from_hub({"question": "q", "answer": answer}, "nq_open:1")
