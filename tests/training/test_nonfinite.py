"""Steps that are not finite: named with their samples, never in the weights, never in a checkpoint, resumed exactly."""

import json
import logging
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.helpers import conversations, packed_model, train, weights
from transformers import TrainerCallback

from llm_jepa.errors import UserError
from llm_jepa.objective.distances import InfoNCE
from llm_jepa.objective.jepa import JEPA, Terms
from llm_jepa.packing.batch import Encoded
from llm_jepa.packing.layout import Layout
from llm_jepa.training import nonfinite
from llm_jepa.training.checkpoints import damage, latest_whole
from llm_jepa.training.nonfinite import OnNan
from llm_jepa.views.tokenize import Sample

STEPS = 8
"""Two epochs of 20 samples in 4 steps each."""
LENGTH = 22
"""Tokens of the poisoned sample; no other has so many."""
NAME = "random:13"


@dataclass(frozen=True, kw_only=True)
class Poisoned(JEPA):
    """The objective, but for the batch that holds the poisoned sample: its loss or its gradient is not finite.

    Attributes:
        factor: what its loss is multiplied with.
        gradient: leave the loss as it is, and give it a gradient that is no number.
    """

    factor: float = 1.0
    gradient: bool = False

    def __call__(self, encoded: Encoded, totals: Any) -> Terms:
        terms = super().__call__(encoded, totals)
        if LENGTH not in (encoded.sequence[:, 2] - encoded.sequence[:, 1]).tolist():
            return terms
        loss = terms.loss * self.factor
        if self.gradient:
            loss = loss + (loss - loss.detach()).sqrt()
        return Terms(loss=loss, next_token=terms.next_token, jepa=terms.jepa)


KINDS = {"nan": {"factor": math.nan}, "inf": {"factor": math.inf}, "gradient": {"gradient": True}}
FOUND = {"nan": "the loss is nan", "inf": "the loss is inf", "gradient": "the loss is finite and its gradient is not"}


def samples() -> list[Sample]:
    """Return twenty samples, one of them poisoned by its length."""
    made = conversations(20)
    made[13] = replace(conversations(14, longest=10)[8], name=NAME)
    return made


class Crash(Exception):
    """A process that ends without a word."""


class CrashAfter(TrainerCallback):
    def __init__(self, step: int) -> None:
        self._step = step

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        del args, control, kwargs
        if state.global_step == self._step:
            raise Crash


class Weights(TrainerCallback):
    """Keeps the weights and the states of the optimizer before and after every step.

    Attributes:
        moved: by optimizer step, from 1, whether any weight or state has changed in it.
    """

    def __init__(self) -> None:
        self.moved: dict[int, bool] = {}
        self._before: list[torch.Tensor] = []

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        del args, state, control
        self._before = self._now(kwargs["model"], kwargs["optimizer"])

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        del args, control
        now = self._now(kwargs["model"], kwargs["optimizer"])
        same = len(now) == len(self._before) and all(map(torch.equal, now, self._before))
        self.moved[state.global_step] = not same

    def _now(self, model: Any, optimizer: Any) -> list[torch.Tensor]:
        states = [value for state in optimizer.state.values() for value in state.values()]
        return [part.detach().clone() for part in (*model.parameters(), *states)]


def run(folder: Path, kind: str, on_nan: OnNan, **options: Any) -> tuple[dict[str, torch.Tensor], list[dict[str, Any]]]:
    """Train with everything that draws numbers or carries state; the poisoned sample is in steps 2 and 5."""
    model = packed_model("gpt2_dropout", k=2, dtype=torch.float32)
    objective = Poisoned(weight=1.0, dropout=0.25, distance=InfoNCE(), **KINDS[kind])
    settings = {"batch": 3, "accumulation": 2, "steps": STEPS, "layout": Layout(k=2), "save_strategy": "no", "seed": 88}
    logs = train(model, samples(), objective, folder=folder, on_nan=on_nan, **(settings | options))
    return weights(model), logs


def assert_identical(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert [name for name in one if not torch.equal(one[name], other[name])] == []
    assert all(bool(value.isfinite().all()) for value in one.values())


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_that_is_left_out_moves_nothing_and_is_named_with_its_sample(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    watch = Weights()
    with caplog.at_level(logging.WARNING):
        trained, logs = run(tmp_path, kind, OnNan.skip, callbacks=[watch])
    assert [step for step, moved in watch.moved.items() if not moved] == [2, 5]
    assert all(bool(value.isfinite().all()) for value in trained.values())
    assert [record.getMessage() for record in caplog.records if "left out" in record.getMessage()] == [
        f"step 2: {FOUND[kind]}, in {NAME}; its update is left out (so far: 1)",
        f"step 5: {FOUND[kind]}, in {NAME}; its update is left out (so far: 2)",
    ]
    assert [entry["step"] for entry in logs] == [1, 3, 4, 6, 7, 8]  # a step without a loss has no line of one
    assert all(math.isfinite(value) for entry in logs for value in entry.values())


@pytest.mark.parametrize("crash", [1, 3, 6])
def test_left_out_steps_are_left_out_again_after_a_crash(crash: int, tmp_path: Path) -> None:
    whole, logs = run(tmp_path / "whole", "nan", OnNan.skip)
    saving = {"save_strategy": "steps", "save_steps": 1}
    with pytest.raises(Crash):
        run(tmp_path / "cut", "nan", OnNan.skip, callbacks=[CrashAfter(crash + 1)], **saving)
    latest = latest_whole(tmp_path / "cut")
    assert latest is not None
    assert latest.name == f"checkpoint-{crash}"
    resumed, resumed_logs = run(tmp_path / "cut", "nan", OnNan.skip, resume=latest)
    assert_identical(resumed, whole)
    assert resumed_logs == logs


@pytest.mark.parametrize("kind", KINDS)
def test_stopping_saves_the_weights_before_the_step_and_skipping_goes_on_as_if_nothing_had_happened(
    kind: str, tmp_path: Path
) -> None:
    whole, logs = run(tmp_path / "whole", kind, OnNan.skip)
    with pytest.raises(UserError) as stopped:
        run(tmp_path / "cut", kind, OnNan.stop)
    assert str(stopped.value) == (
        f"step 2: {FOUND[kind]}, in {NAME}. The weights are those after step 1, and saved; a smaller training.learning_rate "
        "may help, and `--on_nan skip` leaves the updates of such steps out and continues from there"
    )
    latest = latest_whole(tmp_path / "cut")
    assert latest is not None
    assert latest.name == "checkpoint-1"
    with pytest.raises(UserError, match="step 2: "):  # the same command ends in the same way
        run(tmp_path / "cut", kind, OnNan.stop, resume=latest)
    resumed, resumed_logs = run(tmp_path / "cut", kind, OnNan.skip, resume=latest)
    assert_identical(resumed, whole)
    assert resumed_logs == logs


def test_a_stop_in_the_first_step_of_an_epoch_is_saved_as_the_end_of_the_epoch_before(tmp_path: Path) -> None:
    whole, logs = run(tmp_path / "whole", "nan", OnNan.skip)
    with pytest.raises(Crash):
        run(tmp_path / "cut", "nan", OnNan.skip, callbacks=[CrashAfter(4)], save_strategy="steps", save_steps=3)
    with pytest.raises(UserError, match=r"step 5: .*those after step 4, and saved"):
        run(tmp_path / "cut", "nan", OnNan.stop, resume=latest_whole(tmp_path / "cut"))
    latest = latest_whole(tmp_path / "cut")
    assert latest is not None
    assert latest.name == "checkpoint-4"
    resumed, resumed_logs = run(tmp_path / "cut", "nan", OnNan.skip, resume=latest)
    assert_identical(resumed, whole)
    assert resumed_logs == logs


def test_a_stop_in_the_very_first_step_has_nothing_to_save(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"step 1: the loss is nan, in random:13. It is the first step"):
        run(tmp_path, "nan", OnNan.stop, seed=87)
    assert list(tmp_path.glob("checkpoint-*")) == []


class Spoil(TrainerCallback):
    """Makes a weight infinite in a step, as an update that overflows does."""

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        del args, control
        if state.global_step == 2:
            next(kwargs["model"].parameters()).data[0, 0] = math.inf


def test_weights_that_are_not_finite_are_never_saved(tmp_path: Path) -> None:
    options = {"save_strategy": "steps", "save_steps": 1, "callbacks": [Spoil()]}
    with pytest.raises(UserError, match=r"after step 3 some weights are infinite.*checkpoint-2 is the last that was saved"):
        train(packed_model("llama"), conversations(16), JEPA(), folder=tmp_path, **options)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-1", "checkpoint-2"]
    assert [damage(path) for path in tmp_path.iterdir()] == ["", ""]


def test_the_number_of_steps_left_out_travels_with_the_checkpoint(tmp_path: Path) -> None:
    run(tmp_path, "nan", OnNan.skip, save_strategy="steps", save_steps=4)
    counts = [
        json.loads((tmp_path / f"checkpoint-{step}" / "trainer_state.json").read_text())["stateful_callbacks"]["StepMeter"]
        for step in (4, 8)
    ]
    assert [count["attributes"]["left_out"] for count in counts] == [1, 2]


def test_a_finite_step_needs_no_second_norm_of_the_gradient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(model: Any) -> torch.Tensor:
        raise AssertionError("the norm that clips the gradient is there already")

    monkeypatch.setattr(nonfinite, "gradient_norm", refused)
    train(packed_model("llama"), conversations(8), JEPA(), folder=tmp_path, steps=2)
