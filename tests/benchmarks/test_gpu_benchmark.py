"""`python -m benchmarks.gpu` runs end to end on a CPU with tiny shapes; what it measures there means nothing."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from benchmarks.gpu.correctness import check
from benchmarks.gpu.samples import read, samples

from llm_jepa.packing.mask import Visibility

PROJECT = Path(__file__).resolve().parents[2]
ABSENT = "datasets", "jsonargparse", "automata", "trl", "matplotlib", "optuna"
"""Packages of the project that a GPU machine need not have."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    folder = tmp_path_factory.mktemp("gpu")
    blocked = (
        f"import sys; sys.modules.update(dict.fromkeys({ABSENT!r})); from benchmarks.gpu.run import main; sys.exit(main())"
    )
    command = [sys.executable, "-c", blocked, "--device", "cpu", "--size", "tiny", "--out", str(folder)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout, folder


def test_all_parts_run_and_the_table_comes_last(run: tuple[str, Path]) -> None:
    printed, folder = run
    assert printed.splitlines()[-1].startswith("CPU, ")
    assert "| tiny | LLM-JEPA shared, dropout 0.75, sdpa |" in printed
    assert sorted(path.name for path in folder.iterdir()) == ["profile-tiny.txt", "record.json", "tables.md"]
    record: dict[str, Any] = json.loads((folder / "record.json").read_text(encoding="utf-8"))
    assert len(record["verdicts"]) == 3 * 2 * 3
    assert all(verdict["passed"] for verdict in record["verdicts"])
    assert record["left_out"] == []


def test_without_time_everything_is_left_out_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from benchmarks.gpu.run import main

    assert main(["--device", "cpu", "--size", "tiny", "--minutes", "0", "--out", str(tmp_path)]) == 0
    record = json.loads((tmp_path / "record.json").read_text(encoding="utf-8"))
    assert record["left_out"] == [
        *(f"correctness of {name}" for name in ("Llama", "Gemma 2", "Qwen3")),
        "throughput of tiny",
    ]
    assert "left out for lack of time: throughput of tiny" in capsys.readouterr().out


def test_a_wrong_mask_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    torch._dynamo.reset()
    right = Visibility.sees
    monkeypatch.setattr(Visibility, "sees", lambda self, _window=None: right(self))  # the sliding window is lost
    found = check(samples(read(None, 12), vocabulary=512), device="cpu", family="Gemma 2")
    passed = {verdict.name: verdict.passed for verdict in found}
    assert passed["Gemma 2, float32, separate"]
    assert not passed["Gemma 2, float32, eager"]
    assert not passed["Gemma 2, float32, flex"]
    torch._dynamo.reset()
