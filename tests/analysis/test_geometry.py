"""Geometry of two views, against numpy, scikit-learn and cases that can be worked out by hand."""

import math

import numpy as np
import pytest
import torch

from llm_jepa.analysis.geometry import (
    anisotropy,
    cka,
    cosines,
    effective_rank,
    linear_map,
    mean_length,
    mean_top,
    relative_singular_values,
    singular_values,
    spread,
)
from llm_jepa.objective.monitors import alignment


def draw(rows: int, hidden: int, seed: int) -> torch.Tensor:
    return torch.randn(rows, hidden, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_singular_values_are_numpys() -> None:
    text, code = draw(30, 8, 0), draw(30, 8, 1)
    expected = np.linalg.svd((text - code).numpy(), compute_uv=False)
    assert singular_values(text, code).numpy() == pytest.approx(expected)


def test_the_mean_of_the_top_takes_the_largest_or_all_there_are() -> None:
    values = torch.tensor([5.0, 3.0, 1.0])
    assert mean_top(values, top=2) == 4.0
    assert mean_top(values) == 3.0


def test_shrinking_both_views_shrinks_the_singular_values_but_not_the_relative_ones() -> None:
    text, code = draw(40, 8, 0) + 3, draw(40, 8, 1) - 2
    assert singular_values(text / 30, code / 30).numpy() == pytest.approx(singular_values(text, code).numpy() / 30)
    relative = relative_singular_values(text, code)
    assert relative_singular_values(text / 30, code / 30).numpy() == pytest.approx(relative.numpy())


def test_squared_relative_singular_values_are_the_squared_distance_over_the_variance() -> None:
    text, code = draw(40, 8, 0), draw(40, 8, 1)
    distance = (text - code).square().sum(dim=1).mean()
    variance = (code - code.mean(dim=0)).square().sum(dim=1).mean()
    assert float(relative_singular_values(text, code).square().sum()) == pytest.approx(float(distance / variance))


def test_the_spread_does_not_know_the_mean() -> None:
    assert float(spread(torch.tensor([[9.0, 1.0], [11.0, 1.0]]))) == pytest.approx(math.sqrt(2))


def test_the_error_of_the_linear_map_is_numpys_residual() -> None:
    text, code = draw(50, 6, 0), draw(50, 6, 1)
    _, residual, _, _ = np.linalg.lstsq(text.numpy(), code.numpy(), rcond=None)
    assert linear_map(text, code).error == pytest.approx(math.sqrt(residual.sum()))


def test_unexplained_is_one_minus_r_squared_of_scikit_learn() -> None:
    from sklearn.linear_model import LinearRegression

    text, code = draw(60, 5, 0), draw(60, 5, 1)
    fitted = LinearRegression().fit(text.numpy(), code.numpy()).predict(text.numpy())
    left, own = ((code.numpy() - fitted) ** 2).sum(), ((code - code.mean(dim=0)) ** 2).sum()
    assert linear_map(text, code).unexplained == pytest.approx(float(left / own))


def test_a_true_linear_map_leaves_nothing_also_on_rows_it_was_not_fitted_to() -> None:
    text = draw(100, 6, 0)
    found = linear_map(text, text @ draw(6, 6, 1) + 4)
    assert found.unexplained == pytest.approx(0, abs=1e-20)
    assert found.unexplained_held_out == pytest.approx(0, abs=1e-12)
    assert not found.fits_anything


def test_noise_is_explained_on_fitted_rows_and_not_on_others() -> None:
    found = linear_map(draw(80, 10, 0), draw(80, 10, 1))
    assert found.unexplained < 0.95
    assert found.unexplained_held_out == pytest.approx(1, abs=0.01)


def test_no_more_rows_than_units_fit_anything_but_other_rows_tell_a_relation_from_noise() -> None:
    text = draw(60, 200, 0) * torch.logspace(0, -3, 200, dtype=torch.float64)
    related, noise = linear_map(text, text @ draw(200, 200, 1)), linear_map(text, draw(60, 200, 2))
    for found in (related, noise):
        assert found.fits_anything
        assert found.error == pytest.approx(0, abs=1e-9)
        assert found.unexplained == pytest.approx(0, abs=1e-12)
    assert related.unexplained_held_out is not None
    assert related.unexplained_held_out < 0.5
    assert noise.unexplained_held_out == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(("rows", "tried"), [(15, False), (16, True)])
def test_a_few_rows_are_not_halved(rows: int, tried: bool) -> None:
    assert (linear_map(draw(rows, 3, 0), draw(rows, 3, 1)).unexplained_held_out is not None) == tried


def test_the_penalty_is_the_one_that_predicts_each_row_best_from_the_others() -> None:
    """Against refitting scikit-learn without one row after the other, and trying the other half."""
    from sklearn.linear_model import Ridge

    text = draw(40, 30, 0) * torch.logspace(0, -2, 30, dtype=torch.float64)
    code = text @ draw(30, 4, 1) + draw(40, 4, 2)
    source, target = text[::2].numpy(), code[::2].numpy()
    centred = source - source.mean(axis=0)
    largest = np.linalg.svd(centred, compute_uv=False)[0] ** 2

    def missed(strength: float) -> float:
        total = 0.0
        for row in range(len(source)):
            rest = np.arange(len(source)) != row
            # The penalty stands beside sums over all rows, as in the closed form with the mean taken away once.
            fitted = Ridge(alpha=strength * largest, solver="cholesky").fit(source[rest], target[rest])
            total += float(((fitted.predict(source[[row]]) - target[row]) ** 2).sum())
        return total

    best = min((10.0**power for power in range(-6, 3)), key=missed)
    fitted = Ridge(alpha=best * largest, solver="cholesky").fit(source, target).predict(text[1::2].numpy())
    left = ((code[1::2].numpy() - fitted) ** 2).sum() / ((code[1::2].numpy() - target.mean(axis=0)) ** 2).sum()
    assert linear_map(text, code).unexplained_held_out == pytest.approx(float(left))


def test_embeddings_that_are_all_the_same_have_nothing_to_explain() -> None:
    found = linear_map(torch.ones(50, 8), torch.ones(50, 8))
    assert (found.unexplained, found.unexplained_held_out) == (1.0, 1.0)
    assert found.error == pytest.approx(0, abs=1e-9)


def test_collapsed_embeddings_have_small_errors_and_no_better_explanation() -> None:
    text, code = draw(200, 8, 0), draw(200, 8, 1)
    point = torch.full((8,), 5.0, dtype=torch.float64)
    before, after = linear_map(text, code), linear_map(point + text / 100, point + code / 100)
    assert after.error < before.error / 50
    assert after.unexplained == pytest.approx(before.unexplained, rel=1e-6)


def test_a_linear_map_needs_two_rows() -> None:
    with pytest.raises(ValueError, match="at least 2 examples, not 1"):
        linear_map(draw(1, 4, 0), draw(1, 4, 1))


def test_anisotropy_is_the_mean_over_all_pairs_of_different_rows() -> None:
    rows = draw(7, 5, 0) + 1
    cosines = [
        float(torch.nn.functional.cosine_similarity(rows[i], rows[j], dim=0)) for i in range(7) for j in range(7) if i != j
    ]
    assert anisotropy(rows) == pytest.approx(sum(cosines) / len(cosines))


@pytest.mark.parametrize(("rows", "rank"), [(torch.eye(4), 4.0), (torch.ones(5, 3), 1.0)])
def test_the_effective_rank_counts_directions(rows: torch.Tensor, rank: float) -> None:
    assert effective_rank(rows) == pytest.approx(rank)


def test_a_common_direction_does_not_count_when_it_is_taken_away() -> None:
    rows = draw(400, 4, 0) / 100 + torch.tensor([10.0, 0, 0, 0], dtype=torch.float64)
    assert effective_rank(rows) < 1.1
    assert effective_rank(rows, centred=True) > 2.9
    assert effective_rank(torch.ones(5, 3), centred=True) == 1.0


def test_cka_is_one_for_a_rotation_and_small_for_noise() -> None:
    one = draw(300, 6, 0)
    rotation, _ = torch.linalg.qr(draw(6, 6, 1))
    assert cka(one, 7 * one @ rotation + 3) == pytest.approx(1)
    assert cka(one, draw(300, 9, 2)) < 0.1


def test_cka_is_the_normalised_hsic_of_the_linear_kernels() -> None:
    one, other = draw(20, 4, 0), draw(20, 7, 1)
    centre = torch.eye(20, dtype=torch.float64) - 1 / 20
    kernels = [centre @ item @ item.T @ centre for item in (one, other)]
    hsic = [float((a * b).sum()) for a, b in ((kernels[0], kernels[1]), (kernels[0], kernels[0]), (kernels[1], kernels[1]))]
    assert cka(one, other) == pytest.approx(hsic[0] / math.sqrt(hsic[1] * hsic[2]))


def test_cosines_are_those_of_the_monitors_of_training() -> None:
    text, code = draw(30, 6, 0) + 1, draw(30, 6, 1)
    expected = alignment(text, code)
    assert cosines(text, code) == pytest.approx((expected.cosine_matched, expected.cosine_shuffled))


def test_cosines_need_two_rows() -> None:
    with pytest.raises(ValueError, match="at least 2 examples, not 1"):
        cosines(draw(1, 4, 0), draw(1, 4, 1))


def test_the_length_is_euclids() -> None:
    assert mean_length(torch.tensor([[3.0, 4.0], [0.0, 1.0]])) == 3.0
