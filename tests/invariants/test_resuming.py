"""One seed gives one run, also when it is interrupted and resumed."""

import pytest
import torch
from tests.helpers import conversations, packed_model, train, weights
from transformers import TrainerCallback

from llm_jepa.objective.distances import InfoNCE
from llm_jepa.objective.jepa import JEPA
from llm_jepa.packing.layout import Layout

STEPS = 9


class Interrupt(TrainerCallback):
    """Ends the training after a step, as a signal would."""

    def __init__(self, step):
        self._step = step

    def on_step_end(self, args, state, control, **kwargs):
        del args, kwargs
        if state.global_step == self._step:
            control.should_training_stop = True


def run(folder, **options):
    """Train with everything that draws numbers or carries state: dropouts, shuffling, accumulation, InfoNCE."""
    model = packed_model("gpt2_dropout", k=2, dtype=torch.float32)
    objective = JEPA(weight=1.0, dropout=0.5, distance=InfoNCE())
    settings = {"batch": 3, "accumulation": 2, "steps": STEPS, "layout": Layout(k=2), "samples_per_row": 2}
    settings |= {"save_strategy": "steps", "save_steps": 4, "logging_steps": 1}
    logs = train(model, conversations(20), objective, folder=folder, **(settings | options))
    return weights(model), logs


def assert_identical(one, other):
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


def test_two_runs_with_one_seed_are_identical(tmp_path):
    one, logs = run(tmp_path / "one")
    torch.rand(5)
    other, other_logs = run(tmp_path / "other")
    assert_identical(one, other)
    assert logs == other_logs
    assert len(logs) == STEPS


def test_another_seed_gives_another_run(tmp_path):
    one, _ = run(tmp_path / "one", steps=2)
    other, _ = run(tmp_path / "other", steps=2, seed=23)
    assert not torch.equal(one["transformer.h.0.mlp.c_fc.weight"], other["transformer.h.0.mlp.c_fc.weight"])


@pytest.mark.parametrize("logging_steps", [1, 3])
def test_an_interrupted_run_goes_on_as_if_nothing_had_happened(logging_steps, tmp_path):
    whole, logs = run(tmp_path / "whole", logging_steps=logging_steps)
    run(tmp_path / "cut", logging_steps=logging_steps, callbacks=[Interrupt(5)])
    checkpoint = tmp_path / "cut" / "checkpoint-4"
    assert sorted(path.name for path in (tmp_path / "cut").iterdir()) == ["checkpoint-4"]
    resumed, resumed_logs = run(tmp_path / "cut", logging_steps=logging_steps, resume=checkpoint)
    assert_identical(resumed, whole)
    assert resumed_logs == logs
