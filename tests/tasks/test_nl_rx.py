"""NL-RX: the two variants are one split of one corpus."""

from dataclasses import replace
from pathlib import Path

import pytest

from llm_jepa.tasks.nl_rx import SYNTH, TURK
from llm_jepa.tasks.sources import read_task
from llm_jepa.tasks.task import Cut, Task


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_both_variants_have_the_same_expressions_row_by_row(shared: Path, split: str) -> None:
    synth, turk = (read_task(task, split, folder=shared / "data") for task in (SYNTH, TURK))
    assert [example.answer for example in synth] == [example.answer for example in turk]
    assert [example.views[0].content for example in synth] != [example.views[0].content for example in turk]


@pytest.mark.parametrize("task", [SYNTH, TURK])
def test_text_is_the_description_and_code_the_expression(task: Task, shared: Path) -> None:
    example = read_task(task, "test", folder=shared / "data")[0]
    assert [message.role for message in example.messages] == ["system", "user", "assistant"]
    assert example.messages[0].content == "Convert natural language to regular expression."
    assert [view.message for view in example.views] == [1, 2]


def test_the_ambiguous_paraphrases_are_as_many_as_the_traps_say(shared: Path) -> None:
    whole = read_task(replace(TURK, validation=Cut(size=0)), "train", folder=shared / "data")
    expressions: dict[str, set[str]] = {}
    for example in whole:
        expressions.setdefault(example.views[0].content, set()).add(example.answer)
    test = [(example.views[0].content, example.answer) for example in read_task(TURK, "test", folder=shared / "data")]
    assert sum(len(found) > 1 for found in expressions.values()) == 115
    assert [text in expressions for text, _ in test].count(True) == 68
    assert not [text for text, answer in test if answer in expressions.get(text, set())]
