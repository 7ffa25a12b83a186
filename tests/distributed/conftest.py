"""Few launches of two processes for all tests of this folder: starting them costs more than what they do."""

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from filelock import FileLock
from tests.distributed import runs
from tests.distributed.cases import ENGINES, RESUMED, run

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """Return the folder of what one and two processes did, the same for all workers of pytest-xdist."""
    return _once("world", _launch_all, tmp_path_factory, worker_id)


@pytest.fixture(scope="session", params=[2, 3], ids=lambda stage: f"zero{stage}")
def zero(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """Return the folder of what two processes did under a stage of DeepSpeed's ZeRO."""
    launch = partial(_launch_zero, stage=request.param)
    return _once(f"zero{request.param}", launch, tmp_path_factory, worker_id)


def _once(name: str, launch: Callable[[Path], None], factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """Return a folder that is filled by the first worker of pytest-xdist that wants it."""
    base = factory.getbasetemp()
    root = (base if worker_id == "master" else base.parent) / name
    with FileLock(f"{root}.lock"):
        if not root.exists():
            (root / "runs").mkdir(parents=True)
            runs.write_inputs(root / "runs")
            launch(root)
    assert (root / "ended").exists(), (root / "told").read_text()[-5000:]
    return root


def _launch_all(root: Path) -> None:
    """Make the checkpoints that two processes resume, and then let two processes do all they have to."""
    for engine in ENGINES:
        run(RESUMED, root / "checkpoints" / engine, engine=engine)
    _launch(root, "worker.py", str(root), str(root / "checkpoints"))


def _launch_zero(root: Path, *, stage: int) -> None:
    _launch(root, "deepspeed_worker.py", str(root), str(stage), DS_ACCELERATOR="cpu")


def _launch(root: Path, worker: str, *arguments: str, **variables: str) -> None:
    """Run a file of this folder by two processes; what they told is in `told`, and `ended` is there if all went well."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    command = [sys.executable, "-W", "ignore", *launcher, str(ROOT / "tests" / "distributed" / worker), *arguments]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    with (root / "told").open("w") as told:
        done = subprocess.run(command, env=environment | variables, stdout=told, stderr=told, timeout=600, check=False)
    if done.returncode == 0:
        (root / "ended").touch()
