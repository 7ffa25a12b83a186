"""What a training will take, told before it begins; and trainings that end with their operations, not with their epochs."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.experiments.small_runs import experiment, restored_logging, run_in_pieces, write_base, write_rows

from llm_jepa.cli import main
from llm_jepa.errors import UserError
from llm_jepa.experiments.compare.matching import matched
from llm_jepa.experiments.config import dump_experiment
from llm_jepa.experiments.experiment import Evaluation, Experiment
from llm_jepa.experiments.files import RunFolder
from llm_jepa.experiments.material import prepare_material
from llm_jepa.experiments.planning import plan
from llm_jepa.experiments.pool import Job
from llm_jepa.experiments.run import make_trainer, run_experiment
from llm_jepa.experiments.show import QUIET
from llm_jepa.model.load import ModelConfig, load_model
from llm_jepa.objective.jepa import JEPA

ROWS = [{"text": "lines with a dog " + "or a number " * (index % 3), "code": "dog | [ 0 - 9 ] " * 2} for index in range(22)]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_base(tmp_path_factory.mktemp("models") / "base")


def described(folder: Path, base: Path, *, objective: JEPA | None = None, **training: Any) -> Experiment:
    data = write_rows(folder / "rows.jsonl", ROWS)
    made = experiment(folder / "run", data, ModelConfig(name=str(base)), **training)
    settings = {name: value for name, value in made.training.items() if name not in ("max_steps", "save_steps")}
    settings |= {"num_train_epochs": 2, "save_strategy": "epoch", "logging_steps": 1, **training}
    evaluation = Evaluation(max_new_tokens=2, batch_size=32)
    return replace(made, objective=objective or JEPA(weight=0.1), training=settings, evaluation=evaluation)


def planned(made: Experiment, folder: Path):
    arguments = made.training_arguments(str(folder / "plan"))
    material = prepare_material(made)
    model = load_model(made.model, material.tokenizer.tokenizer, seed=0)
    trainer, _ = make_trainer(made, material, model, RunFolder(folder / "plan"), QUIET)
    return plan(trainer, arguments, made.objective, seed=made.seed, max_flops=made.max_flops)


def results(run: RunFolder) -> dict[str, Any]:
    return json.loads(run.results.read_text())


def metrics(run: RunFolder) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows if "loss" in row]


@pytest.mark.parametrize(
    ("training", "steps"),
    [
        ({}, 12),
        ({"gradient_accumulation_steps": 2}, 6),
        ({"dataloader_drop_last": True}, 10),
        ({"max_steps": 5}, 5),
        ({"num_train_epochs": 0.5}, 3),
    ],
)
def test_steps_and_operations_are_foretold(training, steps, base, tmp_path):
    made = described(tmp_path, base, **training)
    told = planned(made, tmp_path)
    run = run_experiment(made)
    assert told.steps == results(run)["steps"] == steps
    # Exact for whole epochs of batches drawn alike; here each batch weighs a twelfth, and the last is a small one.
    assert told.flops == pytest.approx(results(run)["flops"], rel=0.1)


def test_loss_dropout_is_part_of_the_expected_operations(base, tmp_path):
    costs = [
        planned(described(tmp_path, base, objective=JEPA(weight=0.1, dropout=rate)), tmp_path).flops_per_step
        for rate in (0.0, 0.75, 1.0)
    ]
    assert costs[1] == pytest.approx(0.25 * costs[0] + 0.75 * costs[2])
    plain = planned(described(tmp_path, base, objective=JEPA(weight=0.0)), tmp_path).flops_per_step
    assert plain == costs[2] < costs[0]


@pytest.mark.parametrize("share", [0.4, 1.3])
def test_training_ends_with_the_step_that_reaches_the_operations(share, base, tmp_path):
    made = described(tmp_path, base)
    whole = planned(made, tmp_path)
    limit = share * whole.flops
    logs = metrics(run_experiment(replace(made, max_flops=limit)))
    assert logs[-2]["flops"] < limit
    assert logs[-1]["flops"] >= 0.95 * limit
    # The schedule ends there too: the last step is near the end of the linear decay.
    assert logs[-1]["learning_rate"] <= 0.25 * logs[0]["learning_rate"]


def test_a_run_with_a_limit_that_is_out_of_time_ends_as_an_undisturbed_one(base, tmp_path):
    made = replace(described(tmp_path, base, save_strategy="no"), max_flops=2.5e8)
    whole = run_experiment(made)
    again = replace(made, output=str(tmp_path / "again"), evaluation=replace(made.evaluation, batch_size=8))
    run, calls = run_in_pieces(again)
    assert calls > 3
    assert metrics(run) == metrics(whole)
    assert (run.model / "model.safetensors").read_bytes() == (whole.model / "model.safetensors").read_bytes()


def test_a_run_that_ended_within_an_epoch_takes_no_step_more_when_its_scoring_is_resumed(base, tmp_path):
    made = described(tmp_path, base, max_steps=2, save_strategy="steps", save_steps=2)
    run, calls = run_in_pieces(made)
    assert calls > 2
    assert results(run)["steps"] == 2


def test_two_ends_of_a_training_are_refused(base, tmp_path):
    with pytest.raises(UserError, match="both say when training ends"):
        replace(described(tmp_path, base, max_steps=3), max_flops=1e9)
    with pytest.raises(ValueError, match="a finite number of operations above 0"):
        replace(described(tmp_path, base), max_flops=0.0)


def jobs(folder: Path, base: Path, *seeds: int, arm: str = "jepa", **training: Any) -> list[Job]:
    made = described(folder, base, **training)
    return [Job(arm=arm, experiment=replace(made, seed=seed, output=str(folder / arm / str(seed)))) for seed in seeds]


def test_arms_get_the_operations_of_plain_training_of_their_seed(base, tmp_path):
    plain = jobs(tmp_path, base, 1, 2, arm="plain")
    for job in plain:
        Path(job.experiment.output).mkdir(parents=True)
        RunFolder(Path(job.experiment.output)).results.write_text(json.dumps({"flops": 1e9 * job.experiment.seed}))
    found = matched(jobs(tmp_path, base, 2, 1, max_steps=7), plain)
    assert [(job.experiment.seed, job.experiment.max_flops) for job in found] == [(2, 2e9), (1, 1e9)]
    assert "max_steps" not in found[0].experiment.training
    limited = [replace(job, experiment=replace(job.experiment, max_flops=5.0)) for job in jobs(tmp_path, base, 1)]
    with pytest.raises(UserError, match="arm 'jepa' has a max_flops of its own"):
        matched(limited, plain)


@pytest.mark.slow
def test_a_comparison_at_equal_operations_that_is_out_of_time_continues(base, tmp_path, capsys):
    config = tmp_path / "both.yaml"
    config.write_text(dump_experiment(described(tmp_path, base, num_train_epochs=3, per_device_train_batch_size=2)))
    command = ["compare", str(config), "--seeds", "1", "2", "--only", "plain", "jepa", "--workers", "2", "--match_compute"]
    with restored_logging():
        assert main([*command, "--max_minutes", "0.001"]) == 75
        assert "the same command continues" in capsys.readouterr().out
        assert not list(tmp_path.rglob("results.json"))
        assert main(command) == 0
    found = {
        path.parent.relative_to(tmp_path / "run"): json.loads(path.read_text()) for path in tmp_path.rglob("results.json")
    }
    assert {str(path) for path in found} == {f"{arm}/seed-{seed}" for arm in ("plain", "jepa") for seed in (1, 2)}
    for seed in (1, 2):
        plain, jepa = (found[Path(arm, f"seed-{seed}")] for arm in ("plain", "jepa"))
        assert jepa["steps"] < plain["steps"]
        assert jepa["flops"] == pytest.approx(plain["flops"], rel=0.06)


def test_matching_without_the_plain_arm_is_refused(base, tmp_path, capsys):
    config = tmp_path / "both.yaml"
    config.write_text(dump_experiment(described(tmp_path, base)))
    with restored_logging():
        assert main(["compare", str(config), "--only", "jepa", "--match_compute"]) == 2
    assert "--match_compute needs the arm 'plain'" in capsys.readouterr().err
