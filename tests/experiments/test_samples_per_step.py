"""`samples_per_step`: the micro-batches of a step follow from the number of processes."""

from pathlib import Path
from typing import Any

import pytest

from llm_jepa.errors import UserError
from llm_jepa.experiments.experiment import Data, Experiment
from llm_jepa.model.load import ModelConfig


def described(samples_per_step: int | None, **training: Any) -> Experiment:
    return Experiment(
        output="run",
        model=ModelConfig(name="base"),
        data=Data(train="rows.jsonl"),
        samples_per_step=samples_per_step,
        training={"per_device_train_batch_size": 4, "use_cpu": True} | training,
    )


@pytest.mark.parametrize(("processes", "micro_batches"), [("1", 16), ("2", 8), ("16", 1)])
def test_the_samples_of_a_step_are_divided_by_processes_and_batch(
    processes: str, micro_batches: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llm_jepa.experiments.experiment.launched", lambda: int(processes))
    arguments = described(64).training_arguments(str(tmp_path))
    assert arguments.gradient_accumulation_steps == micro_batches


@pytest.mark.parametrize("samples", [6, 2, 0, -4])
def test_what_the_processes_cannot_divide_is_refused(samples: int, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"^samples_per_step is {samples}, but 1 process.* take 4 at a time; give a mult"):
        described(samples).training_arguments(str(tmp_path))


def test_both_ways_to_size_a_step_are_refused() -> None:
    with pytest.raises(UserError, match="give one of them"):
        described(64, gradient_accumulation_steps=2)
