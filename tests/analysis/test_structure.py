"""All numbers of a reading at once: which embeddings each is taken of, and when a collapse is one."""

import pytest
import torch

from llm_jepa.analysis.geometry import relative_singular_values, singular_values
from llm_jepa.analysis.structure import Reading, measure


def draw(seed: int, rows: int = 40, hidden: int = 6) -> torch.Tensor:
    return torch.randn(rows, hidden, generator=torch.Generator().manual_seed(seed))


def test_without_slots_what_is_trained_is_the_encoding_itself() -> None:
    found = measure(Reading(text=draw(0), code=draw(1)))
    assert (found.pairs, found.hidden) == (40, 6)
    assert found.trained is found.encoded
    assert found.prediction is None


def test_every_number_is_taken_of_its_own_embeddings() -> None:
    text, code, predicted, target = draw(0), draw(1) + 2, draw(2), draw(3) - 1
    found = measure(Reading(text=text, code=code, predicted=predicted, target=target))
    assert found.predicted is not None
    assert found.trained is found.predicted
    assert found.encoded.singular_values == pytest.approx(singular_values(text, code).tolist())
    assert found.encoded.relative_singular_values == pytest.approx(relative_singular_values(text, code).tolist())
    assert found.predicted.singular_values == pytest.approx(singular_values(predicted, target).tolist())
    assert found.encoded.mean_top_100 == pytest.approx(float(singular_values(text, code).mean()))
    assert found.code.anisotropy > 0.5 > abs(found.text.anisotropy)
    assert found.encoded.cosine_gap == found.encoded.cosine_matched - found.encoded.cosine_shuffled


def test_the_relative_error_is_the_root_of_the_share_where_the_views_have_no_mean() -> None:
    text, code = draw(0), draw(1)
    text, code = text - text.mean(dim=0), code - code.mean(dim=0)
    found = measure(Reading(text=text, code=code)).encoded
    assert found.relative_error**2 == pytest.approx(found.linear.unexplained)


def test_a_view_that_is_the_other_finds_it_in_both_directions() -> None:
    text = draw(0)
    found = measure(Reading(text=text, code=3 * text)).encoded
    assert found.forward.at[1] == found.backward.at[1] == 1.0
    assert not found.collapsed


def test_one_direction_for_all_is_a_collapse_and_no_small_number_hides_it() -> None:
    point = torch.full((6,), 9.0)
    found = measure(Reading(text=point + draw(0) / 100, code=point + draw(1) / 100)).encoded
    before = measure(Reading(text=draw(0), code=draw(1))).encoded
    assert found.collapsed
    assert not before.collapsed
    assert found.mean_top_100 < before.mean_top_100 / 50
    assert found.relative_mean_top_100 == pytest.approx(before.relative_mean_top_100, rel=0.01)


def test_one_direction_for_all_is_no_collapse_while_partners_are_found() -> None:
    point, told = torch.full((6,), 9.0), draw(0) / 100
    assert not measure(Reading(text=point + told, code=point + told)).encoded.collapsed


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_embeddings_that_are_no_numbers_are_counted(value: float) -> None:
    broken = draw(1)
    broken[3, 2] = value
    with pytest.raises(ValueError, match="1 of 80 embeddings are not finite"):
        measure(Reading(text=draw(0), code=broken))
