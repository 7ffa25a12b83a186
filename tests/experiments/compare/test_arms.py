"""Arms: which changes they make, and which texts name none."""

from pathlib import Path

import pytest

from llm_jepa.errors import UserError
from llm_jepa.experiments.compare.arms import STANDARD, Arm, arm_experiment, jobs, read_arms
from llm_jepa.objective.distances import InfoNCE

CONFIG = ["--output", "out", "--model.name", "some/model", "--data.train", "train.jsonl", "--objective.weight", "0.5"]


def test_the_standard_arms_differ_in_weight_and_pairing_alone() -> None:
    plain, jepa, shuffled = (arm_experiment(CONFIG, arm) for arm in STANDARD)
    assert (plain.objective.weight, jepa.objective.weight, shuffled.objective.weight) == (0.0, 0.5, 0.5)
    assert (plain.data.shuffle_pairs, jepa.data.shuffle_pairs, shuffled.data.shuffle_pairs) == (False, False, True)


def test_arms_are_read_from_text_and_files_with_nested_or_dotted_fields(tmp_path: Path) -> None:
    file = tmp_path / "arms.yaml"
    file.write_text("contrastive:\n  objective:\n    distance: {class_path: InfoNCE, init_args: {temperature: 0.2}}\n")
    light, contrastive = read_arms(["{light: {objective.weight: 0.1, layout: {k: 3}}}", str(file)])
    assert light == Arm("light", {"objective.weight": 0.1, "layout.k": 3})
    made = arm_experiment(CONFIG, light)
    assert (made.objective.weight, made.layout.k) == (0.1, 3)
    assert arm_experiment(CONFIG, contrastive).objective.distance == InfoNCE(temperature=0.2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("light", "names no arms"),
        ("{light: 0.1}", "names no arms"),
        ("[a, b]", "names no arms"),
        ("{light: {", "no YAML"),
        ("x" * 5000, "names no arms"),
    ],
)
def test_texts_without_arms_are_refused(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_arms([text])


def test_a_wrong_change_names_its_arm() -> None:
    with pytest.raises(UserError, match=r"^arm 'light': config: there is no field 'weigth'; did you mean"):
        arm_experiment(CONFIG, Arm("light", {"objective.weigth": 1}))


def test_a_wrong_config_is_not_put_down_to_an_arm() -> None:
    with pytest.raises(UserError, match=r"^config: "):
        arm_experiment([*CONFIG, "--layout.kk", "1"], Arm("jepa", {}))


def test_jobs_go_seed_by_seed_each_into_a_folder_of_its_own() -> None:
    arms = [(arm, arm_experiment(CONFIG, arm)) for arm in (Arm("plain", {}), Arm("weight 0.1 / k 3", {}))]
    made = jobs(arms, root=Path("out"), seeds=(82, 4))
    assert [(job.arm, job.experiment.seed, job.experiment.output) for job in made] == [
        ("plain", 82, "out/plain/seed-82"),
        ("weight 0.1 / k 3", 82, "out/weight-0.1-k-3/seed-82"),
        ("plain", 4, "out/plain/seed-4"),
        ("weight 0.1 / k 3", 4, "out/weight-0.1-k-3/seed-4"),
    ]


@pytest.mark.parametrize("names", [("a b", "a/b"), ("..", "plain")])
def test_arms_whose_folders_clash_or_vanish_are_refused(names: tuple[str, str]) -> None:
    arms = [(Arm(name, {}), arm_experiment(CONFIG, Arm(name, {}))) for name in names]
    with pytest.raises(UserError, match="give another name"):
        jobs(arms, root=Path("out"), seeds=(1,))
