"""SIGTERM, as a cluster sends it before it takes a machine away: all is saved, exit code 143, and the same call goes on."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.experiments.small_runs import experiment, write_base, write_rows

from llm_jepa.experiments.config import dump_experiment
from llm_jepa.experiments.experiment import Experiment
from llm_jepa.experiments.files import RunFolder
from llm_jepa.experiments.interruption import Interrupted
from llm_jepa.experiments.run import run_experiment
from llm_jepa.experiments.show import Show
from llm_jepa.model.load import ModelConfig
from llm_jepa.training.checkpoints import checkpoints

ROOT = Path(__file__).resolve().parents[2]


def described(folder: Path, **training: Any) -> Experiment:
    base, rows = write_base(folder / "base"), write_rows(folder / "rows.jsonl")
    made = experiment(folder / "run", rows, ModelConfig(name=str(base)), **training)
    return replace(made, evaluation=replace(made.evaluation, batch_size=1, max_new_tokens=4))


def test_a_run_that_keeps_no_checkpoints_saves_one_when_it_is_terminated_while_it_is_scored(tmp_path: Path) -> None:
    mine = described(tmp_path, save_strategy="no", max_steps=2)
    answered: list[int] = []

    def terminate_after_two(done: int, total: int) -> None:
        del total
        answered.append(done)
        if done == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Interrupted) as stopped:
        run_experiment(mine, show=Show(evaluate=terminate_after_two))
    assert stopped.value.exit_code == 143
    assert answered[-1] == 2
    assert signal.getsignal(signal.SIGTERM) == before
    run = RunFolder(tmp_path / "run")
    assert [path.name for path in checkpoints(run.checkpoints)] == ["checkpoint-2"]
    kept = (run.root / "predictions.jsonl").read_bytes()
    assert kept.count(b"\n") == 2

    def refused(*told: object) -> None:
        raise AssertionError(f"a step is trained again: {told}")

    run_experiment(mine, show=Show(train=refused))
    assert set(kept.splitlines()) < set((run.root / "predictions.jsonl").read_bytes().splitlines())


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 600
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.slow
def test_a_comparison_hands_sigterm_on_to_its_runs(tmp_path: Path) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text(dump_experiment(described(tmp_path, save_strategy="no", max_steps=100_000, logging_steps=1)))
    command = [sys.executable, "-m", "llm_jepa", "compare", str(config), "--seeds", "1", "--only", "plain", "--workers", "1"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True)
    run = RunFolder(tmp_path / "run" / "plain" / "seed-1")
    wait_for(lambda: process.poll() is not None or (run.metrics.exists() and run.metrics.read_bytes().count(b"\n") > 2))
    process.send_signal(signal.SIGTERM)
    told = process.communicate(timeout=600)
    assert process.returncode == 143, told
    assert "terminated; the same command continues" in told[1]
    (saved,) = checkpoints(run.checkpoints)
    logged = [json.loads(line)["step"] for line in run.metrics.read_text().splitlines()]
    assert saved.name == f"checkpoint-{logged[-1]}"
