"""The sweep's folder: which sweep it holds, and what is refused."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from tests.experiments.sweep.sweep_fakes import experiment

from llm_jepa.errors import UserError
from llm_jepa.experiments.sweep.folder import begin_sweep
from llm_jepa.experiments.sweep.plan import SEARCHES, Plan, Protocol
from llm_jepa.objective.jepa import JEPA


def test_the_same_sweep_goes_on_and_has_the_same_name_anywhere(tmp_path: Path) -> None:
    name = begin_sweep(experiment(tmp_path / "one"), Plan())
    assert begin_sweep(experiment(tmp_path / "one"), Plan()) == name
    assert begin_sweep(replace(experiment(tmp_path / "two"), seed=7), Plan()) == name  # the seeds are the plan's


def test_the_plan_is_kept_resolved(tmp_path: Path) -> None:
    begin_sweep(experiment(tmp_path / "one"), Plan(search=SEARCHES["tpe"]))
    kept = yaml.safe_load((tmp_path / "one" / "sweep.yaml").read_text())
    assert kept["plan"]["weights"] == [0.5, 1.0, 2.0, 4.0]
    assert kept["plan"]["protocol"] == "validation"
    assert kept["plan"]["search"] == {"first": 0.25, "keep": 0.25, "sampled": True}
    assert kept["config"]["data"]["train"] == "train.jsonl"


@pytest.mark.parametrize(
    ("config", "plan", "named"),
    [
        ({"objective": JEPA(gamma=0.5)}, {}, "objective.gamma"),
        ({"training": {"num_train_epochs": 5, "use_cpu": True}}, {}, "training.num_train_epochs"),
        ({}, {"weights": (1.0,)}, "weights"),
        ({}, {"protocol": Protocol.paper}, "protocol"),
        ({}, {"seeds": (1, 2)}, "seeds"),
    ],
)
def test_another_sweep_is_refused_with_what_differs(config: dict, plan: dict, named: str, tmp_path: Path) -> None:
    base = experiment(tmp_path / "one")
    begin_sweep(base, Plan())
    with pytest.raises(UserError, match=rf"holds a sweep that began otherwise \(different: {named}\); give the same"):
        begin_sweep(replace(base, **config), Plan(**plan))


def test_a_folder_with_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text("{}")
    with pytest.raises(UserError, match="is not empty and holds no sweep"):
        begin_sweep(experiment(tmp_path), Plan())


def test_what_another_process_began_to_write_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "sweep.yaml.abc.partial").write_text("pl")
    begin_sweep(experiment(tmp_path), Plan())
    assert (tmp_path / "sweep.yaml").exists()


@pytest.mark.parametrize("text", ["a: [", "- a"])
def test_a_plan_that_cannot_be_read_is_one_sentence(text: str, tmp_path: Path) -> None:
    (tmp_path / "sweep.yaml").write_text(text)
    with pytest.raises(UserError):
        begin_sweep(experiment(tmp_path), Plan())


def test_a_file_in_the_place_of_the_folder_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="output: cannot use"):
        begin_sweep(experiment(tmp_path / "file"), Plan())
