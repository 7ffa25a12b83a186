"""The run folder: which may be used, what overwriting removes, and what a full disk says."""

import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from llm_jepa.errors import UserError
from llm_jepa.experiments.files import RunFolder, begin_run, check_run, full_disk_explained

Usage = namedtuple("Usage", ["total", "used", "free"])


def begun(folder: Path) -> RunFolder:
    """Return the folder of a run that was interrupted after its first checkpoint."""
    run = RunFolder(folder / "run")
    begin_run(run, "a: 1\n", overwrite=False)
    (run.checkpoints / "checkpoint-2").mkdir(parents=True)
    (run.root / "validation").mkdir()
    (run.root / "notes.txt").write_text("mine")
    return run


def test_the_same_config_continues_and_another_is_refused_with_the_field(tmp_path: Path) -> None:
    run = begun(tmp_path)
    check_run(run, "a: 1\n", overwrite=False)
    with pytest.raises(UserError, match=r"another config \(different: a\)"):
        check_run(run, "a: 2\n", overwrite=False)


def test_a_run_that_never_began_may_be_corrected(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    begin_run(run, "a: 1\n", overwrite=False)
    check_run(run, "a: 2\n", overwrite=False)


def test_overwriting_removes_the_run_and_nothing_else(tmp_path: Path) -> None:
    run = begun(tmp_path)
    check_run(run, "a: 2\n", overwrite=True)
    begin_run(run, "a: 2\n", overwrite=True)
    assert sorted(path.name for path in run.root.iterdir()) == ["config.yaml", "notes.txt"]
    assert run.config.read_text() == "a: 2\n"


def test_overwriting_a_run_that_is_under_way_continues_it(tmp_path: Path) -> None:
    run = begun(tmp_path)
    begin_run(run, "a: 1\n", overwrite=True)
    assert (run.checkpoints / "checkpoint-2").exists()


@pytest.mark.parametrize("free", [0, 10**9])
def test_a_full_disk_is_one_sentence_and_other_faults_stay(
    free: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**9, 10**9 - free, free))
    expected: type[Exception] = RuntimeError if free else UserError
    with pytest.raises(expected, match=r"no space left|unexpected pos"), full_disk_explained(tmp_path):
        raise RuntimeError("unexpected pos 56896 vs 56784")
