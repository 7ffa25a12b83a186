"""The law of cost: what its batches hold, and what its table and its figure say of them."""

import pytest
from benchmarks.law import FRAME, batch, group, pair, table
from benchmarks.law_figure import Curve, Point, law_figure


def point(x: float, seconds: float, flops: float, attention: float = 0.0) -> Point:
    return Point(x=x, seconds=seconds, flops=flops, attention=attention)


@pytest.mark.parametrize("k", [0, 3])
def test_a_pair_costs_its_slots_and_code_once_more(k: int) -> None:
    samples = [pair(20, 10)]
    assert int(batch(samples, jepa=False).tokens) == FRAME + 30
    assert int(batch(samples, k=k).tokens) == FRAME + 30 + k + 10


def test_only_code_and_the_stop_token_carry_labels() -> None:
    assert batch([pair(20, 10)]).label.numel() == 11


def test_a_group_costs_its_slots_alone() -> None:
    assert int(batch([group(4, 9)], jepa=False).tokens) == 36
    assert int(batch([group(4, 9)], k=2).tokens) == 36 + 3 * 2


def test_samples_that_share_rows_make_fewer_longer_rows() -> None:
    samples = [pair(20, 10)] * 6
    assert batch(samples, per_row=1).input_ids.shape == (6, FRAME + 41)
    assert batch(samples, per_row=3).input_ids.shape == (2, 3 * (FRAME + 41))


def test_a_table_sets_measured_ratios_beside_the_formula() -> None:
    curve = Curve(name="k", model="4 M", points=(point(1, 3.0, 20e9, 5e9),), bases=(point(0, 2.0, 10e9),))
    assert table(curve)[2] == "| 1 | 3.000 | 20.00 | 25% | 1.50 | 2.00 |"


def test_a_curve_without_a_base_shows_its_rate() -> None:
    assert table(Curve(name="length of a row", model="4 M", points=(point(64, 2.0, 60e9),)))[2].endswith("| 30 |")


def test_the_figure_names_every_quantity() -> None:
    law = Curve(name="length of a row", model="4 M", points=(point(64, 0.1, 1e9), point(256, 0.5, 5e9)))
    ratio = Curve(name="samples a row", model="4 M", points=(point(1, 0.2, 2e9),), bases=(point(1, 0.1, 1e9),))
    drawn = law_figure([law, ratio])
    assert drawn.startswith("<svg")
    assert "length of a row" in drawn
    assert "samples a row" in drawn
