"""The monitors on known geometries, and by numpy."""

import math

import numpy as np
import pytest
import torch

from llm_jepa.objective.monitors import Alignment, alignment, collapsed


def gaussian(pairs: int, hidden: int, *, seed: int = 0) -> torch.Tensor:
    return torch.randn(pairs, hidden, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_orthogonal_pairs_are_told_apart_perfectly():
    found = alignment(torch.eye(5), 3 * torch.eye(5))
    assert (found.cosine_matched, found.cosine_shuffled, found.cosine_gap) == pytest.approx((1.0, 0.0, 1.0))
    assert (found.retrieval_at_1, found.pairs, found.collapsed) == (1.0, 5, False)
    assert found.effective_rank == pytest.approx(5.0)


def test_collapsed_embeddings_look_close_and_tell_nothing():
    direction = torch.ones(6, 4)
    found = alignment(direction, torch.arange(1.0, 7)[:, None] * direction)
    assert (found.cosine_matched, found.cosine_shuffled) == pytest.approx((1.0, 1.0))
    assert found.cosine_gap == pytest.approx(0.0, abs=1e-6)
    assert found.retrieval_at_1 <= 0.5
    assert found.effective_rank == pytest.approx(1.0, abs=1e-2)
    assert found.collapsed


def test_nearly_collapsed_embeddings_are_called_collapsed():
    noise = 0.05 * gaussian(50, 16)
    found = alignment(torch.ones(50, 16) + 0.05 * gaussian(50, 16, seed=1), torch.ones(50, 16) + noise)
    assert found.collapsed
    assert found.retrieval_at_1 < 0.2


def test_a_common_direction_with_structure_left_is_not_called_collapsed():
    structure = 0.5 * torch.eye(8)
    found = alignment(torch.ones(8, 8) / 2 + structure, torch.ones(8, 8) / 2 + structure)
    assert found.retrieval_at_1 == 1.0
    assert not found.collapsed


def test_close_embeddings_that_still_find_their_partners_are_not_called_collapsed():
    # All cosines are above 0.99, and yet every prediction is nearest to its own target.
    narrow = torch.ones(40, 8, dtype=torch.float64) + 0.05 * gaussian(40, 8)
    found = alignment(narrow, narrow)
    assert found.cosine_shuffled > 0.99
    assert found.cosine_gap < 0.01
    assert found.retrieval_at_1 == 1.0
    assert not found.collapsed


@pytest.mark.parametrize(
    ("matched", "shuffled", "retrieval", "expected"),
    [
        (0.999, 0.998, 0.01, True),
        (0.999, 0.998, 0.51, False),  # partners are found
        (0.94, 0.93, 0.01, False),  # not all in one direction
        (1.0, 0.94, 0.01, False),  # matched pairs are closer than shuffled ones
    ],
)
def test_collapse_is_one_direction_without_any_difference_between_pairs(matched, shuffled, retrieval, expected):
    assert collapsed(cosine_matched=matched, cosine_shuffled=shuffled, retrieval_at_1=retrieval) is expected


def test_unrelated_embeddings_are_at_chance():
    found = alignment(gaussian(400, 64), gaussian(400, 64, seed=1))
    assert found.cosine_matched == pytest.approx(0.0, abs=0.03)
    assert found.cosine_gap == pytest.approx(0.0, abs=0.03)
    assert found.retrieval_at_1 < 0.02
    assert not found.collapsed


def test_opposite_pairs_have_the_lowest_cosine():
    found = alignment(torch.eye(3), -torch.eye(3))
    assert found.cosine_matched == pytest.approx(-1.0)
    assert found.retrieval_at_1 == 0.0


@pytest.mark.parametrize("turn", [0.0, 4e-7, -4e-7])
def test_of_targets_that_are_equal_but_for_rounding_none_is_retrieved(turn):
    predicted, target = torch.eye(4)[[0, 0, 1, 2, 3]], torch.eye(4)[[0, 0, 1, 2, 3]]
    predicted[:2, 1], target[0, 1] = 0.5, turn
    assert alignment(predicted, target).retrieval_at_1 == pytest.approx(0.6)


def test_swapped_pairs_are_never_retrieved():
    found = alignment(torch.eye(4), torch.eye(4).roll(1, dims=0))
    assert (found.cosine_matched, found.retrieval_at_1) == (0.0, 0.0)
    assert found.cosine_shuffled == pytest.approx(1 / 3)


@pytest.mark.parametrize(("pairs", "directions"), [(12, 3), (12, 4), (30, 5)])
def test_the_effective_rank_counts_equally_used_directions(pairs, directions):
    target = torch.eye(16)[torch.arange(pairs) % directions]
    assert alignment(gaussian(pairs, 16).float(), target).effective_rank == pytest.approx(directions, abs=1e-3)


@pytest.mark.parametrize(("pairs", "hidden"), [(2, 3), (7, 4), (5, 20)])
def test_everything_equals_numpy(pairs, hidden):
    predicted, target = gaussian(pairs, hidden), gaussian(pairs, hidden, seed=1) + 0.4
    found = alignment(predicted, target)

    one = predicted.numpy() / np.linalg.norm(predicted.numpy(), axis=1, keepdims=True)
    other = target.numpy() / np.linalg.norm(target.numpy(), axis=1, keepdims=True)
    cosines = np.array([[float(a @ b) for b in other] for a in one])
    apart = [cosines[i, j] for i in range(pairs) for j in range(pairs) if i != j]
    gram = other @ other.T if pairs < hidden else other.T @ other
    values = np.sqrt(np.linalg.eigvalsh(gram))
    share = values / values.sum()
    expected = Alignment(
        cosine_matched=float(np.mean(np.diag(cosines))),
        cosine_shuffled=float(np.mean(apart)),
        cosine_gap=float(np.mean(np.diag(cosines)) - np.mean(apart)),
        retrieval_at_1=float(np.mean([np.argmax(row) == index for index, row in enumerate(cosines)])),
        effective_rank=math.exp(-sum(part * math.log(part) for part in share)),
        pairs=pairs,
    )
    for name in ("cosine_matched", "cosine_shuffled", "cosine_gap", "retrieval_at_1", "effective_rank", "pairs"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name), abs=1e-6), name


def test_low_precision_embeddings_are_measured_in_float32():
    predicted, target = gaussian(20, 8).bfloat16(), gaussian(20, 8, seed=1).bfloat16()
    assert alignment(predicted, target) == alignment(predicted.float(), target.float())


def test_no_gradient_is_kept():
    predicted = gaussian(3, 4).requires_grad_()
    alignment(predicted, gaussian(3, 4, seed=1))
    assert predicted.grad is None


@pytest.mark.parametrize("pairs", [0, 1])
def test_a_single_pair_cannot_be_compared(pairs):
    with pytest.raises(ValueError, match=f"^alignment needs at least 2 pairs to compare, not {pairs}$"):
        alignment(torch.ones(pairs, 4), torch.ones(pairs, 4))
