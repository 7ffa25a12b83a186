"""Loss dropout with a coin for each micro-batch: what is run, and what is logged of it."""

import pytest
from tests.helpers import TEXT_CODE, conversations, packed_model, train

from llm_jepa.objective.dropout import dropped
from llm_jepa.objective.jepa import JEPA, Scope
from llm_jepa.packing.layout import Layout, plain_forest

SEED, STEPS, PARTS = 82, 6, 4
KEPT = [[not dropped(rate=0.5, seed=SEED, step=step, micro_batch=part) for part in range(PARTS)] for step in range(STEPS)]
OBJECTIVE = JEPA(dropout=0.5, dropout_scope=Scope.micro_batch)


def run(samples, folder, **options):
    settings = {"layout": Layout(k=1), "folder": folder, "batch": 1, "accumulation": PARTS, "steps": STEPS, "in_order": True}
    return train(packed_model(k=1), samples, OBJECTIVE, **(settings | options))


def test_the_coins_differ_within_steps():
    assert any(len(set(step)) == 2 for step in KEPT)


def test_micro_batches_whose_coin_says_so_are_run_without_views(tmp_path):
    samples = conversations(STEPS * PARTS)
    logs = run(samples, tmp_path)
    expected, tokens = 0, []
    for step, kept in enumerate(KEPT):
        for part, views in enumerate(kept):
            sample = samples[step * PARTS + part]
            expected += (Layout(k=1).forest(sample) if views else plain_forest(sample)).tokens
        tokens.append(expected)
    assert [entry["tokens"] for entry in logs] == tokens


def test_the_logged_term_is_the_mean_of_the_pairs_that_were_seen(tmp_path):
    alike = [TEXT_CODE] * (STEPS * PARTS)
    (every, *_) = run(alike, tmp_path, learning_rate=0.0, steps=1)
    (last,) = run(alike, tmp_path, learning_rate=0.0, logging_steps=STEPS)
    assert last["jepa"] == pytest.approx(every["jepa"])
