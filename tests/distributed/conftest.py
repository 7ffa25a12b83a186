"""One launch of two processes for all tests of this folder: starting them costs more than what they do."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock
from tests.distributed import runs
from tests.distributed.cases import ENGINES, RESUMED, run

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """Return the folder of what one and two processes did, the same for all workers of pytest-xdist."""
    base = tmp_path_factory.getbasetemp()
    root = (base if worker_id == "master" else base.parent) / "world"
    with FileLock(f"{root}.lock"):
        if not root.exists():
            _launch(root)
    assert (root / "ended").exists(), (root / "told").read_text()[-5000:]
    return root


def _launch(root: Path) -> None:
    """Make the checkpoints that two processes resume, and then let two processes do all they have to."""
    (root / "runs").mkdir(parents=True)
    runs.write_inputs(root / "runs")
    for engine in ENGINES:
        run(RESUMED, root / "checkpoints" / engine, engine=engine)
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    worker = str(ROOT / "tests" / "distributed" / "worker.py")
    command = [sys.executable, "-W", "ignore", *launcher, worker, str(root), str(root / "checkpoints")]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    with (root / "told").open("w") as told:
        done = subprocess.run(command, env=environment, stdout=told, stderr=told, timeout=600, check=False)
    if done.returncode == 0:
        (root / "ended").touch()
