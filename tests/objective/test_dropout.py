"""The coin of loss dropout: its rate, and that nothing moves it."""

import random

import numpy as np
import pytest
import torch

from llm_jepa.objective.dropout import dropped


def coins(rate: float, *, seed: int = 82, steps: int = 20) -> str:
    return "".join("x" if dropped(rate=rate, seed=seed, step=step) else "." for step in range(steps))


def test_the_coins_of_a_seed_are_fixed_for_good():
    assert coins(0.5) == "x...x...x..xx.xx.xxx"
    assert coins(0.75, seed=23) == "xxxx.xx.xx.xxxx.xxxx"


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.75])
@pytest.mark.parametrize("seed", [82, 23])
def test_the_share_of_dropped_steps_is_the_rate(rate, seed):
    share = coins(rate, seed=seed, steps=10_000).count("x") / 10_000
    assert share == pytest.approx(rate, abs=4 * (rate * (1 - rate) / 10_000) ** 0.5)


def test_rates_0_and_1_are_exact():
    assert coins(0.0, steps=2000) == "." * 2000
    assert coins(1.0, steps=2000) == "x" * 2000


def test_a_step_dropped_at_a_rate_is_dropped_at_every_higher_rate():
    for low, high in zip(coins(0.3, steps=500), coins(0.6, steps=500), strict=True):
        assert (low, high) != ("x", ".")


def test_seeds_have_coins_of_their_own():
    one, other = coins(0.5, seed=82, steps=1000), coins(0.5, seed=83, steps=1000)
    assert 400 < sum(a == b for a, b in zip(one, other, strict=True)) < 600


def test_seed_and_step_are_not_mixed_up():
    assert [dropped(rate=0.5, seed=1, step=23) for _ in range(3)] == [dropped(rate=0.5, seed=1, step=23)] * 3
    assert coins(0.5, seed=1, steps=300)[100:] != coins(0.5, seed=11, steps=200)


def test_the_coin_neither_reads_nor_moves_any_global_generator():
    expected = coins(0.5)
    for seed in (0, 1):
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        before = random.getstate(), repr(np.random.get_state()), torch.get_rng_state()
        assert coins(0.5) == expected
        assert random.getstate() == before[0]
        assert repr(np.random.get_state()) == before[1]
        assert torch.equal(torch.get_rng_state(), before[2])


def test_a_step_has_its_coin_whatever_was_asked_before():
    forward = [dropped(rate=0.5, seed=82, step=step) for step in range(50)]
    backward = [dropped(rate=0.5, seed=82, step=step) for step in reversed(range(50))]
    assert forward == backward[::-1]
