"""A run computes in what `accelerate launch` was told, and is refused where its config says otherwise."""

from pathlib import Path
from typing import Any

import pytest
from tests.experiments.small_runs import experiment

from llm_jepa.errors import UserError
from llm_jepa.experiments.experiment import Experiment
from llm_jepa.model.load import ModelConfig


def described(folder: Path, **training: Any) -> Experiment:
    return experiment(folder / "run", folder / "rows.jsonl", ModelConfig(name="base"), **training)


@pytest.mark.parametrize(
    ("launch", "config", "bf16"),
    [
        (None, {}, False),
        ("no", {}, False),
        ("no", {"bf16": True}, True),
        ("bf16", {}, True),
        ("bf16", {"bf16": True}, True),
        ("bf16", {"bf16": True, "fp16": False}, True),
        ("bf16", {"fp16": False}, True),
    ],
)
def test_the_arithmetic_is_that_of_the_launch(
    launch: str | None, config: dict[str, Any], bf16: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("ACCELERATE_MIXED_PRECISION", raising=False)
    if launch is not None:
        monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", launch)
    found = described(tmp_path, **config).training_arguments(str(tmp_path))
    assert (found.bf16, found.fp16) == (bf16, False)


@pytest.mark.parametrize(
    ("launch", "config", "said"),
    [
        ("bf16", {"bf16": False}, "training.bf16: false"),
        ("bf16", {"fp16": True}, "training.fp16: true"),
        ("fp16", {"bf16": True}, "training.bf16: true"),
    ],
)
def test_a_config_that_says_otherwise_is_refused(
    launch: str, config: dict[str, Any], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", launch)
    with pytest.raises(UserError, match=rf"^{said}, but the launch computes in {launch} \(mixed_precision\); change one"):
        described(tmp_path, **config).training_arguments(str(tmp_path))
