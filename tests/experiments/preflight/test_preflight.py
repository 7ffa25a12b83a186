"""`llm-jepa preflight` on tiny models: what it finds, prints and leaves alone."""

import json
from pathlib import Path

import pytest
import torch
from tests.experiments.small_runs import ROWS, experiment, restored_logging, write_base, write_rows
from torch import nn

from llm_jepa.cli import main
from llm_jepa.experiments.config import dump_experiment
from llm_jepa.experiments.material import prepare_material
from llm_jepa.experiments.preflight import command
from llm_jepa.experiments.preflight import probe as probing
from llm_jepa.experiments.preflight.checks import Verdict
from llm_jepa.experiments.preflight.measures import gradients
from llm_jepa.experiments.preflight.probe import _trainer
from llm_jepa.model.load import LoRA, ModelConfig, load_model
from llm_jepa.objective.jepa import JEPA

NAMES = ["views", "leakage", "data", "alignment", "weight", "first steps", "cost", "memory"]


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return write_base(tmp_path / "base")


def found(folder: Path, model: ModelConfig, *, rows: list[dict[str, str]] = ROWS, steps: int = 2, **options):
    data = write_rows(folder / "rows.jsonl", rows)
    checks = command.check(experiment(folder / "run", data, model, **options), steps=steps)
    return {check.name: check for check in checks}


@pytest.mark.parametrize("lora", [None, LoRA(rank=2)], ids=["full", "lora"])
def test_everything_is_measured_and_nothing_is_left_behind(lora, base, tmp_path):
    checks = found(tmp_path, ModelConfig(name=str(base), lora=lora))
    assert list(checks) == NAMES
    assert sorted(path.name for path in tmp_path.iterdir()) == ["base", "rows.jsonl"]
    assert checks["cost"].numbers["steps"] == 24
    assert checks["cost"].numbers["probing_steps"] == 2
    assert checks["cost"].numbers["seconds"] > 0
    memory = checks["memory"].numbers
    trained = memory["gradients"]
    assert (trained == memory["weights"]) == (lora is None)
    assert 2 * trained <= memory["optimizer"] <= 2 * trained + 1000
    assert memory["activations"] > 0


def test_rows_of_the_training_set_in_the_test_set_are_stopped(base, tmp_path):
    assert found(tmp_path, ModelConfig(name=str(base)))["leakage"].verdict is Verdict.stop


def test_views_that_are_identical_are_stopped(base, tmp_path):
    rows = [{"text": row["text"], "code": row["text"]} for row in ROWS]
    assert found(tmp_path, ModelConfig(name=str(base)), rows=rows)["views"].verdict is Verdict.stop


def test_a_sample_that_training_would_refuse_is_stopped_with_its_sentence(base, tmp_path):
    rows = [{"text": "dog " * 300, "code": "dog"}] * 4
    check = found(tmp_path, ModelConfig(name=str(base)), rows=rows)["model"]
    assert check.verdict is Verdict.stop
    assert "every sample is longer than 256 tokens" in check.found


def test_a_model_that_cannot_fit_is_stopped_before_a_step(base, tmp_path, monkeypatch):
    monkeypatch.setattr(command, "available_memory", lambda _: 1000)
    checks = found(tmp_path, ModelConfig(name=str(base)))
    assert list(checks)[-1] == "memory"
    assert checks["memory"].verdict is Verdict.stop
    assert "but there are 1 kB" in checks["memory"].found


def test_a_step_that_does_not_fit_is_stopped(base, tmp_path, monkeypatch):
    def full(*arguments, **options):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(command, "probe", full)
    assert found(tmp_path, ModelConfig(name=str(base)))["memory"].verdict is Verdict.stop


def test_no_step_begins_when_the_time_is_over(base, tmp_path, monkeypatch):
    monkeypatch.setattr(probing, "LONGEST", 0.0)
    cost = found(tmp_path, ModelConfig(name=str(base)), steps=5)["cost"]
    assert cost.verdict is Verdict.look
    assert "one step alone used up the time" in cost.found


def test_the_weight_at_which_both_gradients_are_equal_balances_them(base, tmp_path):
    described = experiment(
        tmp_path / "run", write_rows(tmp_path / "rows.jsonl"), ModelConfig(name=str(base), dtype="float64")
    )
    material = prepare_material(described)
    model = load_model(described.model, material.tokenizer.tokenizer, seed=0)
    trainer = _trainer(described, material, model, tmp_path / "probe", 2)
    pulls = gradients(trainer, described.objective, material.train)
    norms = []
    for objective in (JEPA(weight=1e-12), JEPA(gamma=0.0, weight=1.0)):
        trainer.objective = objective
        inputs = [trainer.data_collator([{"sample": sample} for sample in material.train])]
        batches, totals = trainer.get_batch_samples(iter(inputs), 1, torch.device("cpu"))
        model.eval()
        model.zero_grad()
        trainer.compute_loss(model, batches[0], num_items_in_batch=totals).backward()
        norms.append(_norm(model))
    assert pulls.next_token == pytest.approx(norms[0], rel=1e-6)
    assert pulls.jepa == pytest.approx(norms[1], rel=1e-6)
    assert pulls.equal_weight(gamma=2.0) == pytest.approx(2 * norms[0] / norms[1], rel=1e-6)


def _norm(model: nn.Module) -> float:
    """The norm over the weights that both terms reach: all but the output layer and the slots."""
    both = [part.grad for name, part in model.named_parameters() if not name.startswith(("lm_head", "jepa_predictor"))]
    return float(torch.stack([gradient.square().sum() for gradient in both if gradient is not None]).sum().sqrt())


@pytest.fixture
def config(base, tmp_path) -> Path:
    described = experiment(tmp_path / "run", write_rows(tmp_path / "rows.jsonl"), ModelConfig(name=str(base)))
    path = tmp_path / "run.yaml"
    path.write_text(dump_experiment(described))
    return path


def test_the_command_prints_one_screen_and_returns_0_for_warnings(config, capsys):
    with restored_logging():
        assert main(["preflight", str(config), "--steps", "2"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("ok    views") or shown.startswith("look  views")
    assert len(shown.splitlines()) < 40
    assert "1 stop" in shown


def test_json_is_one_object_with_every_number(config, capsys):
    with restored_logging():
        assert main(["preflight", str(config), "--steps=2", "--json", "--objective.weight", "0"]) == 0
    whole = json.loads(capsys.readouterr().out)
    assert (whole["format"], whole["verdict"]) == (1, "stop")
    assert [check["name"] for check in whole["checks"]] == NAMES
    assert all(set(check) == {"name", "verdict", "found", "advice", "numbers"} for check in whole["checks"])
    assert whole["checks"][5]["numbers"]["steps"] == 2


@pytest.mark.parametrize(
    ("option", "told"), [("--steps=1", "from 2 on"), ("--steps=x", "--steps: no whole number: 'x'"), ("--stepz=2", "stepz")]
)
def test_a_wrong_option_is_one_sentence(option, told, config, capsys):
    with restored_logging():
        assert main(["preflight", str(config), option]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert told in error
