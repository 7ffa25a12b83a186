"""`llm-jepa sweep` from outside: what it refuses, and sweeps that are killed, shared, and hit by dying processes."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from tests.experiments.small_runs import restored_logging, write_base, write_rows
from tests.experiments.sweep.sweep_fakes import counted

from llm_jepa.cli import main
from llm_jepa.experiments.sweep import sweeping

PROJECT = Path(__file__).resolve().parents[3]
FAKE = ["-m", "tests.experiments.sweep.sweep_command"]
SMALL = ["--learning_rates", "2e-5", "4e-5", "--ks", "0", "3", "--weights", "0.5", "2", "--seeds", "82", "23"]
CONFIG = {
    "output": "sweep",
    "model": {"name": "none"},
    "data": {"train": "train.jsonl", "validation": "validation.jsonl", "test": "test.jsonl"},
    "training": {"use_cpu": True},
}
DEADLINE = 600


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Work in an empty folder with a config."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    with restored_logging():
        yield tmp_path


def start(folder: Path, *more: str, program: list[str] = FAKE, seconds: float = 0.0) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1", "FAKE_SECONDS": str(seconds)}
    command = [sys.executable, *program, "config.yaml", *SMALL, *more]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=folder, env=environment, **pipes)  # pyright: ignore[reportCallIssue, reportArgumentType]


def finish(process: subprocess.Popen[str]) -> str:
    told, wrong = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0, wrong
    return " ".join(told.split())


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def table(folder: Path) -> list[dict]:
    return json.loads((folder / "sweep" / "sweep.json").read_text())["trials"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--weights", "0"], "--weights has 0, but its values are above 0"),
        (["--ks", "one"], "argument --ks: no whole number: 'one'"),
        (["--search", "best"], "argument --search: invalid choice: 'best'"),
        (["--protocol", "test"], "argument --protocol: invalid choice"),
        (["--trials", "3"], "--trials is 3"),
        (["--layout.kk", "1"], "config: there is no field 'layout.kk'"),
        (["--data.shuffle_pairs", "true"], "data.shuffle_pairs is the control"),
        (["--replay", "nowhere"], "there is no folder 'nowhere'"),
        (["--storage", "nodialect://host/db"], "--storage: cannot open 'nodialect://host/db'"),
    ],
)
def test_mistakes_are_one_sentence(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", "config.yaml", *arguments]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1


@pytest.mark.parametrize(
    ("data", "protocol", "message"),
    [
        (
            {"train": "train.jsonl", "test": "test.jsonl"},
            "validation",
            "choices are made on validation rows, and there are none",
        ),
        ({"train": "nl_rx_synth", "validation_size": 0}, "validation", "choices are made on validation rows"),
        ({"train": "train.jsonl", "validation": "v.jsonl"}, "validation", "a sweep reports on test rows"),
        ({"train": "train.jsonl", "validation": "v.jsonl"}, "paper", "a sweep reports on test rows"),
    ],
)
def test_rows_to_choose_on_and_rows_to_report_are_asked_for(
    data: dict, protocol: str, message: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "config.yaml").write_text(yaml.safe_dump(CONFIG | {"data": data}))
    assert main(["sweep", "config.yaml", "--protocol", protocol]) == 2
    assert message in capsys.readouterr().err
    assert not (here / "sweep").exists()


def test_a_sweep_whose_config_changed_is_refused(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Begun(Exception):
        pass

    def begun(*given: object) -> None:
        raise Begun

    monkeypatch.setattr(sweeping, "Ledger", begun)
    with pytest.raises(Begun):
        main(["sweep", "config.yaml"])
    assert main(["sweep", "config.yaml", "--objective.gamma", "0.5"]) == 2
    assert capsys.readouterr().err == (
        "error: output: 'sweep' holds a sweep that began otherwise (different: objective.gamma); give the same command, or "
        "another folder with `--output`\n"
    )
    with pytest.raises(Begun):
        main(["sweep", "config.yaml", "--seed", "7"])  # the seeds are the plan's


@pytest.mark.slow
def test_a_killed_sweep_goes_on_and_repeats_no_finished_trial(here: Path) -> None:
    straight = here / "straight"
    straight.mkdir()
    (straight / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    finish(start(straight, "--workers", "1"))
    process = start(here, "--workers", "1", seconds=2.0)
    wait_for(lambda: len(counted(here)) == 4)
    process.kill()
    process.communicate()
    done = {path: path.stat().st_mtime_ns for path in (here / "sweep" / "trials").glob("*/results.json")}
    assert len(done) == 3
    told = finish(start(here, "--workers", "1"))
    assert table(here) == table(straight)
    assert {path: path.stat().st_mtime_ns for path in done} == done
    assert len(counted(here)) == 11  # 10 trials, and the one that was running twice
    assert "Settings were chosen on the validation rows" in told
    assert (here / "sweep" / "report.html").exists()
    assert not list((here / "sweep").rglob("*.partial"))


@pytest.mark.slow
def test_two_processes_at_once_run_every_trial_once_and_end_with_the_same_table(here: Path) -> None:
    both = [start(here, "--workers", "1", seconds=0.3) for _ in range(2)]
    for process in both:
        finish(process)
    runs = counted(here)
    assert len(runs) == len(set(runs)) == 10
    assert {row["status"] for row in table(here)} == {"finished"}
    assert len({line.split()[-1] for line in (here / "counter.txt").read_text().splitlines()}) == 2  # both took part


@pytest.mark.slow
def test_a_trial_whose_process_dies_is_a_failure_and_the_sweep_goes_on(here: Path) -> None:
    (here / "broken.json").write_text(json.dumps({"2": "killed"}))
    told = finish(start(here, "--workers", "1", "--protocol", "paper", "--ks", "3"))
    failed = [row for row in table(here) if row["status"] == "failed"]
    assert [row["sentence"] for row in failed] == ["its process was killed 3 times; most likely the memory is not enough"]
    assert told.count("Failed: jepa, k ") == 1
    assert len([name for name in counted(here) if counted(here).count(name) == 3]) == 3  # that trial, three times
    assert "SETTINGS WERE CHOSEN ON THE TEST ROWS, as the paper did" in told
    page = re.sub(r"\s+", " ", (here / "sweep" / "report.html").read_text())
    assert "SETTINGS WERE CHOSEN ON THE TEST ROWS" in page
    assert "CHOSEN ON THE TEST ROWS (the paper" in page  # the heading too


@pytest.mark.slow
def test_a_sweep_trains_scores_and_survives_a_kill_in_the_middle_of_a_training(here: Path) -> None:
    write_base(here / "base")
    for name in ("train", "validation", "test"):
        write_rows(here / f"{name}.jsonl")
    training = {"use_cpu": True, "max_steps": 24, "save_strategy": "steps", "save_steps": 12}
    more = {"model": {"name": "base"}, "training": training, "evaluation": {"max_new_tokens": 8}}
    (here / "config.yaml").write_text(yaml.safe_dump(CONFIG | more))
    arguments = ["--ks", "1", "--weights", "0.1", "--learning_rates", "1e-2", "--seeds", "82", "--workers", "1"]
    program = ["-m", "llm_jepa", "sweep"]
    process = start(here, *arguments, program=program)
    wait_for(lambda: bool(list((here / "sweep").glob("trials/*/metrics.jsonl"))))
    process.kill()
    process.communicate()
    finish(start(here, *arguments, program=program))
    rows = table(here)
    assert [(row["arm"], row["status"]) for row in rows] == [
        ("plain", "finished"),
        ("jepa", "finished"),
        ("shuffled", "finished"),
    ]
    assert all(0 <= row["validation"] <= 1 and row["seconds"] > 0 and row["flops"] > 0 for row in rows)
    assert not list((here / "sweep").glob("trials/*/checkpoints"))
    assert (here / "sweep" / "report.html").exists()
