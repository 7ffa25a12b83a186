"""How many samples share a row, and how long rows are."""

import pytest

from llm_jepa.packing.rows import Blocks, Cheapest, Counted, spread_evenly


@pytest.mark.parametrize(
    ("lengths", "width", "expected"),
    [
        ([80, 50, 60, 70], 576, 2),  # two rows of 130: 289 against 342 for rows of one and 319 for one row
        ([80, 50, 60, 70], 64, 1),  # in a narrow model attention costs more than the 60 pads
        ([64] * 8, 576, 1),  # equal lengths have no pads to save
        ([100, 1, 1, 1], 576, 4),  # 103 positions instead of 400
        ([100], 576, 1),
        ([], 576, 1),
    ],
)
def test_with_dense_attention_as_many_samples_share_a_row_as_pay_off(lengths, width, expected):
    assert Cheapest(width).samples_per_row(lengths) == expected


def test_rows_are_as_long_as_the_longest_with_dense_attention():
    assert (Cheapest(64).length(77), Counted(3).length(77)) == (77, 77)


def test_a_number_is_that_number_for_any_batch():
    assert [Counted(3).samples_per_row(lengths) for lengths in ([], [5], [5] * 9)] == [3, 3, 3]


def test_with_sparse_attention_all_samples_share_one_row():
    rows = Blocks()
    assert [rows.samples_per_row([5] * count) for count in (0, 1, 9)] == [1, 1, 9]
    assert spread_evenly([5, 7, 6], 1, 3) == [0, 0, 0]


def test_the_lengths_of_one_row_are_multiples_of_a_block_and_few():
    length = Blocks().length
    assert [length(tokens) for tokens in (1, 128, 129, 1024, 1025, 2049, 4097)] == [128, 128, 256, 1024, 1152, 2304, 4608]
    lengths = {length(tokens) for tokens in range(1025, 16385)}
    assert len(lengths) == 4 * 8  # eight in each of the four octaves
    assert all(tokens <= length(tokens) <= 1.125 * tokens + 128 for tokens in range(1, 16385))
    assert all(length(found) == found and found % 128 == 0 for found in lengths)
