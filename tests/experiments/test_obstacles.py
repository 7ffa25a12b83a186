"""A disk that is full or read-only, a folder that is gone, a memory that is too small: one sentence, and nothing is lost."""

import errno
import os
import shutil
import subprocess
from collections import namedtuple
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.experiments.small_runs import experiment, run_with, write_base, write_rows
from transformers import TrainerCallback

from llm_jepa.errors import UserError
from llm_jepa.experiments import scoring_runs
from llm_jepa.experiments.experiment import Experiment
from llm_jepa.experiments.files import RunFolder
from llm_jepa.experiments.obstacles import writing_explained
from llm_jepa.experiments.run import run_experiment
from llm_jepa.model.load import ModelConfig
from llm_jepa.objective.jepa import JEPA
from llm_jepa.training.checkpoints import DRAFTS, checkpoints, damage

Usage = namedtuple("Usage", ["total", "used", "free"])
STEPS = 6


class At(TrainerCallback):
    """Does something at the beginning of a step."""

    def __init__(self, step: int, what: Callable[[], object]) -> None:
        self._step, self._what = step, what

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        del args, control, kwargs
        if state.global_step == self._step:
            self._what()


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_base(tmp_path_factory.mktemp("base") / "base")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, 2 MiB small, whose size and mode may be changed."""
    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", place], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"no file system can be mounted here ({done.stderr.strip()}), so none can be full or read-only")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def remount(place: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", place], check=True)


def described(output: Path, base: Path, folder: Path, **more: Any) -> Experiment:
    settings = {"max_steps": STEPS, "save_steps": 1, "save_total_limit": None, "logging_steps": 1} | more
    return experiment(output, write_rows(folder / "rows.jsonl"), ModelConfig(name=str(base)), **settings)


def weights(run: RunFolder) -> bytes:
    return (run.model / "model.safetensors").read_bytes()


@pytest.mark.parametrize(("size", "saved"), [("1m", range(1, STEPS)), ("2m", (STEPS,))], ids=["saving", "writing the model"])
def test_a_full_disk_ends_a_run_with_its_checkpoints_whole_and_more_space_continues_it(
    size: str, saved: Sequence[int], base: Path, disk: Path, tmp_path: Path
) -> None:
    remount(disk, f"size={size}")
    straight = run_experiment(described(tmp_path / "straight", base, tmp_path))
    cramped = described(disk / "run", base, tmp_path)
    with pytest.raises(UserError, match=r"there is no space left where '.*/disk/run' is; free some"):
        run_experiment(cramped)
    run = RunFolder(disk / "run")
    found = checkpoints(run.checkpoints)
    assert len(found) in saved
    assert [damage(path) for path in found] == [""] * len(found)
    assert not (run.checkpoints / DRAFTS).exists()
    assert not run.results.exists()
    remount(disk, "size=64m")
    assert weights(run_experiment(cramped)) == weights(straight)


def test_a_disk_that_becomes_read_only_is_named_and_a_writable_one_continues(base: Path, disk: Path, tmp_path: Path) -> None:
    remount(disk, "size=64m")
    mine = described(disk / "run", base, tmp_path)
    with pytest.raises(UserError, match=r"'.*/disk/run' can only be read, not written, any more"):
        run_with(mine, At(3, lambda: remount(disk, "ro")))
    with pytest.raises(UserError, match=r"output: cannot write to '.*/disk/run': Read-only file system"):
        run_experiment(mine)
    remount(disk, "rw")
    assert weights(run_experiment(mine)) == weights(run_experiment(described(tmp_path / "straight", base, tmp_path)))


@pytest.mark.parametrize("strategy", ["no", "steps"])
def test_a_folder_that_is_removed_ends_the_run_and_is_not_made_anew(strategy: str, base: Path, tmp_path: Path) -> None:
    mine = described(tmp_path / "run", base, tmp_path, save_strategy=strategy, logging_steps=100)
    with pytest.raises(UserError, match=r"'.*/run' was removed while the run wrote to it"):
        run_with(mine, At(3, lambda: shutil.rmtree(tmp_path / "run")))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, "there is no space left"),
        (errno.EDQUOT, "there is no space left"),
        (errno.EROFS, "can only be read"),
        (errno.EFBIG, "larger than the shell allows"),
    ],
)
def test_what_the_system_says_becomes_a_sentence(number: int, said: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=said), writing_explained(tmp_path):
        raise OSError(number, os.strerror(number))


@pytest.mark.parametrize("free", [0, 10**9])
def test_a_full_disk_is_told_from_other_faults_by_what_is_free(
    free: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**9, 10**9 - free, free))
    expected: type[Exception] = RuntimeError if free else UserError
    with pytest.raises(expected, match=r"no space left|unexpected pos"), writing_explained(tmp_path):
        raise RuntimeError("unexpected pos 56896 vs 56784")


def hungry(*given: Any, **options: Any) -> Any:
    """Ask for more memory than there is."""
    return torch.empty(2**50)


def cuda(*given: Any) -> Any:
    """Say what a GPU without memory says."""
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79 GiB")


@pytest.mark.parametrize(
    ("allocate", "reason"),
    [
        (hungry, "DefaultCPUAllocator: can't allocate memory: you tried to allocate 4503599627370496"),
        (cuda, "CUDA out of memory. Tried to allocate 2.00 GiB"),
    ],
)
def test_too_little_memory_for_a_step_names_three_settings_with_numbers(
    allocate: Callable[..., Any], reason: str, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = described(tmp_path / "run", base, tmp_path, gradient_accumulation_steps=3)
    monkeypatch.setattr(JEPA, "__call__", allocate)
    with pytest.raises(UserError) as told:
        run_experiment(mine)
    said = str(told.value)
    assert said.startswith(f"the memory is not enough for a step ({reason}")
    assert (
        "`--training.per_device_train_batch_size 2 --training.gradient_accumulation_steps 6` (now 4 and 3: the same step"
    ) in said
    assert "`--training.gradient_checkpointing true`" in said
    assert "`--data.max_length " in said
    assert "25 % of the samples would be left out" in said


def test_where_the_batch_is_one_sample_adapters_are_the_third_setting(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = described(tmp_path / "run", base, tmp_path, per_device_train_batch_size=1)
    monkeypatch.setattr(JEPA, "__call__", hungry)
    with pytest.raises(UserError, match=r"`--model.lora.rank 64` \([0-9.]+ million trained weights instead of [0-9.]+\)"):
        run_experiment(mine)


def test_too_little_memory_for_answers_keeps_what_is_trained_and_smaller_batches_go_on(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = described(tmp_path / "run", base, tmp_path, save_strategy="no")
    with monkeypatch.context() as patch:
        patch.setattr(scoring_runs, "evaluate", hungry)
        with pytest.raises(UserError, match=r"to make answers .*`--evaluation.batch_size 2` \(now 4\) needs less"):
            run_experiment(mine)
    run = RunFolder(tmp_path / "run")
    assert [path.name for path in checkpoints(run.checkpoints)] == [f"checkpoint-{STEPS}"]
    smaller = replace(mine, evaluation=replace(mine.evaluation, batch_size=2))
    before = (run.checkpoints / f"checkpoint-{STEPS}" / "model.safetensors").stat().st_mtime_ns
    assert run_experiment(smaller).results.exists()
    assert (run.checkpoints / f"checkpoint-{STEPS}" / "model.safetensors").stat().st_mtime_ns == before
