"""Geometry of two views, against numpy, scikit-learn and cases that can be worked out by hand."""

import math

import numpy as np
import pytest
import torch

from llm_jepa.analysis.geometry import (
    anisotropy,
    cka,
    effective_rank,
    linear_map,
    mean_top,
    relative_singular_values,
    singular_values,
    spread,
)


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
    assert found.unexplained_held_out == pytest.approx(0, abs=1e-20)


def test_noise_is_explained_on_fitted_rows_and_not_on_others() -> None:
    found = linear_map(draw(80, 10, 0), draw(80, 10, 1))
    assert found.unexplained < 0.95
    assert found.unexplained_held_out is not None
    assert found.unexplained_held_out > 1


def test_no_more_rows_than_units_fit_anything_and_are_not_tried_on_held_out_rows() -> None:
    found = linear_map(draw(10, 12, 0), draw(10, 12, 1))
    assert found.error == pytest.approx(0, abs=1e-9)
    assert found.unexplained_held_out is None


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
