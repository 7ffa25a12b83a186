"""The k [PRED] tokens: slots as negative tokens, and tokens of the vocabulary."""

import pytest
from tests.helpers import word_tokenizer

from llm_jepa.errors import UserError
from llm_jepa.views.predictor import PredictorTokens, add_predictor_tokens, slot_index, slots, with_predictor


@pytest.mark.parametrize(("k", "expected"), [(0, ()), (1, (-1,)), (4, (-1, -2, -3, -4))])
def test_slots_count_up_from_the_first(k, expected):
    assert slots(k) == expected
    assert [slot_index(token) for token in expected] == list(range(k))


def test_no_row_of_the_vocabulary_is_a_slot():
    assert [slot_index(token) for token in (0, 1, 151_678)] == [-1, -1, -1]


@pytest.mark.parametrize(
    ("predictor", "prepend", "expected"),
    [((-1, -2), False, (5, 6, -1, -2)), ((-1, -2), True, (-1, -2, 5, 6)), ((), False, (5, 6)), ((), True, (5, 6))],
)
def test_the_predictor_stands_after_or_before_the_tokens(predictor, prepend, expected):
    assert with_predictor((5, 6), predictor, prepend=prepend) == expected


@pytest.mark.parametrize(
    ("k", "prepend", "expected"),
    [
        (0, False, "ab"),
        (1, False, "ab<|predictor_1|>"),
        (3, False, "ab<|predictor_3|><|predictor_2|><|predictor_1|>"),
        (3, True, "<|predictor_1|><|predictor_2|><|predictor_3|>ab"),
    ],
)
def test_tokens_of_the_vocabulary_are_numbered_from_the_outside(k, prepend, expected):
    assert PredictorTokens(k=k, prepend=prepend).put("ab") == expected


def test_more_tokens_than_the_official_vocabulary_has_are_refused():
    assert len(PredictorTokens(k=10).names) == 10
    with pytest.raises(UserError, match=r"^layout.k is 11, but `model.predictor: vocabulary` has 10 tokens; use slots$"):
        PredictorTokens(k=11)


def test_a_vocabulary_grows_by_what_it_lacks_and_once():
    tokenizer = word_tokenizer()
    tokenizer.add_tokens(["<|eot_id|>"], special_tokens=True)
    before = len(tokenizer)
    for _ in range(2):
        add_predictor_tokens(tokenizer)
        assert len(tokenizer) == before + 13
    ids = tokenizer("dog<|predictor_10|><|perception|>")["input_ids"]
    assert tokenizer.convert_ids_to_tokens(ids) == ["dog", "<|predictor_10|>", "<|perception|>"]
    assert tokenizer.decode(ids, skip_special_tokens=True) == "dog"
