"""How a step's samples are cut into micro-batches, rows and forwards changes nothing."""

import pytest
from tests.helpers import conversations, largest_difference, packed_model, train, weights

from llm_jepa.objective.jepa import JEPA
from llm_jepa.packing.layout import Layout

SAMPLES = conversations(24, longest=9)

# Adam divides gradients by their size: where one is mathematically zero (a key's bias), it magnifies rounding errors.
ROUNDING = 1e-9
LOGGED = ("loss", "next_token", "jepa", "tokens", "grad_norm", "cosine_gap", "retrieval_at_1", "effective_rank", "pairs")


def after(folder, family="gpt2", objective=None, **options):
    """Return the weights after 3 steps of 8 samples each, and what was logged."""
    model = packed_model(family, k=2)
    settings = {"layout": Layout(k=2), "steps": 3, "in_order": True}
    logs = train(model, SAMPLES, objective or JEPA(weight=2.0), folder=folder, **(settings | options))
    return weights(model), logs


def test_the_samples_have_unequal_numbers_of_label_tokens():
    halves = [[sum(s.sequences[0].trained) for s in SAMPLES[start : start + 4]] for start in (0, 4)]
    assert sum(halves[0]) != sum(halves[1])


@pytest.mark.parametrize(("family", "tolerance"), [("gpt2", ROUNDING), ("llama", 1e-6)])
@pytest.mark.parametrize(("batch", "accumulation"), [(4, 2), (2, 4), (1, 8)])
def test_micro_batches_give_the_weights_and_logs_of_one_batch(family, tolerance, batch, accumulation, tmp_path):
    whole, logs = after(tmp_path, family, batch=8)
    cut, cut_logs = after(tmp_path, family, batch=batch, accumulation=accumulation)
    assert largest_difference(whole, cut) < tolerance
    for one, other in zip(logs, cut_logs, strict=True):
        assert [one[name] for name in LOGGED] == pytest.approx([other[name] for name in LOGGED], abs=1e-5)


def test_a_last_step_of_fewer_micro_batches_is_divided_by_its_own_samples(tmp_path):
    options = {"steps": -1, "num_train_epochs": 2, "objective": JEPA(weight=2.0, dropout=0.5)}
    settings = {"layout": Layout(k=2), "in_order": True, "folder": tmp_path} | options
    results = []
    for batch, accumulation in ((8, 1), (2, 4)):
        model = packed_model("gpt2", k=2)
        train(model, SAMPLES[:20], batch=batch, accumulation=accumulation, **settings)
        results.append(weights(model))
    assert largest_difference(*results) < ROUNDING


@pytest.mark.parametrize("options", [{"samples_per_row": 3}, {"samples_per_row": 8}, {"one_forward": False}])
def test_rows_do_not_change_the_weights(options, tmp_path):
    expected, _ = after(tmp_path, batch=8)
    found, _ = after(tmp_path, batch=8, **options)
    assert largest_difference(found, expected) < ROUNDING


def test_the_weights_do_depend_on_the_samples(tmp_path):
    expected, _ = after(tmp_path, batch=8)
    fewer, _ = after(tmp_path, batch=7)
    assert largest_difference(fewer, expected) > 1e-3
