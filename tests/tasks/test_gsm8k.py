"""GSM8K: the hub's rows are the official ones in another dress."""

from pathlib import Path

import pytest
from tests.tasks.task_rows import all_rows, contents, same

from llm_jepa.errors import UserError
from llm_jepa.tasks.gsm8k import TASK, from_hub

HUB = {
    "question": "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May. "
    "How many clips did Natalia sell altogether in April and May?",
    "answer": "Natalia sold 48/2 = <<48/2=24>>24 clips in May.\n"
    "Natalia sold 48+24 = <<48+24=72>>72 clips altogether in April and May.\n#### 72",
}


def test_the_first_row_of_the_hub_gives_the_example_of_the_first_official_row(shared: Path) -> None:
    assert same(from_hub, HUB, TASK.from_file, all_rows(shared, "gsm8k_train")[0])


@pytest.mark.parametrize("split", ["train", "test"])
def test_every_official_row_is_question_and_answer_below_one_instruction(shared: Path, split: str) -> None:
    for row in all_rows(shared, f"gsm8k_{split}"):
        question, answer = contents(row)
        assert same(from_hub, {"question": question, "answer": answer}, TASK.from_file, row)


@pytest.mark.parametrize("row", [{"question": "q"}, {"question": 1, "answer": "a"}, {}])
def test_a_row_of_another_data_set_is_one_sentence(row: dict[str, object]) -> None:
    with pytest.raises(UserError, match=r"^gsm8k:3: '(question|answer)' holds no text"):
        from_hub(row, "gsm8k:3")
