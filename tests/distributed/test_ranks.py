"""Two processes give the weights, gradients and logs of one, under DDP and FSDP2: all that matters is the whole batch."""

import json
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from tests.distributed.cases import CASES, ENGINES, RESUMED, Outcome, run
from tests.helpers import largest_difference

from llm_jepa.errors import UserError

ROUNDING = 1e-6
"""Adam magnifies the rounding of float64 where a gradient is nearly zero."""

LOGGED = ("loss", "grad_norm", "next_token", "jepa", "tokens", "cosine_matched", "cosine_gap", "retrieval_at_1", "pairs")


def together(folder: Path) -> Outcome:
    """Return what two processes did."""
    logs = json.loads((folder / "logs.json").read_text())
    return Outcome(load_file(folder / "weights.safetensors"), load_file(folder / "gradients.safetensors"), logs)


def check_same(one: Outcome, other: Outcome) -> None:
    assert largest_difference(one.gradients, other.gradients) < ROUNDING
    assert largest_difference(one.weights, other.weights) < ROUNDING
    check_same_logs(one.logs, other.logs)


def check_same_logs(one: list[dict[str, Any]], other: list[dict[str, Any]]) -> None:
    for entry, same in zip(one, other, strict=True):
        assert [entry.get(name) for name in LOGGED] == pytest.approx([same.get(name) for name in LOGGED], abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["ddp", "fsdp2"])
@pytest.mark.parametrize("name", [name for name in CASES if name != "micro-batches"])
def test_two_ranks_give_the_weights_gradients_and_logs_of_one(world: Path, engine: str, name: str, tmp_path: Path) -> None:
    check_same(run(CASES[name], tmp_path), together(world / engine / name))


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["ddp", "fsdp2"])
def test_means_over_micro_batches_are_averaged_over_ranks_and_summed_over_accumulation(
    world: Path, engine: str, tmp_path: Path
) -> None:
    one, two = run(CASES["micro-batches"], tmp_path), together(world / engine / "micro-batches")
    assert largest_difference(one.gradients, two.gradients) < ROUNDING
    assert largest_difference(one.weights, two.weights) < ROUNDING


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_a_checkpoint_of_one_process_resumes_on_two(world: Path, engine: str) -> None:
    straight, resumed = together(world / engine / "straight"), together(world / engine / "resumed")
    assert largest_difference(straight.weights, resumed.weights) < ROUNDING
    check_same_logs(straight.logs[-2:], resumed.logs[-2:])


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_a_checkpoint_of_two_processes_resumes_on_one(world: Path, engine: str, tmp_path: Path) -> None:
    checkpoint = world / engine / "straight" / "trainer" / "checkpoint-3"
    resumed = run(RESUMED, tmp_path, engine=engine, resume=checkpoint)
    assert largest_difference(together(world / engine / "straight").weights, resumed.weights) < ROUNDING


@pytest.mark.slow
@pytest.mark.parametrize("engine", [engine for engine in ENGINES if engine != "ddp"])
def test_a_checkpoint_of_fsdp2_is_not_continued_without_its_optimizer(world: Path, engine: str, tmp_path: Path) -> None:
    checkpoint = world / engine / "straight" / "trainer" / "checkpoint-3"
    with pytest.raises(UserError, match=r"^checkpoint-3 was written under FSDP, "):
        run(RESUMED, tmp_path, engine="ddp", resume=checkpoint)


@pytest.mark.slow
def test_two_ranks_resumed_end_as_one_process_that_never_stopped(world: Path, tmp_path: Path) -> None:
    alone = run(RESUMED, tmp_path)
    for engine in ENGINES:
        assert largest_difference(alone.weights, together(world / engine / "resumed").weights) < ROUNDING
