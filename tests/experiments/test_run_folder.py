"""The run folder: which may be used, with which changes it goes on, and what overwriting removes."""

from pathlib import Path

import pytest

from llm_jepa.errors import UserError
from llm_jepa.experiments.continuing import differences
from llm_jepa.experiments.files import RunFolder, begin_run, check_run


def begun(folder: Path) -> RunFolder:
    """Return the folder of a run that was interrupted after its first checkpoint."""
    run = RunFolder(folder / "run")
    begin_run(run, "a: 1\n", overwrite=False)
    (run.checkpoints / "checkpoint-2").mkdir(parents=True)
    (run.root / "validation").mkdir()
    (run.root / "notes.txt").write_text("mine")
    return run


def test_the_same_config_continues_and_another_is_refused_with_the_field(tmp_path: Path) -> None:
    run = begun(tmp_path)
    check_run(run, "a: 1\n", overwrite=False)
    with pytest.raises(UserError, match=r"another config \(different: a\)"):
        check_run(run, "a: 2\n", overwrite=False)


def test_a_run_that_never_began_may_be_corrected(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    begin_run(run, "a: 1\n", overwrite=False)
    check_run(run, "a: 2\n", overwrite=False)


def test_overwriting_removes_the_run_and_nothing_else(tmp_path: Path) -> None:
    run = begun(tmp_path)
    check_run(run, "a: 2\n", overwrite=True)
    begin_run(run, "a: 2\n", overwrite=True)
    assert sorted(path.name for path in run.root.iterdir()) == ["config.yaml", "notes.txt"]
    assert run.config.read_text() == "a: 2\n"


def test_overwriting_a_run_that_is_under_way_continues_it(tmp_path: Path) -> None:
    run = begun(tmp_path)
    begin_run(run, "a: 1\n", overwrite=True)
    assert (run.checkpoints / "checkpoint-2").exists()


BEFORE = """
objective: {weight: 1.0, distance: {class_path: Cosine}}
training: {per_device_train_batch_size: 8, learning_rate: 0.1}
evaluation: {batch_size: 32}
on_nan: stop
"""


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ("on_nan: stop", "on_nan: skip", []),
        ("learning_rate: 0.1}", "learning_rate: 0.1, gradient_checkpointing: true}", []),
        ("{batch_size: 32}", "{batch_size: 16}", []),
        ("per_device_train_batch_size: 8", "per_device_train_batch_size: 4, gradient_accumulation_steps: 2", []),
        ("per_device_train_batch_size: 8, ", "", []),  # the default
        (
            "per_device_train_batch_size: 8",
            "per_device_train_batch_size: 4",
            ["training.per_device_train_batch_size x training.gradient_accumulation_steps"],
        ),
        ("learning_rate: 0.1", "learning_rate: 0.2", ["training.learning_rate"]),
        ("weight: 1.0", "weight: 2.0", ["objective.weight"]),
        ("weight: 1.0, ", "", ["objective.weight"]),
    ],
)
def test_a_run_goes_on_with_what_leaves_its_steps_as_they_are(old: str, new: str, changed: list[str]) -> None:
    assert old in BEFORE
    assert differences(BEFORE, BEFORE.replace(old, new)) == changed
    assert differences(BEFORE.replace(old, new), BEFORE) == changed


def test_a_contrastive_distance_compares_within_the_batch_which_must_stay() -> None:
    before = BEFORE.replace("Cosine", "InfoNCE")
    smaller = before.replace(
        "per_device_train_batch_size: 8", "per_device_train_batch_size: 4, gradient_accumulation_steps: 2"
    )
    assert differences(before, smaller) == ["training.per_device_train_batch_size", "training.gradient_accumulation_steps"]


@pytest.mark.parametrize("text", ["objective: {", "nothing", "[1, 2]", ""])
def test_a_torn_config_is_one_sentence(text: str, tmp_path: Path) -> None:
    run = begun(tmp_path)
    run.config.write_text(text)
    with pytest.raises(UserError, match=r"config.yaml: is damaged; restore it"):
        check_run(run, "a: 1\n", overwrite=False)


def test_a_run_that_was_refused_before_its_first_step_takes_the_config_that_was_advised(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    begin_run(run, "one_forward: true\n", overwrite=False)
    run.checkpoints.mkdir()
    check_run(run, "one_forward: false\n", overwrite=False)
    (run.checkpoints / "checkpoint-1").mkdir()
    with pytest.raises(UserError, match="holds a run with another config"):
        check_run(run, "one_forward: false\n", overwrite=False)
