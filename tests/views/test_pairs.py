"""Which view predicts which, and the shuffled control."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.helpers import GROUP, TEXT_CODE, conversations

from llm_jepa.errors import UserError
from llm_jepa.packing.layout import Layout
from llm_jepa.views.pairs import Direction, shuffle_pairs
from llm_jepa.views.tokenize import Sample, TokenSequence, TokenView


def conversation(number: int) -> Sample:
    """A sample whose every token tells which sample it comes from."""
    text, code = 10 * number + 1, 10 * number + 2
    sequence = TokenSequence((1, text, 2, code, 3), (False, False, False, True, True))
    views = (TokenView((text,), (text,), sequence=0, start=1, end=2), TokenView((code,), (code,), start=3, end=4))
    return Sample(f"a:{number}", (sequence,), views)


def group(number: int, views: int = 3) -> Sample:
    """A group without a conversation: every view is a trained sequence."""
    tokens = [10 * number + index for index in range(views)]
    return Sample(
        f"g:{number}",
        tuple(TokenSequence((token, 3), (False, True)) for token in tokens),
        tuple(TokenView((token,), (token,), sequence=index, start=0, end=1) for index, token in enumerate(tokens)),
    )


@pytest.mark.parametrize(
    ("direction", "views", "expected"),
    [
        (Direction.text_to_code, 2, [(0, 1)]),
        (Direction.code_to_text, 2, [(1, 0)]),
        (Direction.text_to_code, 5, [(0, 1), (1, 2), (2, 3), (3, 4)]),
        (Direction.code_to_text, 3, [(2, 1), (1, 0)]),
        (Direction.text_to_code, 1, []),
        (Direction.code_to_text, 0, []),
    ],
)
def test_each_view_predicts_its_neighbour(direction, views, expected):
    assert direction.pairs(views) == expected


@given(count=st.integers(2, 30), seed=st.integers())
@settings(deadline=None)
def test_shuffling_gives_every_text_the_code_of_another_sample_each_once(count, seed):
    samples = [conversation(number) for number in range(count)]
    shuffled = shuffle_pairs(samples, seed=seed)
    assert [sample.views[0] for sample in shuffled] == [sample.views[0] for sample in samples]
    assert [sample.sequences for sample in shuffled] == [sample.sequences for sample in samples]
    assert [sample.name for sample in shuffled] == [sample.name for sample in samples]
    donors = [sample.views[1].ids[0] // 10 for sample in shuffled]
    assert sorted(donors) == list(range(count))
    assert all(donor != number for number, donor in enumerate(donors))


@given(count=st.integers(2, 12), seed=st.integers())
@settings(deadline=None)
def test_shuffling_groups_keeps_the_set_of_trained_sequences_and_pairs_strangers(count, seed):
    samples = [group(number) for number in range(count)]
    shuffled = shuffle_pairs(samples, seed=seed)

    def trained(those: list[Sample]) -> Counter[TokenSequence]:
        return Counter(sequence for sample in those for sequence in sample.sequences)

    assert trained(shuffled) == trained(samples)
    for number, sample in enumerate(shuffled):
        assert sample.views[0] == samples[number].views[0]
        assert sample.views[1].ids[0] // 10 != number
        # What a view says lies where its place in the sequences says.
        for view in sample.views:
            assert view.sequence is not None
            assert sample.sequences[view.sequence].ids[view.start : view.end] == view.ids


def test_a_shuffled_view_is_no_longer_read_from_the_sequence_of_its_sample():
    first, second = shuffle_pairs([TEXT_CODE, replace(TEXT_CODE, name="a:2")], seed=0)
    for sample in (first, second):
        assert (sample.views[0].sequence, sample.views[1].sequence) == (0, None)
    swapped = replace(TEXT_CODE, views=(TEXT_CODE.views[1], TEXT_CODE.views[0]))
    assert [view.sequence for view in shuffle_pairs([swapped, swapped], seed=0)[0].views] == [None, None]


def test_shuffled_samples_have_as_many_tokens_of_code_as_before():
    samples = conversations(20)
    forests = [[Layout().forest(one) for one in those] for those in (samples, shuffle_pairs(samples, seed=3))]
    before, after = (sum(forest.tokens for forest in those) for those in forests)
    assert before == after


def test_the_same_seed_gives_the_same_shuffle_and_another_seed_another():
    samples = [conversation(number) for number in range(20)]
    assert shuffle_pairs(samples, seed=82) == shuffle_pairs(samples, seed=82)
    assert shuffle_pairs(samples, seed=82) != shuffle_pairs(samples, seed=23)


def test_the_shuffle_of_a_seed_stays_the_same_across_versions():
    donors = [sample.views[1].ids[0] // 10 for sample in shuffle_pairs([conversation(n) for n in range(8)], seed=82)]
    assert donors == [7, 5, 1, 6, 3, 0, 2, 4]


def test_samples_without_a_pair_stay_as_they_are():
    alone = replace(conversation(9), views=())
    single = replace(conversation(8), views=conversation(8).views[:1])
    shuffled = shuffle_pairs([alone, conversation(1), single, conversation(2)], seed=0)
    assert (shuffled[0], shuffled[2]) == (alone, single)
    assert [shuffled[1].views[1].ids, shuffled[3].views[1].ids] == [(22,), (12,)]


def test_one_pair_cannot_be_shuffled():
    with pytest.raises(UserError, match=r"^shuffled pairs need at least two samples with views; give more data$"):
        shuffle_pairs([conversation(1), replace(conversation(2), views=())], seed=0)


def test_samples_with_different_numbers_of_views_cannot_be_shuffled():
    with pytest.raises(UserError, match=r"^(a:1|g:1): [23] views, but (a:1|g:1) has [23]; cannot shuffle$"):
        shuffle_pairs([TEXT_CODE, GROUP], seed=0)
