"""A run that a signal stops, as a cluster does before it takes a machine away, and that goes on with the same command."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MODEL = (
    "{model_type: llama, hidden_size: 32, intermediate_size: 48, num_hidden_layers: 2, num_attention_heads: 2, "
    "max_position_embeddings: 64}"
)
ROWS = [{"text": f"line {index}", "code": f"[{index}]"} for index in range(4)]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder with good data in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return tmp_path


def without_time(metrics: Path) -> list[dict[str, float]]:
    """The logs of a run, but the seconds, in which equal runs differ."""
    rows = [json.loads(line) for line in metrics.read_text().splitlines()]
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


@pytest.mark.slow
def test_a_terminated_run_ends_as_an_undisturbed_one(here: Path) -> None:
    command = [sys.executable, "-m", "llm_jepa", "train", "--data.train", "good.jsonl", "--model.config", MODEL]
    command += ["--model.vocabulary", "300", "--training.use_cpu", "true", "--training.max_steps", "400"]
    command += ["--training.logging_steps", "7", "--objective.dropout", "0.5", "--training.save_strategy", "no"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}

    def start(output: str) -> "subprocess.Popen[str]":
        with (here / f"{output}.txt").open("a") as told:
            return subprocess.Popen([*command, "--output", output], env=environment, cwd=here, stderr=told, text=True)

    straight = start("straight")
    assert straight.wait(240) == 0
    stopped = start("stopped")
    metrics = here / "stopped" / "metrics.jsonl"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not (metrics.exists() and metrics.read_text().count("\n") > 3):
        time.sleep(0.02)
    stopped.send_signal(signal.SIGTERM)
    stopped.wait(120)
    told = (here / "stopped.txt").read_text()
    assert stopped.returncode == 128 + signal.SIGTERM, told
    assert "the same command continues" in told
    assert not (here / "stopped" / "results.json").exists()
    assert start("stopped").wait(240) == 0
    lines = [without_time(here / run / "metrics.jsonl") for run in ("straight", "stopped")]
    assert lines[0] == lines[1]
    weights = [(here / run / "model" / "model.safetensors").read_bytes() for run in ("straight", "stopped")]
    assert weights[0] == weights[1]
