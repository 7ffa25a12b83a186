"""Kills -9 of trainings and sweeps, at random moments: `python -m benchmarks.faults` with fewer kills."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from benchmarks.faults.content import content, kept_lines, lost_bytes

ROOT = Path(__file__).resolve().parents[2]


def campaign(*options: str) -> dict[str, dict]:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "benchmarks.faults", *options]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=1800, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout[done.stdout.index("\n{") :])


@pytest.mark.slow
def test_killed_trainings_end_with_the_bytes_of_an_undisturbed_one() -> None:
    found = campaign("--trainings", "4", "--steps", "0", "--sweeps", "0", "--pairs", "0")["trainings"]
    assert sum(found["kills"].values()) == 4
    assert found["runs"] >= 1
    assert (found["different"], found["lost_bytes"]) == ([], 0)


@pytest.mark.slow
def test_killed_sweeps_lose_and_repeat_no_finished_trial_and_end_with_the_table_of_an_undisturbed_one() -> None:
    found = campaign("--trainings", "0", "--steps", "0", "--sweeps", "3", "--pairs", "2")
    for processes, kills in ((1, 3), (2, 2)):
        swept = found[f"sweeps, {processes} at a time"]
        assert sum(swept["kills"].values()) == kills
        assert (swept["trials"], swept["repeated"], swept["different"]) == (12, 0, 0)


def run_folder(folder: Path) -> Path:
    folder.mkdir()
    rows = [{"step": 1, "loss": 2.0, "seconds": 0.5}, {"step": 2, "loss": 1.0, "seconds": 0.9}]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "predictions.jsonl").write_text('{"name": "a"}\n{"name": "b"}\n')
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


@pytest.mark.parametrize(
    ("name", "old", "new", "differs"),
    [
        ("metrics.jsonl", "0.9", "7.5", False),  # durations differ between equal runs
        ("metrics.jsonl", "1.0", "1.1", True),
        ("predictions.jsonl", '"b"', '"c"', True),
        ("model.safetensors", "weights", "weightS", True),
    ],
)
def test_the_comparison_sees_what_differs(name: str, old: str, new: str, differs: bool, tmp_path: Path) -> None:
    one, other = run_folder(tmp_path / "one"), run_folder(tmp_path / "other")
    path = other / name
    path.write_text(path.read_text().replace(old, new))
    assert (content(one) != content(other)) is differs


def test_a_finished_line_that_is_gone_counts_as_lost(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "run")
    before = kept_lines(folder)
    assert before == Counter({b'predictions.jsonl {"name": "a"}': 1, b'predictions.jsonl {"name": "b"}': 1})
    assert lost_bytes(before, kept_lines(folder)) == 0
    (folder / "predictions.jsonl").write_text('{"name": "b"}\n')
    assert lost_bytes(before, kept_lines(folder)) == len(b'predictions.jsonl {"name": "a"}')
