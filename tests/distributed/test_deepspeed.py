"""DeepSpeed's ZeRO 2 and 3 with two processes give the weights of one process, where DeepSpeed is installed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.distributed.cases import CASES, TOGETHER
from tests.helpers import conversations, packed_model, train, weights

pytest.importorskip("deepspeed", reason="DeepSpeed is an optional engine, and is not installed")

ROOT = Path(__file__).resolve().parents[2]
WORKER = Path(__file__).with_name("deepspeed_worker.py")


@pytest.mark.slow
@pytest.mark.parametrize("stage", [2, 3])
@pytest.mark.parametrize("name", ["cosine", "infonce"])
def test_two_ranks_under_zero_train_as_one_process_does(tmp_path: Path, name: str, stage: int) -> None:
    case = CASES[name]
    model = packed_model("llama", k=2, dtype=torch.float32)
    options = {"batch": TOGETHER, "accumulation": case.accumulation, **case.options}
    train(model, conversations(case.samples), case.objective, folder=tmp_path / "one", **options)
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    command = [sys.executable, "-W", "ignore", *launcher, str(WORKER), str(tmp_path), name, str(stage)]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "OMP_NUM_THREADS": "1", "DS_ACCELERATOR": "cpu"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found, wanted = load_file(tmp_path / "weights.safetensors"), weights(model)
    assert found.keys() == wanted.keys()
    assert max(float((found[key] - wanted[key]).abs().max()) for key in wanted) < 1e-5
