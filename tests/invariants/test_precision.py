"""Gradient checkpointing changes nothing, and bfloat16 autocast keeps float32 master weights."""

from typing import Any

import pytest
import torch
from tests.helpers import conversations, largest_difference, packed_model, train, weights
from tests.invariants.reference import assert_same, run_packed

from llm_jepa.objective.jepa import JEPA
from llm_jepa.packing.layout import Layout

# The name since transformers 5.23 is activation checkpointing; this one works in all of 5.x.
pytestmark = pytest.mark.filterwarnings("ignore:`gradient_checkpointing:FutureWarning")

FORESTS = [Layout(k=2).forest(sample) for sample in conversations(3)]


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("reentrant", [False, True])
@pytest.mark.parametrize("family", ["llama", "gemma3"])
def test_gradient_checkpointing_gives_the_same_gradients(family, reentrant, attention):
    expected = run_packed(packed_model(family, k=2, attention=attention).train(), FORESTS, samples_per_row=3)
    model = packed_model(family, k=2, attention=attention).train()
    model.gradient_checkpointing_enable({"use_reentrant": reentrant})
    calls = []
    model.get_submodule("model.layers.0.mlp").register_forward_pre_hook(lambda *_: calls.append(1))
    assert_same(run_packed(model, FORESTS, samples_per_row=3), expected, (0.0, 0.0, 0.0))
    assert len(calls) == 2  # once more on the way back: it was really on


def test_gradient_checkpointing_trains_the_same_weights(tmp_path):
    results = []
    variants: list[dict[str, Any]] = [{}, {"gradient_checkpointing": True}]
    for options in variants:
        model = packed_model("gpt2_dropout", k=2, dtype=torch.float32)
        train(model, conversations(16), JEPA(), folder=tmp_path, layout=Layout(k=2), **options)
        results.append(weights(model))
    assert largest_difference(*results) == 0.0


@pytest.mark.parametrize("one_forward", [True, False])
def test_bfloat16_autocast_runs_and_keeps_float32_weights(one_forward, tmp_path):
    def final_loss(computed: torch.dtype) -> float:
        model = packed_model("llama", k=2, dtype=torch.float32)
        seen: set[torch.dtype] = set()
        watch = lambda *parts: seen.add(parts[-1].dtype) if torch.is_grad_enabled() else None  # noqa: E731 - not the self-check
        model.get_submodule("model.layers.0.mlp").register_forward_hook(watch)
        options: dict[str, Any] = {"bf16": computed is torch.bfloat16, "one_forward": one_forward, "steps": 6}
        logs = train(model, conversations(16), JEPA(), folder=tmp_path, layout=Layout(k=2), **options)
        assert {item.dtype for item in weights(model).values()} == {torch.float32}
        assert seen == {computed}
        return logs[-1]["loss"]

    exact, rough = final_loss(torch.float32), final_loss(torch.bfloat16)
    assert rough == pytest.approx(exact, rel=0.05)
    assert rough != exact


def test_small_steps_move_float32_weights_under_autocast(tmp_path):
    model = packed_model("llama", k=2, dtype=torch.float32)
    before = weights(model)
    options: dict[str, Any] = {"bf16": True, "learning_rate": 1e-6, "steps": 2}
    train(model, conversations(16), JEPA(), folder=tmp_path, layout=Layout(k=2), **options)
    moved = weights(model)
    assert 0 < largest_difference(moved, before) < 1e-5
    assert all(not torch.equal(moved[name], before[name]) for name in moved if "proj" in name)
