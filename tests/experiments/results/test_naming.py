from pathlib import Path
from typing import Any

import pytest

from llm_jepa.errors import UserError
from llm_jepa.experiments.results.naming import differing, distinguish, setting_names, told
from llm_jepa.experiments.results.run_records import Results, RunSummary

W, K, RATE = "objective.weight", "layout.k", "training.learning_rate"


def run(arm: str = "jepa", seed: int = 82, *, folder: str = "", split: str = "test", **settings: Any) -> RunSummary:
    given = {name.replace("__", "."): value for name, value in settings.items()}
    found = Results(split=split, examples=10, accuracy=0.5)
    return RunSummary(folder=Path(folder or str(settings)), arm=arm, seed=seed, results=found, settings=given)


def names(*runs: RunSummary) -> list[str]:
    return [each.arm for each in distinguish(runs)]


def test_runs_that_differ_are_named_by_what_differs() -> None:
    grid = [run(objective__weight=weight, layout__k=k, labels="answer") for weight in (0.5, 2) for k in (0, 1)]
    assert names(*grid) == ["jepa weight 0.5, k 0", "jepa weight 0.5, k 1", "jepa weight 2, k 0", "jepa weight 2, k 1"]
    assert {each.kind for each in distinguish(grid)} == {"jepa"}


def test_an_arm_with_one_run_a_seed_keeps_its_name() -> None:
    assert names(run(seed=1, layout__k=1), run(seed=2, layout__k=2), run("plain", layout__k=1)) == ["jepa", "jepa", "plain"]


def test_the_same_arm_and_seed_on_other_rows_is_no_clash() -> None:
    assert names(run(layout__k=1), run(layout__k=1, split="validation")) == ["jepa", "jepa"]


def test_the_same_configuration_twice_is_an_error_that_names_both_folders() -> None:
    with pytest.raises(
        UserError, match=r"^b: arm 'jepa' and seed 82 are also in a, with the same configuration; remove one$"
    ):
        distinguish([run(folder="a", layout__k=1), run(folder="b", layout__k=1), run(folder="c", layout__k=2)])


def test_of_settings_that_differ_together_one_is_named() -> None:
    runs = [run(objective__weight=1.0, aardvark=1), run(objective__weight=2, aardvark=2)]
    assert differing(runs) == [W]
    assert differing([run(objective__weight=1), run(objective__weight=1.0)]) == []


def test_settings_with_the_same_last_part_are_named_in_full() -> None:
    assert setting_names(["a.size", "b.size", RATE]) == {"a.size": "a.size", "b.size": "b.size", RATE: "learning rate"}


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        (RATE, 2e-5, "2e-5"),
        (RATE, "2e-05", "2e-5"),
        (W, 1.0, "1"),
        (K, None, "none"),
        ("data.shuffle_pairs", True, "on"),
        ("objective.distance.class_path", "llm_jepa.objective.distances.L2", "L2"),
        ("data.train", "a\u202e" + "b" * 60, "a?" + "b" * 38 + "…"),
        ("data.columns.views", ["a", "b"], '["a", "b"]'),
    ],
)
def test_values_are_written_as_people_write_them(name: str, value: object, said: str) -> None:
    assert told(name, value) == said
