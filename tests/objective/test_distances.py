"""Distances solved by hand, and InfoNCE by numpy."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from llm_jepa.objective.distances import L2, Cosine, Distance, InfoNCE, MeanSquaredError

ROOT = math.sqrt(0.5)

# Predictions and their targets: the same direction, opposite, at right angles, at 45 degrees.
PREDICTED = [[3.0, 4.0], [1.0, 0.0], [0.0, 2.0], [1.0, 1.0]]
TARGET = [[6.0, 8.0], [-2.0, 0.0], [5.0, 0.0], [1.0, 0.0]]

SOLVED: dict[str, tuple[Distance, list[float]]] = {
    "cosine": (Cosine(), [0.0, 2.0, 1.0, 1 - ROOT]),
    "l2": (L2(), [5.0, 3.0, math.sqrt(29.0), 1.0]),
    "mse": (MeanSquaredError(), [12.5, 4.5, 14.5, 0.5]),
}
EVERY = [Cosine(), L2(), MeanSquaredError(), InfoNCE()]


def name(distance: Distance) -> str:
    return type(distance).__name__


@pytest.mark.parametrize("case", SOLVED)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_hand_solved_pairs(case, dtype):
    distance, expected = SOLVED[case]
    found = distance(torch.tensor(PREDICTED, dtype=dtype), torch.tensor(TARGET, dtype=dtype), torch.arange(4))
    assert found.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert found.tolist() == pytest.approx(expected, abs=1e-6)


def test_infonce_with_two_candidates_at_right_angles():
    # Similarities / 0.5 are (2, 0): -log(e^2 / (e^2 + 1)); for the second (0, 2) with the first as its target.
    predicted = torch.tensor([[2.0, 0.0], [0.0, 7.0]])
    candidates = torch.tensor([[5.0, 0.0], [0.0, 1.0]])
    found = InfoNCE(temperature=0.5)(predicted, candidates, torch.tensor([0, 0]))
    right, wrong = math.log1p(math.exp(-2)), math.log1p(math.exp(2))
    assert found.tolist() == pytest.approx([right, wrong], abs=1e-6)


@pytest.mark.parametrize("pairs", [1, 2, 5])
def test_infonce_of_collapsed_embeddings_is_the_logarithm_of_their_number(pairs):
    same = torch.ones(pairs, 4)
    assert InfoNCE()(same, same, torch.arange(pairs)).tolist() == pytest.approx([math.log(pairs)] * pairs, abs=1e-6)


def test_infonce_equals_numpy():
    draw = np.random.default_rng(0)
    predicted, candidates = draw.normal(size=(5, 8)), draw.normal(size=(9, 8))
    matched = np.array([3, 0, 8, 3, 5])
    expected = []
    for row, right in zip(predicted, matched, strict=True):
        cosines = [row @ other / (np.linalg.norm(row) * np.linalg.norm(other)) for other in candidates]
        chances = np.exp(np.array(cosines) / 0.07)
        expected.append(-np.log(chances[right] / chances.sum()))
    found = InfoNCE()(torch.tensor(predicted), torch.tensor(candidates), torch.tensor(matched))
    assert found.tolist() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("distance", EVERY, ids=name)
def test_the_target_is_the_matched_candidate(distance):
    draw = torch.Generator().manual_seed(0)
    predicted, candidates = torch.randn(3, 4, generator=draw), torch.randn(6, 4, generator=draw)
    shifted = distance(predicted, candidates, torch.tensor([2, 3, 4]))
    turned = distance(predicted, candidates[[2, 3, 4, 0, 1, 5]], torch.arange(3))
    torch.testing.assert_close(shifted, turned)
    assert not torch.allclose(shifted, distance(predicted, candidates, torch.arange(3)))


@pytest.mark.parametrize("distance", [Cosine(), InfoNCE()], ids=name)
def test_length_does_not_matter_to_angles(distance):
    draw = torch.Generator().manual_seed(0)
    predicted, target = torch.randn(3, 4, generator=draw), torch.randn(3, 4, generator=draw)
    torch.testing.assert_close(
        distance(predicted, target, torch.arange(3)), distance(9 * predicted, target / 5, torch.arange(3))
    )


@pytest.mark.parametrize("distance", EVERY, ids=name)
def test_gradients_reach_both_sides_and_are_right(distance):
    draw = torch.Generator().manual_seed(0)
    both = [torch.randn(3, 4, generator=draw, dtype=torch.float64, requires_grad=True) for _ in range(2)]

    def call(predicted: Tensor, candidates: Tensor) -> Tensor:
        return distance(predicted, candidates, torch.arange(3))

    assert torch.autograd.gradcheck(call, both)


@pytest.mark.parametrize("distance", [Cosine(), InfoNCE()], ids=name)
def test_a_zero_embedding_gives_no_nan(distance):
    predicted = torch.zeros(2, 4, requires_grad=True)
    distance(predicted, torch.ones(2, 4), torch.arange(2)).sum().backward()
    assert predicted.grad is not None
    assert predicted.grad.isfinite().all()


@pytest.mark.parametrize("distance", EVERY, ids=name)
def test_no_pair_gives_no_value(distance):
    assert distance(torch.zeros(0, 4), torch.zeros(0, 4), torch.arange(0)).shape == (0,)


def test_only_infonce_needs_the_targets_of_all_ranks():
    assert [distance.contrastive for distance in EVERY] == [False, False, False, True]


@pytest.mark.parametrize("temperature", [0.0, -0.07, math.nan])
def test_a_temperature_that_is_not_positive_is_refused(temperature):
    with pytest.raises(ValueError, match=r"^temperature is (0\.0|-0\.07|nan), but it divides similarities"):
        InfoNCE(temperature=temperature)


def test_distances_are_values():
    assert InfoNCE(temperature=0.1) == InfoNCE(temperature=0.1) != InfoNCE()
    assert Cosine() == Cosine()
