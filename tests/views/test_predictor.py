"""The k [PRED] slots as negative tokens."""

import pytest

from llm_jepa.views.predictor import slot_index, slots, with_slots


@pytest.mark.parametrize(("k", "expected"), [(0, ()), (1, (-1,)), (4, (-1, -2, -3, -4))])
def test_slots_count_up_from_the_first(k, expected):
    assert slots(k) == expected
    assert [slot_index(token) for token in expected] == list(range(k))


def test_no_row_of_the_vocabulary_is_a_slot():
    assert [slot_index(token) for token in (0, 1, 151_678)] == [-1, -1, -1]


@pytest.mark.parametrize(
    ("k", "prepend", "expected"),
    [(2, False, (5, 6, -1, -2)), (2, True, (-1, -2, 5, 6)), (0, False, (5, 6)), (0, True, (5, 6))],
)
def test_slots_stand_after_or_before_the_tokens(k, prepend, expected):
    assert with_slots((5, 6), k, prepend=prepend) == expected
