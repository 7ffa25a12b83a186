"""Whole runs and evaluations by two processes: the same predictions file, byte for byte, and the same model."""

import json
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from tests.distributed import runs
from tests.helpers import largest_difference

TIMED = ("seconds",)
"""What differs between equal runs."""


def figures(path: Path) -> dict[str, Any]:
    found = json.loads(path.read_text())
    return {name: value for name, value in found.items() if isinstance(value, int | float) and name not in TIMED}


def check_same_run(one: Path, two: Path, *, weights: float, results: float) -> None:
    """Check that two finished runs of two epochs gave the same answers, and figures and weights up to rounding."""
    answers = sorted(path.relative_to(one) for path in one.rglob("*.jsonl") if path.name != "metrics.jsonl")
    assert len(answers) == 6, "predictions and verdicts, of the end and of both epochs"
    for name in answers:
        assert (two / name).read_bytes() == (one / name).read_bytes(), name
    assert figures(two / "results.json") == pytest.approx(figures(one / "results.json"), abs=results)
    for name in ("model/model.safetensors", "predictor.safetensors"):
        assert largest_difference(load_file(one / name), load_file(two / name)) < weights


@pytest.mark.slow
@pytest.mark.parametrize("kind", runs.KINDS)
def test_two_ranks_write_the_run_of_one(world: Path, kind: str, tmp_path: Path) -> None:
    runs.write_inputs(tmp_path)
    one, two = runs.run(tmp_path, kind, ranks=1).root, world / "runs" / f"{kind}-2"
    check_same_run(one, two, weights=1e-6, results=1e-5)
    assert {path.name for path in (one / "model").iterdir()} == {path.name for path in (two / "model").iterdir()}


@pytest.mark.slow
def test_the_launch_file_of_fsdp2_in_bfloat16_with_checkpointed_layers_is_near_float64_and_resumes_to_the_bit(
    world: Path,
) -> None:
    exact, whole, pieces = (world / "runs" / name for name in ("fsdp2-2", "bf16", "bf16-pieces"))
    assert int((world / "runs" / "bf16-interruptions").read_text()) > 2
    for name in ("model/model.safetensors", "predictor.safetensors", "predictions.jsonl", "verdicts.jsonl"):
        assert (pieces / name).read_bytes() == (whole / name).read_bytes(), name
    found, wanted = figures(whole / "results.json"), figures(exact / "results.json")
    assert figures(pieces / "results.json") == found
    assert found["loss"] == pytest.approx(wanted["loss"], rel=0.02)
    assert found["loss"] != wanted["loss"]


@pytest.mark.slow
def test_two_ranks_take_turns_in_a_stream(world: Path, tmp_path: Path) -> None:
    runs.write_inputs(tmp_path)
    one, two = runs.run_streamed(tmp_path, ranks=1).root, world / "runs" / "stream-2"
    for name in ("model/model.safetensors", "predictor.safetensors"):
        assert largest_difference(load_file(one / name), load_file(two / name)) < 1e-6
    assert (two / "predictions.jsonl").read_bytes() == (one / "predictions.jsonl").read_bytes()
    found = figures(two / "results.json")
    assert found == pytest.approx(figures(one / "results.json"), abs=1e-5)
    assert found["steps"] == 6


@pytest.mark.slow
def test_two_ranks_evaluate_to_the_file_of_one(world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs.write_inputs(tmp_path)
    one, two = runs.run_evaluation(tmp_path, ranks=1), world / "runs" / "evaluation-2"
    assert (two / "predictions.jsonl").read_bytes() == (one / "predictions.jsonl").read_bytes()
    assert json.loads((two / "evaluation.json").read_text())["examples"] == runs.ROW_COUNT
