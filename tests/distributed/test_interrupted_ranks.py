"""Two processes that run out of time stop at the same step and between the same answers, and end as if nothing had been."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from tests.experiments.small_runs import experiment, write_base, write_rows

from llm_jepa.experiments.config import dump_experiment
from llm_jepa.experiments.files import RunFolder
from llm_jepa.model.load import ModelConfig

ROOT = Path(__file__).resolve().parents[2]
MOST_CALLS = 12


def call(config: Path, output: Path, *options: str) -> str:
    """Run two processes of `llm-jepa train` and return what they told."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m", "llm_jepa"]
    command = [sys.executable, "-W", "ignore", *launcher, "train", str(config), "--output", str(output), *options]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    return done.stdout + done.stderr


@pytest.mark.slow
def test_two_ranks_out_of_time_again_and_again_end_as_undisturbed_ones(tmp_path: Path) -> None:
    rows, base = write_rows(tmp_path / "rows.jsonl"), write_base(tmp_path / "base")
    made = experiment(tmp_path / "run", rows, ModelConfig(name=str(base)), max_steps=2, per_device_train_batch_size=1)
    made = replace(made, evaluation=replace(made.evaluation, max_new_tokens=2, each_epoch=True))
    config = tmp_path / "run.yaml"
    config.write_text(dump_experiment(made))
    whole, pieces = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "pieces")
    told = call(config, whole.root)
    assert whole.results.exists(), told[-3000:]
    calls = 0
    while not pieces.results.exists():
        calls += 1
        told = call(config, pieces.root, "--max_minutes", "0.0001")
        assert calls < MOST_CALLS, told[-3000:]
    assert calls > 2
    assert (pieces.model / "model.safetensors").read_bytes() == (whole.model / "model.safetensors").read_bytes()
    folders = [[path.relative_to(run.root) for path in sorted(run.epochs.rglob("*.jsonl"))] for run in (whole, pieces)]
    assert folders[0] == folders[1]
    assert folders[0]
