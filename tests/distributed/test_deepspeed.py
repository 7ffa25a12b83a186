"""DeepSpeed's ZeRO 2 and 3: two processes train, score, save and resume as one process does without it."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from accelerate.utils import DistributedType
from safetensors.torch import load_file
from tests.distributed import runs
from tests.distributed.cases import CASES, TOGETHER
from tests.distributed.deepspeed_worker import TRAINED
from tests.distributed.test_run_by_ranks import check_same_run, figures
from tests.helpers import conversations, largest_difference, packed_model, train, weights
from transformers import AutoModelForCausalLM

from llm_jepa.errors import UserError
from llm_jepa.experiments.run import run_experiment
from llm_jepa.model.load import prepare
from llm_jepa.model.lora import LoRA, with_adapters
from llm_jepa.training.sharded import check_resumable

pytest.importorskip("deepspeed", reason="DeepSpeed is an optional engine, and is not installed")

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", TRAINED)
def test_two_ranks_under_zero_train_as_one_process_does(zero: Path, tmp_path: Path, name: str) -> None:
    case = CASES[name]
    model: Any = packed_model("llama", k=2, dtype=torch.float32)
    if case.lora:
        model = with_adapters(model, LoRA(rank=4), k=2, seed=0)
    options = {"batch": TOGETHER, "accumulation": case.accumulation, **case.options}
    logs = train(model, conversations(case.samples), case.objective, folder=tmp_path, **options)
    assert largest_difference(load_file(zero / "cases" / name / "weights.safetensors"), weights(model)) < 1e-5
    found = json.loads((zero / "cases" / name / "logs.json").read_text())
    assert [entry["loss"] for entry in found if "loss" in entry] == pytest.approx(
        [entry["loss"] for entry in logs if "loss" in entry], rel=1e-5
    )


@pytest.mark.parametrize("kind", ["whole", "lora"])
def test_a_whole_run_under_zero_is_that_of_one_process(zero: Path, tmp_path: Path, kind: str) -> None:
    runs.write_inputs(tmp_path)
    made = runs.described(tmp_path, "ddp", ranks=1)
    made = replace(made, model=replace(made.model, dtype="float32", lora=LoRA(rank=4) if kind == "lora" else None))
    one, two = run_experiment(made).root, zero / "runs" / kind
    check_same_run(one, two, weights=1e-5, results=1e-4)


def test_a_run_stopped_and_resumed_under_zero_is_one_that_was_not(zero: Path) -> None:
    whole, pieces = zero / "runs" / "whole", zero / "runs" / "pieces"
    assert int((zero / "runs" / "interruptions").read_text()) > 2
    for name in ("model/model.safetensors", "predictor.safetensors", "predictions.jsonl", "verdicts.jsonl"):
        assert (pieces / name).read_bytes() == (whole / name).read_bytes(), name
    assert figures(pieces / "results.json") == figures(whole / "results.json")


def test_a_checkpoint_of_zero_is_continued_by_as_many_processes_under_zero_alone(zero: Path, tmp_path: Path) -> None:
    checkpoint = zero / "runs" / "whole" / "checkpoints" / "checkpoint-4"
    model: Any = packed_model("llama", k=1, dtype=torch.float32)
    with pytest.raises(UserError, match=r"^checkpoint-4 was written under DeepSpeed, "):
        train(model, conversations(4), CASES["cosine"].objective, folder=tmp_path, resume=checkpoint)
    two: Any = SimpleNamespace(distributed_type=DistributedType.DEEPSPEED, num_processes=2)
    check_resumable(two, checkpoint)
    two.num_processes = 3
    with pytest.raises(UserError, match=r"^checkpoint-4 was written by 2 processes, .* launch 2 processes$"):
        check_resumable(two, checkpoint)


def test_a_run_by_the_launch_file_in_bfloat16_is_near_that_in_float32(zero: Path) -> None:
    whole, halved = (figures(zero / "runs" / name / "results.json") for name in ("whole", "bf16"))
    assert halved["left_out"] == 0
    assert halved["loss"] != whole["loss"]
    assert halved["loss"] == pytest.approx(whole["loss"], rel=0.02)
    saved = AutoModelForCausalLM.from_pretrained(zero / "runs" / "bf16" / "model")
    assert all(torch.isfinite(parameter).all() for parameter in saved.parameters())


def test_a_config_of_deepspeed_that_says_other_than_the_run_is_one_sentence(zero: Path) -> None:
    said = (zero / "runs" / "refusal").read_text()
    assert said.startswith("training.deepspeed: Please correct the following DeepSpeed config values that mismatch ")
    assert "bf16.enabled=True" in said
    assert "\n" not in said


def test_a_model_that_was_loaded_in_pieces_is_refused() -> None:
    model = packed_model("llama", k=0)
    next(model.parameters()).ds_id = 0  # pyright: ignore[reportAttributeAccessIssue] - DeepSpeed's mark
    with pytest.raises(
        UserError, match=r"^the model was loaded in pieces, for DeepSpeed's ZeRO 3, .* before `TrainingArgum"
    ):
        prepare(model, k=1)
