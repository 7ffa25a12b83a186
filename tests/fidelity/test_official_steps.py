"""Weights after optimizer steps of the preset are those of a hand-written loop with the official scaling."""

import pytest
import torch
from tests.fidelity.both import BATCH, KINDS, experiment, models, official, samples, tokenizers
from tests.helpers import InOrder, largest_difference, weights

from llm_jepa.model.load import prepare

WORDS = KINDS["words"]
RATE = 0.1


def official_loop(model, tokenizer, run, *, accumulation, steps):
    """Train with plain gradient descent; losses of the accumulated micro-batches are summed, as the official code does."""
    size = len(BATCH) // accumulation
    for _ in range(steps):
        model.zero_grad()
        for start in range(0, len(BATCH), size):
            run.loss(model, tokenizer, BATCH[start : start + size]).backward()
        with torch.no_grad():
            for weight in model.parameters():
                weight -= RATE * weight.grad
    return weights(model)


def preset_trainer(model, ours, run, folder, *, accumulation, steps, options=()):
    described = experiment(
        WORDS,
        run,
        folder,
        options,
        per_device_train_batch_size=len(BATCH) // accumulation,
        gradient_accumulation_steps=accumulation,
        max_steps=steps,
        learning_rate=RATE,
        lr_scheduler_type="constant",
        optim="sgd",
        max_grad_norm=0,
        logging_steps=1,
        save_strategy="no",
        disable_tqdm="true",
    )
    return InOrder(
        model=prepare(model, k=described.model.slots(described.layout.k)),
        args=described.training_arguments(str(folder)),
        objective=described.objective,
        layout=described.layout,
        samples=samples(described, ours, BATCH),
    )


@pytest.mark.parametrize("distance", ["cosine", "infonce"])
@pytest.mark.parametrize("accumulation", [1, 2])
def test_weights_after_two_steps_are_the_official_ones(accumulation, distance, tmp_path):
    theirs, ours = tokenizers(WORDS)
    one, two = models(theirs, ours)
    run = official(WORDS, k=2, lbd=2.0, gamma=0.5, distance=distance)
    expected = official_loop(one, theirs, run, accumulation=accumulation, steps=2)
    trainer = preset_trainer(two, ours, run, tmp_path, accumulation=accumulation, steps=2)
    trainer.train()
    assert largest_difference(weights(two), expected) < 1e-9


def test_the_logged_terms_are_means_though_the_loss_is_a_sum(tmp_path):
    theirs, ours = tokenizers(WORDS)
    run = official(WORDS, k=1)
    logs = []
    for accumulation in (1, 2):
        _, model = models(theirs, ours)
        trainer = preset_trainer(model, ours, run, tmp_path, accumulation=accumulation, steps=1)
        trainer.train()
        logs.append(next(entry for entry in trainer.state.log_history if "jepa" in entry))
    whole, cut = logs
    assert whole["loss"] == pytest.approx(whole["next_token"] + whole["jepa"])
    assert (cut["next_token"], cut["jepa"]) == pytest.approx((whole["next_token"], whole["jepa"]))
    assert cut["loss"] == pytest.approx(2 * whole["loss"], rel=0.05)


def test_a_run_without_a_jepa_term_is_the_same_for_any_accumulation(tmp_path):
    theirs, ours = tokenizers(WORDS)
    results = []
    for accumulation in (1, 2):
        _, model = models(theirs, ours)
        preset_trainer(model, ours, official(WORDS, lbd=0.0), tmp_path, accumulation=accumulation, steps=2).train()
        results.append(weights(model))
    assert largest_difference(*results) < 1e-12
