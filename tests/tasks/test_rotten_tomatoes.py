"""Rotten Tomatoes: 0 is Bad, 1 is Good."""

from pathlib import Path

import pytest
from tests.tasks.task_rows import all_rows, contents, same

from llm_jepa.errors import UserError
from llm_jepa.tasks.rotten_tomatoes import TASK, from_hub

GOOD = {
    "text": "the rock is destined to be the 21st century's new \" conan \" and that he's going to make a splash even "
    "greater than arnold schwarzenegger , jean-claud van damme or steven segal .",
    "label": 1,
}
BAD = {"text": "simplistic , silly and tedious .", "label": 0}
"""The first row, and the first of the second half, of the hub's train split."""


@pytest.mark.parametrize(("row", "index"), [(GOOD, 0), (BAD, 4265)])
def test_a_row_of_the_hub_gives_the_example_of_the_official_row(shared: Path, row: dict[str, object], index: int) -> None:
    assert same(from_hub, row, TASK.from_file, all_rows(shared, "rotten_tomatoes_train")[index])


def test_every_official_answer_is_one_of_the_labels(shared: Path) -> None:
    for row in all_rows(shared, "rotten_tomatoes_test"):
        text, answer = contents(row)
        assert same(from_hub, {"text": text, "label": ["Bad", "Good"].index(answer)}, TASK.from_file, row)


@pytest.mark.parametrize("label", [-1, 2, None, "x", ""])
def test_a_label_that_does_not_exist_is_one_sentence(label: object) -> None:
    with pytest.raises(UserError, match=r"^rt:1: 'label' is .*, but it is a number from 0 to 1"):
        from_hub({"text": "t", "label": label}, "rt:1")
