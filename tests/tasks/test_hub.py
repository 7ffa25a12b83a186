"""Rows from the hub: at their commit, quietly, without running code, whatever the data set's card says."""

import json
from pathlib import Path
from typing import Any

import datasets
import pytest
from datasets.exceptions import DatasetsError

from llm_jepa.tasks.hub import hub_rows
from llm_jepa.tasks.task import HubSplit

COMMIT = "12915f751302ac4841dace037967ca5db8f6dfdb"


def test_a_split_is_asked_for_at_its_commit_and_no_code_is_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
    monkeypatch.setattr(datasets, "load_dataset", lambda *args, **options: asked.append((args, options)) or [])
    hub_rows(HubSplit(dataset="a/b", config="main", split="train", revision=COMMIT))
    ((args, options),) = asked
    assert args == ("a/b", "main")
    assert options == {"split": "train", "revision": COMMIT, "verification_mode": "no_checks"}


def test_a_split_that_the_card_leaves_out_is_read_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "paraphrase"
    (folder / "data").mkdir(parents=True)
    for name in ("coco", "quora"):
        rows = [{"paraphrase_set_id": 1, "text": f"{name} {index}", "id": index} for index in range(2)]
        (folder / "data" / f"{name}-00000-of-00001.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    card = {"splits": {"quora": {"name": "quora", "num_bytes": 1, "num_examples": 9, "dataset_name": "paraphrase"}}}
    (folder / "dataset_infos.json").write_text(json.dumps({"default": card}))
    with pytest.raises(DatasetsError):
        datasets.load_dataset(str(folder), split="coco", cache_dir=str(tmp_path / "checked"))
    capsys.readouterr()
    rows = list(hub_rows(HubSplit(dataset=str(folder), split="coco", revision=COMMIT)))
    assert [row["text"] for row in rows] == ["coco 0", "coco 1"]
    assert capsys.readouterr() == ("", "")
