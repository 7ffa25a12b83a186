"""All tasks: names, pins, checksums, scorers, room for answers."""

import gzip
import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llm_jepa.scoring.choice import ChoiceScorer
from llm_jepa.scoring.labels import LabelPrefix
from llm_jepa.scoring.numbers import FinalNumber
from llm_jepa.scoring.references import AnyReference
from llm_jepa.scoring.regex import RegexScorer
from llm_jepa.scoring.scorer import Scorer
from llm_jepa.scoring.sql import SqlScorer
from llm_jepa.scoring.text import TextScorer
from llm_jepa.tasks.formats import READERS
from llm_jepa.tasks.official import from_chat
from llm_jepa.tasks.registry import TASKS, find_task
from llm_jepa.tasks.sources import local_file
from llm_jepa.tasks.task import Cut, HubSplit, Split, Task

SCORERS: dict[str, type[Scorer]] = {
    "nl_rx_synth": RegexScorer,
    "nl_rx_turk": RegexScorer,
    "gsm8k": FinalNumber,
    "spider": SqlScorer,
    "nq_open": AnyReference,
    "hellaswag": ChoiceScorer,
    "paraphrase": TextScorer,
    "rotten_tomatoes": LabelPrefix,
    "yelp": LabelPrefix,
}
SPLITS = [(task, name, split) for task in TASKS.values() for name, split in task.splits.items()]


def test_the_data_sets_of_the_paper_have_names() -> None:
    assert {name: find_task(name) for name in SCORERS} == dict(TASKS)


def test_another_name_is_no_task() -> None:
    assert find_task("nl_regex") is None


@pytest.mark.parametrize("name", list(SCORERS))
def test_a_task_has_its_scorer(name: str, tmp_path: Path) -> None:
    assert type(TASKS[name].scorer(tmp_path)) is SCORERS[name]


@pytest.mark.parametrize(("name", "labels"), [("rotten_tomatoes", 2), ("yelp", 5)])
def test_label_scorers_know_all_labels(name: str, labels: int, tmp_path: Path) -> None:
    scorer = TASKS[name].scorer(tmp_path)
    assert isinstance(scorer, LabelPrefix)
    assert len(scorer.labels) == labels


@pytest.mark.parametrize(("task", "name", "split"), SPLITS, ids=[f"{task.name} {name}" for task, name, _ in SPLITS])
def test_whatever_comes_from_the_network_is_pinned(task: Task, name: str, split: Split) -> None:
    assert split.files or split.hub
    if split.hub is not None:
        assert re.fullmatch("[0-9a-f]{40}", split.hub.revision)
    if split.download is not None:
        assert re.fullmatch("[0-9a-f]{64}", split.download.sha256)
        assert split.download.url.startswith("https://")
        assert split.download.url.rpartition("/")[2] in split.files


def test_a_task_on_the_hub_must_say_how_its_rows_are_read(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="task t: from_hub is missing"):
        Task(
            name="t",
            title="T",
            source="",
            licence="",
            splits={"train": Split(hub=HubSplit(dataset="a/b", split="train", revision="0" * 40))},
            validation=Cut(size=0),
            from_file=from_chat,
            scorer=lambda _: TextScorer(),
        )


@pytest.mark.parametrize(
    "split", [pytest.param(split, id=split.files[0]) for _, _, split in SPLITS if split.download is not None]
)
def test_the_shared_copy_is_the_file_that_would_be_downloaded(split: Split, shared: Path) -> None:
    path = local_file(split, shared / "data")
    assert path is not None
    assert split.download is not None
    assert hashlib.sha256(gzip.decompress(path.read_bytes())).hexdigest() == split.download.sha256


@pytest.mark.slow
@pytest.mark.parametrize("tokenizer", ["llama-3.1", "llama-2", "gemma-2", "qwen3"])
@pytest.mark.parametrize("name", [name for name in SCORERS if name != "paraphrase"])
def test_there_is_room_for_every_gold_answer(
    name: str, tokenizer: str, shared: Path, real_tokenizer: Callable[[str], Any]
) -> None:
    task = TASKS[name]
    for split in ("train", "test"):
        path = local_file(task.splits[split], shared / "data")
        if path is not None:
            answers = [task.from_file(row, f"{line}").answer for line, row in READERS[".jsonl"](path)]
            longest = max(len(ids) for ids in real_tokenizer(tokenizer)(answers, add_special_tokens=False)["input_ids"])
            assert longest < task.max_new_tokens
