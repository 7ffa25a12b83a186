"""A trial's run: what it changes, where it lies, and what its folder says."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tests.experiments.sweep.sweep_fakes import experiment

from llm_jepa.experiments.files import RunFolder
from llm_jepa.experiments.sweep.plan import Plan, Setting, Trial
from llm_jepa.experiments.sweep.survey import Outcome, Status
from llm_jepa.experiments.sweep.trials import experiment_of, name_of, outcome_of

BASE = experiment(Path("out"))
JEPA = Trial(setting=Plan().jepa(4e-5, (3, 2.0)), seed=23)


def test_a_trial_sets_rate_k_weight_and_seed_and_nothing_else() -> None:
    made = experiment_of(BASE, JEPA)
    assert (made.training["learning_rate"], made.layout.k, made.objective.weight, made.seed) == (4e-5, 3, 2.0, 23)
    assert made.data == BASE.data
    assert made.training["num_train_epochs"] == 4


def test_the_control_shuffles_pairs_and_is_otherwise_the_jepa_arm() -> None:
    control = Trial(setting=replace(JEPA.setting, arm="shuffled"), seed=23)
    made, jepa = experiment_of(BASE, control), experiment_of(BASE, JEPA)
    assert made.data.shuffle_pairs
    assert replace(made, data=jepa.data, output=jepa.output) == jepa


@pytest.mark.parametrize(
    ("training", "expected"),
    [
        ({"num_train_epochs": 6}, {"num_train_epochs": 1.5}),
        ({}, {"num_train_epochs": 1.0}),
        ({"max_steps": 10, "num_train_epochs": 6}, {"max_steps": 3, "num_train_epochs": 6}),
        ({"max_steps": 1}, {"max_steps": 1}),
    ],
)
def test_a_short_trial_trains_a_share_of_the_epochs_or_steps(training: dict, expected: dict) -> None:
    short = Trial(setting=replace(JEPA.setting, fraction=0.25), seed=23)
    made = experiment_of(replace(BASE, training=training | {"use_cpu": True}), short)
    assert {name: made.training[name] for name in expected} == expected


def test_a_folder_is_named_by_the_config_alone() -> None:
    name = name_of(BASE, JEPA)
    assert name.endswith("-seed-23")
    assert len(name) == 12 + len("-seed-23")
    assert name_of(replace(BASE, output="elsewhere", seed=7), JEPA) == name
    assert experiment_of(BASE, JEPA).output == f"out/trials/{name}"
    assert name_of(BASE, replace(JEPA, seed=4)) == name.replace("seed-23", "seed-4")


@pytest.mark.parametrize(
    "change",
    [{"learning_rate": 2e-5}, {"k": 2}, {"weight": 1.0}, {"fraction": 0.25}, {"arm": "shuffled"}],
)
def test_every_change_gives_another_folder(change: dict) -> None:
    assert name_of(BASE, Trial(setting=replace(JEPA.setting, **change), seed=23)) != name_of(BASE, JEPA)


def test_plain_training_keeps_the_configs_own_k() -> None:
    plain = Plan(own_k=BASE.layout.k).plain(2e-5)
    assert plain == Setting(arm="plain", learning_rate=2e-5, k=BASE.layout.k, weight=0.0)
    assert experiment_of(BASE, Trial(setting=plain, seed=82)).layout == BASE.layout


@pytest.mark.parametrize(
    ("row", "accuracy"),
    [
        ({"split": "test", "exact": 0.4, "validation": {"exact": 0.5}}, {"test": 0.4, "validation": 0.5}),
        (
            {"split": "test", "exact": 0.4, "accuracy": 0.6, "validation": {"accuracy": 0.7}},
            {"test": 0.6, "validation": 0.7},
        ),
        ({"split": "validation", "exact": 0.5}, {"validation": 0.5}),
        ({"split": "test", "exact": 0.4}, {"test": 0.4}),
    ],
)
def test_accuracy_is_read_by_the_rows_it_was_measured_on(row: dict, accuracy: dict, tmp_path: Path) -> None:
    more = {"arm": "jepa", "seed": 82, "examples": 10, "seconds": 3.0, "flops": 2e9}
    (tmp_path / "results.json").write_text(json.dumps(more | row))
    assert outcome_of(RunFolder(tmp_path)) == Outcome(status=Status.finished, accuracy=accuracy, seconds=3.0, flops=2e9)
