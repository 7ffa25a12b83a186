"""Weight 0, dropout 1 and no slots at all are plain next-token training, bit for bit; and plain is what torch alone does."""

import pytest
import torch
from tests.helpers import conversations, largest_difference, packed_model, plain_model, train, weights
from tests.invariants.reference import train_plainly

from llm_jepa.objective.dropout import dropped
from llm_jepa.objective.jepa import JEPA
from llm_jepa.packing.layout import Layout, plain_forest

PLAIN = {
    "weight 0": (JEPA(weight=0.0), 2),
    "dropout 1": (JEPA(weight=1.0, dropout=1.0), 2),
    "weight 0, no slots": (JEPA(weight=0.0), 0),
    "weight 0, monitored at every third step": (JEPA(weight=0.0), 2),
}


def trained(family, objective, folder, *, k=2, dtype=torch.float32, **options):
    model = packed_model(family, k=k, dtype=dtype)
    before = weights(model, slots=False)
    logs = train(model, conversations(16), objective, folder=folder, layout=Layout(k=k), **options)
    assert largest_difference(weights(model, slots=False), before) > 0.01
    return model, logs


@pytest.mark.parametrize("family", ["llama", "gpt2_dropout"])
def test_every_way_to_have_no_jepa_term_is_the_same_training_bit_for_bit(family, tmp_path):
    results, losses = {}, {}
    for name, (objective, k) in PLAIN.items():
        steps = 3 if "third" in name else 1
        model, logs = trained(family, objective, tmp_path, k=k, steps=6, logging_steps=steps, max_grad_norm=0.5)
        results[name] = weights(model, slots=False)
        losses[name] = logs[-1]["next_token"]
    expected = results["weight 0"]
    for name, found in results.items():
        assert largest_difference(found, expected) == 0.0, name
    assert losses["weight 0"] == losses["dropout 1"] == losses["weight 0, no slots"]


def test_a_jepa_term_changes_the_training(tmp_path):
    plain, _ = trained("llama", JEPA(weight=0.0), tmp_path)
    jepa, _ = trained("llama", JEPA(weight=1.0), tmp_path)
    assert largest_difference(weights(plain, slots=False), weights(jepa, slots=False)) > 1e-3


@pytest.mark.parametrize("accumulation", [1, 2])
def test_a_step_has_a_jepa_term_and_its_tokens_exactly_where_the_coin_says(accumulation, tmp_path):
    samples, size, steps = conversations(32), 2 * accumulation, 12
    kept = [not dropped(rate=0.5, seed=82, step=step) for step in range(steps)]
    assert 3 < sum(kept) < 9
    logs = train(
        packed_model(k=2),
        samples,
        JEPA(weight=2.0, dropout=0.5),
        folder=tmp_path,
        layout=Layout(k=2),
        batch=2,
        accumulation=accumulation,
        steps=steps,
        in_order=True,
    )
    total = 0
    for step, (views, entry) in enumerate(zip(kept, logs, strict=True)):
        assert entry["jepa"] > 0  # monitored at every step that is logged, trained or not
        expected = entry["next_token"] + (2 * entry["jepa"] if views else 0)
        assert entry["loss"] == pytest.approx(expected, abs=1e-9)
        # 32 samples: an epoch ends after 16 or 8 steps, and in order the next one begins anew.
        for index in range(step * size, (step + 1) * size):
            sample = samples[index % 32]
            total += (Layout(k=2).forest(sample) if views else plain_forest(sample)).tokens
        assert entry["tokens"] == total


def test_slots_stay_as_they_were_where_no_loss_reaches_them(tmp_path):
    start = packed_model(k=2, dtype=torch.float32).get_submodule("jepa_predictor").get_parameter("weight")
    for objective, moves in ((JEPA(weight=0.0), False), (JEPA(dropout=1.0), False), (JEPA(weight=1.0), True)):
        model, _ = trained("llama", objective, tmp_path, weight_decay=0.1)
        after = model.get_submodule("jepa_predictor").get_parameter("weight")
        assert after.requires_grad is moves
        assert torch.equal(after, start) is not moves


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_plain_training_is_a_literal_torch_loop(family, tmp_path):
    expected = plain_model(family)
    losses = train_plainly(expected, conversations(16), batch=4, steps=6, learning_rate=1e-2, clip=0.5)
    settings = {"steps": 6, "max_grad_norm": 0.5, "in_order": True}
    found, logs = trained(family, JEPA(weight=0.0), tmp_path, dtype=torch.float64, **settings)
    assert [entry["loss"] for entry in logs] == pytest.approx(losses, abs=1e-7)
    assert largest_difference(weights(found, slots=False), weights(expected)) < 1e-6
