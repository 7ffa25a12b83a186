"""`llm-jepa data`: its numbers against an independent count of the real data, its tables, its exit codes."""

import gzip
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from rich.console import Console
from tests.experiments.small_runs import restored_logging, write_base

from llm_jepa.cli import main
from llm_jepa.experiments.inspect.describing import WHOLE, Description, describe_own, describe_task, show
from llm_jepa.tasks.official import chat
from llm_jepa.tasks.registry import TASKS

README = {
    ("nl_rx_synth", "same_text"): 39,
    ("nl_rx_synth", "same"): 39,
    ("nl_rx_synth", "same_answer"): 111,
    ("nl_rx_turk", "same_text"): 68,
    ("nl_rx_turk", "same"): 0,
    ("nl_rx_turk", "same_answer"): 111,
    ("spider", "same_answer"): 1041,
    ("gsm8k", "same_text"): 0,
    ("nq_open", "same_text"): 0,
    ("rotten_tomatoes", "same_text"): 0,
}
"""How many test rows occur in the paper's train set, by the description of the shared data."""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Work in an empty folder, in a terminal of 80 columns, and put back what the command sets for the whole process."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    with restored_logging():
        yield tmp_path


@pytest.fixture(scope="module")
def described(shared: Path) -> dict[str, Description]:
    """What is said of every task on the real data."""
    return {name: describe_task(task, folder=shared / "data") for name, task in TASKS.items()}


def rows(shared: Path, name: str) -> list[tuple[str, str]]:
    """Return the questions and answers of a file of the shared data."""
    with gzip.open(shared / "data" / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        turns = [json.loads(line)["messages"] for line in lines]
    return [(messages[1]["content"], messages[2]["content"]) for messages in turns]


def write(path: Path, *pairs: tuple[str, str]) -> None:
    """Write a file of a user's own data."""
    path.write_text("".join(json.dumps({"text": text, "code": code}) + "\n" for text, code in pairs))


@pytest.mark.parametrize(("name", "kind"), README)
def test_leaks_into_the_papers_train_set_are_as_known(name: str, kind: str, described: dict[str, Description]) -> None:
    (found,) = (leak for leak in described[name].leaks if (leak.held_out, leak.train) == ("test", WHOLE))
    assert getattr(found, kind) == README[name, kind]


@pytest.mark.parametrize("name", ["nl_rx_synth", "nl_rx_turk", "gsm8k", "spider", "nq_open", "rotten_tomatoes"])
def test_the_numbers_of_test_agree_with_another_count(name: str, shared: Path, described: dict[str, Description]) -> None:
    facts, pairs = described[name].splits["test"], rows(shared, f"{name}_test")
    texts = sorted(len(text) for text, _ in pairs)
    words = sorted(len(re.findall(r"\S+", code)) for _, code in pairs)
    text, code = facts.parts
    found = text.lengths["characters"]
    assert (found.minimum, found.median, found.maximum) == (texts[0], median(texts), texts[-1])
    assert sum(length <= found.p95 for length in texts) >= 0.95 * len(texts)
    assert (code.lengths["words"].minimum, code.lengths["words"].maximum) == (words[0], words[-1])
    assert (facts.rows, facts.repeated_text) == (len(pairs), len(pairs) - len({text for text, _ in pairs}))
    assert facts.repeated == len(pairs) - len(set(pairs))


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("rotten_tomatoes", {"Good": 533, "Bad": 533}),
        ("yelp", {"Very Bad": 431, "Bad": 425, "Good": 411, "Mediocre": 372, "Very Good": 361}),
        ("hellaswag", {"A": 520, "B": 460, "C": 518, "D": 502}),
        ("gsm8k", {}),
    ],
)
def test_labels_of_test_are_counted(name: str, labels: dict[str, int], described: dict[str, Description]) -> None:
    assert described[name].splits["test"].labels == labels


def test_validation_is_looked_for_in_train_only(described: dict[str, Description]) -> None:
    pairs = [(leak.held_out, leak.train) for leak in described["gsm8k"].leaks]
    assert pairs == [("validation", "train"), ("test", "train"), ("test", "train and validation")]


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("gsm8k", []),
        ("spider", ["original_train", "original_dev"]),
        ("hellaswag", ["train", "public_validation"]),
        ("paraphrase", ["train"]),
        ("yelp", ["train", "public_test"]),
    ],
)
def test_what_cannot_be_read_is_listed_with_its_reason(
    name: str, missing: list[str], described: dict[str, Description]
) -> None:
    found = described[name].missing
    assert list(found) == missing
    assert all("Hugging Face hub" in reason for reason in found.values())


@pytest.mark.parametrize("columns", [40, 60, 80, 160])
@pytest.mark.parametrize("name", list(TASKS))
def test_every_number_is_shown_whole_in_any_terminal(name: str, columns: int, described: dict[str, Description]) -> None:
    shown = io.StringIO()
    show(Console(width=columns, file=shown), described[name])
    assert max(map(len, shown.getvalue().splitlines())) <= max(columns, 60)
    assert "…" not in shown.getvalue()
    words = re.findall(r"[\d,.]+", shown.getvalue())
    for facts in described[name].splits.values():
        assert f"{facts.rows:,}" in words
        for lengths in (part.lengths[unit] for part in facts.parts for unit in part.lengths):
            assert f"{lengths.maximum:,}" in words
    assert all(trap.split()[-1] in shown.getvalue() for trap in TASKS[name].traps)


def test_a_task_is_described_on_the_terminal(shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "describe", "rotten_tomatoes", "--folder", str(shared / "data")]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("Rotten Tomatoes\nsource: Pang and Lee 2005; ")
    assert "test: Good 533 (50.0%), Bad 533 (50.0%)" in shown
    assert "- The rows are ordered, all Good and then all Bad" in shown
    assert "not read" not in shown


def test_json_has_every_field(shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "describe", "nl_rx_synth", "--folder", str(shared / "data"), "--json"]) == 0
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert said["splits"]["train"]["rows"] == 7500
    assert said["splits"]["test"]["parts"][0]["lengths"]["characters"]["maximum"] == 111
    assert said["leaks"][-1]["same"] == 39
    assert said["traps"] == list(TASKS["nl_rx_synth"].traps)
    assert (said["licence"], said["max_new_tokens"]) == ("MIT, Copyright (c) 2016 Nick Locascio", 64)


def test_tokens_are_counted_by_a_models_tokenizer(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_base(here / "model")
    write(here / "mine.jsonl", ("lines with a number", "dog"), ("lines with", "dog dog"))
    assert main(["data", "describe", "mine.jsonl", "--tokenizer", "model", "--json"]) == 0
    text, code = json.loads(capsys.readouterr().out)["splits"]["mine.jsonl"]["parts"]
    assert (text["lengths"]["tokens"]["minimum"], text["lengths"]["tokens"]["maximum"]) == (2, 4)
    assert code["lengths"]["tokens"]["maximum"] == 2


def test_a_file_of_ones_own_is_one_split(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(here / "mine.jsonl", ("a", "1"), ("a", "1"), ("b", "2"))
    assert main(["data", "describe", "mine.jsonl"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"mine\.jsonl +3 +1 +1\b", shown)
    assert "licence" not in shown


def test_every_file_of_a_folder_is_a_split_and_train_comes_first(here: Path) -> None:
    folder = here / "rows"
    folder.mkdir()
    write(folder / "dev.jsonl", ("a", "1"), ("c", "3"))
    write(folder / "test.jsonl", ("c", "3"))
    write(folder / "train.jsonl", ("a", "1"), ("b", "2"))
    description = describe_own(str(folder))
    assert list(description.splits) == ["train.jsonl", "dev.jsonl", "test.jsonl"]
    assert [(leak.held_out, leak.train, leak.same) for leak in description.leaks] == [
        ("dev.jsonl", "train.jsonl", 1),
        ("test.jsonl", "train.jsonl", 0),
        ("test.jsonl", "dev.jsonl", 1),
    ]


def test_a_task_is_described_from_the_files_that_are_there(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "data").mkdir()
    lines = [json.dumps(chat("s", f"question {index}", "#### 4")) for index in range(3)]
    (here / "data" / "gsm8k_test.jsonl").write_text("\n".join(lines))
    assert main(["data", "describe", "gsm8k"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"test +3 +0 +0\b", shown)
    assert "not read" in shown
    assert "- train: neither 'data/gsm8k_train.jsonl' nor" in " ".join(shown.split())


def test_list_shows_every_task_and_what_is_there(shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "list", "--folder", str(shared / "data"), "--json"]) == 0
    listed = {task["name"]: task for task in json.loads(capsys.readouterr().out)}
    assert list(listed) == list(TASKS)
    assert listed["gsm8k"]["here"] == ["train", "test"]
    assert listed["yelp"]["here"] == ["test"]
    assert listed["spider"]["splits"] == ["train", "validation", "test", "original_train", "original_dev"]
    assert main(["data", "list", "--folder", "nowhere"]) == 0
    shown = capsys.readouterr().out
    assert all(re.search(rf"^{name} .* - ", shown, flags=re.MULTILINE) for name in TASKS)


MISTAKES = {
    "unknown command": ("data lst", "data: unknown command 'lst'; did you mean 'list'?"),
    "no data": ("data describe", "data is missing; give it"),
    "unknown option": ("data describe gsm8k --limit 3", "--limit"),
    "unknown task": (
        "data describe gsm9k",
        "'gsm9k' is no task, file, folder or data set on the hub; did you mean 'gsm8k'?",
    ),
    "no such file": ("data describe ./mine.jsonl", "./mine.jsonl: no such file or folder"),
    "empty folder": ("data describe empty", "empty: the folder has no data file"),
    "torn file": ("data describe torn.jsonl", "torn.jsonl:1: not valid JSON"),
    "no tokenizer": ("data describe mine.jsonl --tokenizer ./nowhere", "nowhere"),
    "nothing can be read": ("data describe gsm8k", "place gsm8k_train.jsonl[.gz] in 'data', or name another folder"),
    "a task with a bad row": ("data describe gsm8k --folder bad", "gsm8k_train.jsonl:1: the row has no 'messages'"),
}


@pytest.mark.parametrize(("command", "said"), MISTAKES.values(), ids=list(MISTAKES))
def test_a_mistake_is_one_sentence_and_exit_code_2(
    command: str, said: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "empty").mkdir()
    (here / "bad").mkdir()
    (here / "torn.jsonl").write_text("{")
    write(here / "bad" / "gsm8k_train.jsonl", ("a", "1"))
    if "--tokenizer" in command:
        write(here / "mine.jsonl", ("a", "1"))
    assert main(command.split()) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert said in error
    assert error.count("\n") == 1


def test_without_a_command_the_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data"]) == 2
    assert "usage: llm-jepa data" in capsys.readouterr().out
