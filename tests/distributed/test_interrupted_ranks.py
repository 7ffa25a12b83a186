"""Two processes that run out of time stop at the same step and between the same answers, and end as if nothing had been."""

import os
import socket
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


def launchers(machines: int) -> list[list[str]]:
    """Return how two processes are launched: together, or one on each of two machines, which are this one twice."""
    if machines == 1:
        return [["--standalone", "--nproc_per_node=2"]]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        meeting = ["--master_addr=127.0.0.1", f"--master_port={free.getsockname()[1]}"]
    return [["--nnodes=2", f"--node_rank={rank}", "--nproc_per_node=1", *meeting] for rank in range(2)]


def call(config: Path, output: Path, *options: str, machines: int = 1) -> str:
    """Run two processes of `llm-jepa train` and return what they told."""
    train = ["-m", "llm_jepa", "train", str(config), "--output", str(output), *options]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    started = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "torch.distributed.run", *launcher, *train],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for launcher in launchers(machines)
    ]  # fmt: skip
    return "".join(process.communicate(timeout=300)[0] for process in started)


@pytest.mark.slow
@pytest.mark.parametrize("machines", [1, 2])
def test_two_ranks_out_of_time_again_and_again_end_as_undisturbed_ones(tmp_path: Path, machines: int) -> None:
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
        told = call(config, pieces.root, "--max_minutes", "0.0001", machines=machines)
        assert calls < MOST_CALLS, told[-3000:]
    assert calls > 2
    assert (pieces.model / "model.safetensors").read_bytes() == (whole.model / "model.safetensors").read_bytes()
    folders = [[path.relative_to(run.root) for path in sorted(run.epochs.rglob("*.jsonl"))] for run in (whole, pieces)]
    assert folders[0] == folders[1]
    assert folders[0]
