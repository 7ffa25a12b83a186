"""Two processes leave out the same step, though the loss of one of them is finite; and stop at the same one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

ROOT = Path(__file__).resolve().parents[2]
WORKER = Path(__file__).with_name("nonfinite_worker.py")


def run(folder: Path, processes: int, policy: str) -> tuple[dict, list, list[str]]:
    """Train with one process, or with two that share its batches; return weights, logs and what was told."""
    folder.mkdir()
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    command = [sys.executable, "-W", "ignore", *launcher, str(WORKER), str(folder), str(4 // processes), policy]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    written = [json.loads((folder / name).read_text()) for name in ("logs.json", "told.json")]
    return load_file(folder / "weights.safetensors"), *written


@pytest.mark.slow
def test_two_ranks_leave_out_the_step_that_one_of_them_cannot_take(tmp_path: Path) -> None:
    one, logs, told = run(tmp_path / "one", 1, "skip")
    two, two_logs, two_told = run(tmp_path / "two", 2, "skip")
    assert max(float((one[name] - two[name]).abs().max()) for name in one) < 1e-12
    assert [entry["step"] for entry in logs] == [entry["step"] for entry in two_logs]
    assert len(logs) == 4
    assert two_told == told
    assert told[0].endswith("the loss is nan, in random:13; its update is left out (so far: 1)")


@pytest.mark.slow
def test_two_ranks_stop_at_the_step_that_one_of_them_cannot_take(tmp_path: Path) -> None:
    _, _, told = run(tmp_path / "two", 2, "stop")
    step = int(told[0].split()[1].rstrip(":"))
    assert told[0].startswith(
        f"step {step}: the loss is nan, in random:13. The weights are those after step {step - 1}, and saved"
    )
    assert (tmp_path / "two" / "trainer" / f"checkpoint-{step - 1}" / "manifest.json").exists()
