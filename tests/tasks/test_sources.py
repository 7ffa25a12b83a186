"""Reading a task: which source comes first, what is cut, and what is said when nothing can be read."""

import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llm_jepa.errors import UserError
from llm_jepa.tasks import sources
from llm_jepa.tasks.download import DownloadError
from llm_jepa.tasks.official import chat
from llm_jepa.tasks.registry import TASKS
from llm_jepa.tasks.sources import read_task, split_names
from llm_jepa.tasks.task import Cut, Download, HubSplit

GSM8K = replace(TASKS["gsm8k"], validation=Cut(size=2))


def write(path: Path, count: int, *, answer: str = "#### 4") -> Path:
    """Write official rows, compressed if the name says so."""
    data = "".join(json.dumps(chat("s", f"question {index}", answer)) + "\n" for index in range(count)).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """What the hub and the repository hold: rows or an error, and a path or an error; both fail at first."""
    state: dict[str, Any] = {"hub": OSError("hub is away"), "file": DownloadError("repository is away"), "asked": []}

    def answer(kind: str, source: HubSplit | Download) -> Any:
        state["asked"].append(source)
        if isinstance(state[kind], Exception):
            raise state[kind]
        return state[kind]

    monkeypatch.setattr(sources, "hub_rows", lambda source: answer("hub", source))
    monkeypatch.setattr(sources, "fetch", lambda source: answer("file", source))
    return state


COUNTS = {
    ("nl_rx_synth", "train"): 7500,
    ("nl_rx_synth", "validation"): 500,
    ("nl_rx_synth", "test"): 2000,
    ("nl_rx_turk", "train"): 7500,
    ("nl_rx_turk", "validation"): 500,
    ("nl_rx_turk", "test"): 2000,
    ("gsm8k", "train"): 6973,
    ("gsm8k", "validation"): 500,
    ("gsm8k", "test"): 1319,
    ("spider", "train"): 6087,
    ("spider", "validation"): 500,
    ("spider", "test"): 1447,
    ("nq_open", "train"): 7500,
    ("nq_open", "validation"): 500,
    ("nq_open", "test"): 1769,
    ("hellaswag", "test"): 2000,
    ("hellaswag", "validation_extra"): 801,
    ("paraphrase", "coco_val2017"): 5000,
    ("paraphrase", "flickr8k"): 8091,
    ("rotten_tomatoes", "train"): 8030,
    ("rotten_tomatoes", "validation"): 500,
    ("rotten_tomatoes", "test"): 1066,
    ("yelp", "test"): 2000,
}


@pytest.mark.parametrize(("name", "split"), COUNTS)
def test_the_real_files_have_their_rows(name: str, split: str, shared: Path) -> None:
    examples = read_task(TASKS[name], split, folder=shared / "data")
    assert len(examples) == COUNTS[name, split]
    assert len({example.name for example in examples}) == len(examples)
    assert all(len(example.views) >= 2 for example in examples)


@pytest.mark.parametrize("name", [name for name, split in COUNTS if split == "validation"])
def test_validation_is_cut_from_train_and_both_keep_the_order(name: str, shared: Path) -> None:
    task, folder = TASKS[name], shared / "data"
    whole = read_task(replace(task, validation=Cut(size=0)), "train", folder=folder)
    train, validation = (read_task(task, split, folder=folder) for split in ("train", "validation"))
    places = {example.name: index for index, example in enumerate(whole)}
    order = [[places[example.name] for example in part] for part in (train, validation)]
    assert order == [sorted(part) for part in order]
    assert sorted(order[0] + order[1]) == list(range(len(whole)))


def test_the_cut_is_always_the_same(shared: Path) -> None:
    drawn = read_task(TASKS["gsm8k"], "validation", folder=shared / "data")
    lines = [example.name.partition(":")[2] for example in drawn[:4]]
    assert lines == ["1", "10", "13", "20"]


def test_another_seed_cuts_other_rows(tmp_path: Path) -> None:
    write(tmp_path / "gsm8k_train.jsonl", 100)
    tasks = [replace(GSM8K, validation=Cut(size=10, seed=seed)) for seed in (0, 1)]
    cuts = [{example.name for example in read_task(task, "validation", folder=tmp_path)} for task in tasks]
    assert cuts[0] != cuts[1]


def test_no_validation_rows_need_no_train_file(tmp_path: Path) -> None:
    paper = replace(TASKS["hellaswag"], validation=Cut(size=0))
    assert read_task(paper, "validation", folder=tmp_path) == ()


def test_the_papers_way_is_a_cut_of_nothing(tmp_path: Path) -> None:
    write(tmp_path / "gsm8k_train.jsonl", 5)
    paper = replace(GSM8K, validation=Cut(size=0))
    assert len(read_task(paper, "train", folder=tmp_path)) == 5
    assert read_task(paper, "validation", folder=tmp_path) == ()


def test_a_train_set_smaller_than_the_cut_is_one_sentence(tmp_path: Path) -> None:
    write(tmp_path / "gsm8k_train.jsonl", 2)
    with pytest.raises(UserError, match=r"^gsm8k: validation takes 2 rows, but train has 2; give more rows"):
        read_task(GSM8K, "train", folder=tmp_path)


def test_test_is_never_cut(tmp_path: Path) -> None:
    write(tmp_path / "gsm8k_test.jsonl", 2)
    assert len(read_task(GSM8K, "test", folder=tmp_path)) == 2


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("gsm8k", "gsm8k_test.jsonl"),
        ("gsm8k", "gsm8k_test.jsonl.gz"),
        ("nl_rx_synth", "nl_rx_synth_test.jsonl.gz"),
        ("nl_rx_synth", "synth_test.jsonl"),
        ("nl_rx_turk", "turk_test.jsonl.gz"),
    ],
)
def test_a_file_is_found_by_either_name_and_named_in_the_examples(
    name: str, file: str, tmp_path: Path, network: dict[str, Any]
) -> None:
    write(tmp_path / file, 3)
    examples = read_task(TASKS[name], "test", folder=tmp_path)
    assert [example.name for example in examples] == [f"{file}:{line}" for line in (1, 2, 3)]
    assert network["asked"] == []


def test_without_a_file_the_hub_is_read(tmp_path: Path, network: dict[str, Any]) -> None:
    network["hub"] = [{"question": f"question {index}", "answer": "#### 4"} for index in range(3)]
    examples = read_task(TASKS["gsm8k"], "test", folder=tmp_path)
    assert [example.name for example in examples] == [f"openai/gsm8k/test:{row}" for row in (1, 2, 3)]
    assert network["asked"] == [TASKS["gsm8k"].splits["test"].hub]


def test_what_the_hub_gives_differs_from_the_file_by_name_only(shared: Path, network: dict[str, Any]) -> None:
    official = read_task(TASKS["gsm8k"], "test", folder=shared / "data")
    network["hub"] = [{"question": item.views[0].content, "answer": item.answer} for item in official]
    from_hub = read_task(TASKS["gsm8k"], "test", folder=shared)
    assert [replace(item, name="") for item in from_hub] == [replace(item, name="") for item in official]


def test_groups_are_gathered_from_the_hub(tmp_path: Path, network: dict[str, Any]) -> None:
    network["hub"] = [{"paraphrase_set_id": index // 5, "text": f"caption {index}", "id": index} for index in range(15)]
    task = replace(TASKS["paraphrase"], validation=Cut(size=0))
    examples = read_task(task, "train", folder=tmp_path)
    assert [len(example.views) for example in examples] == [5, 5, 5]
    assert examples[1].name == "cestwc/paraphrase/coco:2"


def test_without_file_and_hub_the_repository_is_read(tmp_path: Path, network: dict[str, Any]) -> None:
    (tmp_path / "cache").mkdir()
    network["file"] = write(tmp_path / "cache" / "gsm8k_test.jsonl", 2)
    assert [item.name for item in read_task(TASKS["gsm8k"], "test", folder=tmp_path)] == [
        "gsm8k_test.jsonl:1",
        "gsm8k_test.jsonl:2",
    ]
    assert [type(source) for source in network["asked"]] == [HubSplit, Download]


@pytest.mark.parametrize(("name", "split"), [("nl_rx_synth", "train"), ("spider", "test"), ("nq_open", "test")])
def test_where_the_hub_has_other_rows_only_the_repository_is_asked(
    name: str, split: str, tmp_path: Path, network: dict[str, Any]
) -> None:
    with pytest.raises(UserError):
        read_task(TASKS[name], split, folder=tmp_path)
    assert network["asked"] == [TASKS[name].splits[split].download]


ABSENT = {
    "hub and repository": (
        "gsm8k",
        "train",
        "gsm8k: neither 'data/gsm8k_train.jsonl' nor the Hugging Face hub (hub is away) nor the official repository "
        "(repository is away) could be read; place gsm8k_train.jsonl[.gz] in 'data', or name another folder",
    ),
    "repository": (
        "nl_rx_turk",
        "validation",
        "nl_rx_turk: neither 'data/nl_rx_turk_train.jsonl' nor the official repository (repository is away) could be read; "
        "place nl_rx_turk_train.jsonl[.gz] in 'data', or name another folder",
    ),
    "hub": (
        "yelp",
        "train",
        "yelp: neither 'data/yelp_train.jsonl' nor the Hugging Face hub (hub is away) could be read; place "
        "yelp_train.jsonl[.gz] in 'data', or name another folder",
    ),
    "hub alone": (
        "spider",
        "original_dev",
        "spider: the Hugging Face hub (hub is away) could not be read; try again with a network",
    ),
    "a file alone": (
        "paraphrase",
        "flickr8k",
        "paraphrase: there is no 'data/paraphrase_flickr8k.jsonl'; place paraphrase_flickr8k.jsonl[.gz] in 'data', or name "
        "another folder",
    ),
}


@pytest.mark.parametrize(("name", "split", "sentence"), ABSENT.values(), ids=list(ABSENT))
def test_what_cannot_be_read_is_one_sentence_that_names_the_file(
    name: str, split: str, sentence: str, network: dict[str, Any]
) -> None:
    with pytest.raises(UserError) as raised:
        read_task(TASKS[name], split, folder=Path("data"))
    assert str(raised.value) == sentence


def test_offline_nothing_is_waited_for(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gsm8k: neither .*OfflineModeIsEnabled.*HF_HUB_OFFLINE is set.* place gsm8k_test"):
        read_task(TASKS["gsm8k"], "test", folder=tmp_path)


def test_an_unknown_split_is_one_sentence_that_lists_them() -> None:
    with pytest.raises(UserError) as raised:
        read_task(TASKS["spider"], "tset", folder=Path("data"))
    assert str(raised.value) == (
        "spider has no split 'tset'; did you mean 'test'?; there are train, validation, test, original_train, original_dev"
    )


@pytest.mark.parametrize("name", list(TASKS))
def test_a_bad_row_is_named_by_file_and_line(name: str, tmp_path: Path) -> None:
    task = TASKS[name]
    split = next(split for split in split_names(task) if split != "validation" and task.splits[split].files)
    file = task.splits[split].files[0]
    (tmp_path / file).write_text('\n{"messages": []}\n')
    with pytest.raises(UserError, match=f"^{file}:2: "):
        read_task(task, split, folder=tmp_path)


@pytest.mark.parametrize(("content", "said"), [("{", r"gsm8k_test\.jsonl:1: not valid JSON"), ("\n", "there are no rows")])
def test_a_broken_file_is_not_passed_over_for_the_network(
    content: str, said: str, tmp_path: Path, network: dict[str, Any]
) -> None:
    (tmp_path / "gsm8k_test.jsonl").write_text(content)
    with pytest.raises(UserError, match=said):
        read_task(GSM8K, "test", folder=tmp_path)
    assert network["asked"] == []


def test_a_bad_row_of_the_hub_is_named_and_not_passed_over(tmp_path: Path, network: dict[str, Any]) -> None:
    network["hub"] = [{"question": "q", "answer": "a"}, {"question": "q"}]
    with pytest.raises(UserError, match=r"^openai/gsm8k/test:2: 'answer' holds no text"):
        read_task(TASKS["gsm8k"], "test", folder=tmp_path)
