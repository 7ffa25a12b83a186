"""Where the splits of a run come from: the names of tasks, files, and both together."""

import gzip
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from tests.experiments.small_tasks import ending_row, write_lines, write_tasks

from llm_jepa.errors import UserError
from llm_jepa.experiments.experiment import Data
from llm_jepa.experiments.material import Examples, read_sources, source_of


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tasks(tmp_path_factory.mktemp("data"))


def sizes(found: Examples) -> tuple[int, int, int]:
    return len(found.train), len(found.validation), len(found.test)


def test_a_task_gives_all_three_splits(folder: Path) -> None:
    found = read_sources(Data(train="gsm8k", folder=str(folder)))
    assert sizes(found) == (5, 500, 7)
    assert found.test[0].name == "gsm8k_test.jsonl:1"
    assert found.test[0].answer == "lines dog\n#### 1000"
    assert not {example.name for example in found.train} & {example.name for example in found.validation}


def test_limits_cut_the_splits_of_a_task(folder: Path) -> None:
    whole = read_sources(Data(train="gsm8k", folder=str(folder)))
    found = read_sources(Data(train="gsm8k", folder=str(folder), limit=3, eval_limit=2))
    assert sizes(found) == (3, 2, 2)
    assert {example.name for example in found.train} < {example.name for example in whole.train}
    assert found == read_sources(Data(train="gsm8k", folder=str(folder), limit=3, eval_limit=2))


def test_a_limit_draws_from_all_over_an_ordered_source_and_keeps_its_order(tmp_path: Path) -> None:
    labels = ["Good"] * 500 + ["Bad"] * 500
    mine = write_lines(tmp_path / "mine.jsonl", [{"text": f"comment {i}", "code": label} for i, label in enumerate(labels)])
    found = read_sources(Data(train=str(mine), limit=100)).train
    assert 35 < sum(example.answer == "Good" for example in found) < 65
    assert [int(example.name.rpartition(":")[2]) for example in found] == sorted(
        int(example.name.rpartition(":")[2]) for example in found
    )


def test_the_papers_protocol_holds_nothing_out_for_validation(folder: Path) -> None:
    found = read_sources(Data(train="gsm8k", folder=str(folder), validation_size=0))
    assert sizes(found) == (505, 0, 7)


def test_what_is_named_wins_over_the_tasks_own(folder: Path, tmp_path: Path) -> None:
    mine = write_lines(tmp_path / "mine.jsonl", [{"text": "a", "code": "b"}])
    found = read_sources(Data(train="gsm8k", validation=str(mine), test="nl_rx_turk", folder=str(folder)))
    assert sizes(found) == (5, 1, 3)
    assert [example.answer for example in found.test] == [".*dog.*", "dog", "~(dog)"]


def test_a_file_can_be_tested_on_a_task(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "extra.jsonl.gz"
    plain = write_lines(tmp_path / "extra.jsonl", [ending_row(9)])
    with plain.open("rb") as source, gzip.open(path, "wb") as packed:
        shutil.copyfileobj(source, packed)
    found = read_sources(Data(train=str(path), test="hellaswag", folder=str(folder)))
    assert sizes(found) == (1, 0, 6)
    assert found.test[0].extra["ending D"] == "lines"


def test_another_split_of_a_task_is_named_like_one_of_the_hub(folder: Path) -> None:
    data = Data(train="gsm8k", train_split="test", validation_split="test", folder=str(folder))
    assert sizes(read_sources(data)) == (7, 7, 7)
    with pytest.raises(UserError, match="gsm8k has no split 'tets'; did you mean 'test'"):
        read_sources(replace(data, train_split="tets"))


def test_a_tasks_name_wins_over_a_file_of_that_name(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_lines(tmp_path / "gsm8k" / "own.jsonl", [{"text": "a", "code": "b"}])
    assert sizes(read_sources(Data(train="gsm8k", folder=str(folder)))) == (5, 500, 7)
    assert sizes(read_sources(Data(train="./gsm8k", folder=str(folder)))) == (1, 0, 0)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (Data(train="gsm8k"), ("gsm8k", "gsm8k", "gsm8k")),
        (Data(train="nl_regex"), ("nl_regex", "nl_regex", "nl_regex")),
        (Data(train="mine.jsonl"), ("mine.jsonl", None, None)),
        (Data(train="mine.jsonl", test="spider"), ("mine.jsonl", None, "spider")),
        (Data(train="paraphrase"), ("paraphrase", "paraphrase", None)),
        (Data(train="nl_rx_synth", test="nl_rx_turk"), ("nl_rx_synth", "nl_rx_synth", "nl_rx_turk")),
    ],
)
def test_the_source_of_every_split(data: Data, expected: tuple[str | None, ...]) -> None:
    assert tuple(source_of(data, split) for split in ("train", "validation", "test")) == expected


def test_a_missing_file_names_the_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"^gsm8k: .*{tmp_path}/gsm8k_train.jsonl.*place gsm8k_train.jsonl\[.gz\] in"):
        read_sources(Data(train="gsm8k", folder=str(tmp_path)))
