"""Two processes with gloo give the weights and the logs of one: batch x accumulation x ranks is one gradient."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file
from tests.helpers import largest_difference

ROOT = Path(__file__).resolve().parents[2]


def run(folder: Path, kind: str, *, ranks: int, batch: int, accumulation: int = 1) -> Path:
    """Train with so many processes, each with one thread, and return the folder of the results."""
    folder.mkdir()
    launcher = [] if ranks == 1 else ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={ranks}"]
    worker = str(ROOT / "tests" / "distributed" / "worker.py")
    command = [sys.executable, "-W", "ignore", *launcher, worker, str(folder), kind, str(batch), str(accumulation)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "accumulation"),
    [("cosine", 1), ("cosine", 2), ("infonce", 1), ("dropout", 2)],
)
def test_two_ranks_give_the_weights_and_logs_of_one(tmp_path: Path, kind: str, accumulation: int) -> None:
    one = run(tmp_path / "one", kind, ranks=1, batch=8, accumulation=accumulation)
    two = run(tmp_path / "two", kind, ranks=2, batch=4, accumulation=accumulation)
    assert largest_difference(load_file(one / "weights.safetensors"), load_file(two / "weights.safetensors")) < 1e-6
    alone, together = (json.loads((folder / "logs.json").read_text()) for folder in (one, two))
    for name in ("loss", "next_token", "jepa", "tokens", "cosine_matched", "cosine_gap"):
        assert [entry.get(name) for entry in alone] == pytest.approx([entry.get(name) for entry in together], abs=1e-5), name


@pytest.mark.slow
def test_means_over_micro_batches_are_averaged_over_ranks_and_summed_over_accumulation(tmp_path: Path) -> None:
    one = run(tmp_path / "one", "half micro-batches", ranks=1, batch=4, accumulation=2)
    two = run(tmp_path / "two", "micro-batches", ranks=2, batch=4)
    assert largest_difference(load_file(one / "weights.safetensors"), load_file(two / "weights.safetensors")) < 1e-6
    alone, together = (json.loads((folder / "logs.json").read_text()) for folder in (one, two))
    for name in ("loss", "grad_norm", "next_token", "jepa"):
        assert [entry.get(name) for entry in alone] == pytest.approx([entry.get(name) for entry in together], abs=1e-5), name
