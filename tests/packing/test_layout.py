"""Which segments a sample becomes, written out for every layout."""

from dataclasses import replace
from typing import Any

import pytest
from tests.helpers import GROUP, TEXT_CODE

from llm_jepa.errors import UserError
from llm_jepa.packing.layout import Forest, Layout, Pair, Segment, plain_forest
from llm_jepa.views.pairs import Direction, shuffle_pairs
from llm_jepa.views.tokenize import MarkedView, TokenView

# [1 | text 10 11 12 | 2 | code 20 21 | stop 3]
SEQUENCE = Segment((1, 10, 11, 12, 2, 20, 21, 3), (False,) * 5 + (True,) * 3)
BACK = Direction.code_to_text


MARKED = replace(
    TEXT_CODE,
    views=tuple(
        replace(view, tail=(3, 6), marked=MarkedView((*view.framed, 91, 90, 3, 6), len(view.framed) + 2))
        for view in TEXT_CODE.views
    ),
    predictor=(91, 90),
)
"""The same with what the template puts after each view, 3 6, and with two [PRED] tokens of the vocabulary, 91 90."""


def hung(ids, visible, parent=0):
    return Segment(ids, parent=parent, visible=visible)


CASES = {
    # Text is read from the sequence at its token 3, its last; the slots see the four tokens up to there.
    "shared, k 0": (Layout(k=0), [Segment((20, 21))], Pair((0, 3), (1, 1))),
    "shared, k 1": (Layout(k=1), [hung((-1,), 4), Segment((20, 21))], Pair((1, 0), (2, 1))),
    "shared, k 2": (Layout(k=2), [hung((-1, -2), 4), Segment((20, 21))], Pair((1, 1), (2, 1))),
    "shared, k 3": (Layout(k=3), [hung((-1, -2, -3), 4), Segment((20, 21))], Pair((1, 2), (2, 1))),
    # Text alone; slots after it cannot change its tokens.
    "separate, k 0": (Layout(k=0, shared=False), [Segment((10, 11, 12)), Segment((20, 21))], Pair((1, 2), (2, 1))),
    "separate, k 1": (Layout(k=1, shared=False), [Segment((10, 11, 12, -1)), Segment((20, 21))], Pair((1, 3), (2, 1))),
    "separate, k 3": (
        Layout(k=3, shared=False),
        [Segment((10, 11, 12, -1, -2, -3)), Segment((20, 21))],
        Pair((1, 5), (2, 1)),
    ),
    # The official views: frames 7 and 8 9 before the contents.
    "framed, k 0": (
        Layout(k=0, shared=False, framed=True),
        [Segment((7, 10, 11, 12)), Segment((8, 9, 20, 21))],
        Pair((1, 3), (2, 3)),
    ),
    "framed, k 2": (
        Layout(k=2, shared=False, framed=True),
        [Segment((7, 10, 11, 12, -1, -2)), Segment((8, 9, 20, 21))],
        Pair((1, 5), (2, 3)),
    ),
    "shared and framed": (Layout(k=1, framed=True), [hung((-1,), 4), Segment((8, 9, 20, 21))], Pair((1, 0), (2, 3))),
    # Slots before Text: behind the token 1 that precedes it, and Text anew behind the slots.
    "prepended, k 0": (Layout(k=0, prepend=True), [Segment((20, 21))], Pair((0, 3), (1, 1))),
    "prepended, k 1": (
        Layout(k=1, prepend=True),
        [hung((-1, 10, 11, 12), 1), Segment((20, 21))],
        Pair((1, 3), (2, 1)),
    ),
    "prepended, k 3": (
        Layout(k=3, prepend=True),
        [hung((-1, -2, -3, 10, 11, 12), 1), Segment((20, 21))],
        Pair((1, 5), (2, 1)),
    ),
    "prepended, separate": (
        Layout(k=2, prepend=True, shared=False),
        [Segment((-1, -2, 10, 11, 12)), Segment((20, 21))],
        Pair((1, 4), (2, 1)),
    ),
    "prepended, framed": (
        Layout(k=2, prepend=True, shared=False, framed=True),
        [Segment((7, -1, -2, 10, 11, 12)), Segment((8, 9, 20, 21))],
        Pair((1, 5), (2, 3)),
    ),
    # Code predicts Text: Code alone carries the slots, Text is read from the sequence.
    "code to text, k 0": (Layout(k=0, direction=BACK), [Segment((20, 21))], Pair((1, 1), (0, 3))),
    "code to text, k 2": (Layout(k=2, direction=BACK), [Segment((20, 21, -1, -2))], Pair((1, 3), (0, 3))),
    "code to text, prepended": (
        Layout(k=2, prepend=True, direction=BACK),
        [Segment((-1, -2, 20, 21))],
        Pair((1, 3), (0, 3)),
    ),
    "code to text, separate": (
        Layout(k=1, shared=False, direction=BACK),
        [Segment((20, 21, -1)), Segment((10, 11, 12))],
        Pair((1, 2), (2, 2)),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_segments_of_a_text_and_a_code(case):
    layout, segments, pair = CASES[case]
    assert layout.forest(TEXT_CODE) == Forest("a:1", (SEQUENCE, *segments), (pair,))


# [1 | 30 31 | 3]  [1 | 40 | 3]  [1 | 50 51 52 | 3]
SEQUENCES = [
    Segment((1, 30, 31, 3), (False, True, True, True)),
    Segment((1, 40, 3), (False, True, True)),
    Segment((1, 50, 51, 52, 3), (False, True, True, True, True)),
]

GROUPS = {
    "shared, k 0": (Layout(k=0), [], [Pair((0, 2), (1, 1)), Pair((1, 1), (2, 3))]),
    "shared, k 2": (
        Layout(k=2),
        [hung((-1, -2), 3, parent=0), hung((-1, -2), 2, parent=1)],
        [Pair((3, 1), (1, 1)), Pair((4, 1), (2, 3))],
    ),
    "backwards, k 1": (
        Layout(k=1, direction=BACK),
        [hung((-1,), 4, parent=2), hung((-1,), 2, parent=1)],
        [Pair((3, 0), (1, 1)), Pair((4, 0), (0, 2))],
    ),
    # The middle view is predicted and predicts: one segment serves both, read before and at the end of the slots.
    "separate, k 2": (
        Layout(k=2, shared=False),
        [Segment((30, 31, -1, -2)), Segment((40, -1, -2)), Segment((50, 51, 52))],
        [Pair((3, 3), (4, 0)), Pair((4, 2), (5, 2))],
    ),
    # Slots before it would change it, so it is encoded with and without them.
    "separate, prepended, k 1": (
        Layout(k=1, shared=False, prepend=True),
        [Segment((-1, 30, 31)), Segment((40,)), Segment((-1, 40)), Segment((50, 51, 52))],
        [Pair((3, 2), (4, 0)), Pair((5, 1), (6, 2))],
    ),
    "prepended, k 1": (
        Layout(k=1, prepend=True),
        [hung((-1, 30, 31), 1, parent=0), hung((-1, 40), 1, parent=1)],
        [Pair((3, 2), (1, 1)), Pair((4, 1), (2, 3))],
    ),
}


@pytest.mark.parametrize("case", GROUPS)
def test_the_segments_of_three_paraphrases(case):
    layout, segments, pairs = GROUPS[case]
    assert layout.forest(GROUP) == Forest("g:1", (*SEQUENCES, *segments), tuple(pairs))


def test_views_that_are_no_part_of_the_sequence_are_encoded_alone_in_every_layout():
    views = (replace(TEXT_CODE.views[0], sequence=None), TEXT_CODE.views[1])
    forest = Layout(k=1).forest(replace(TEXT_CODE, views=views))
    assert forest.segments == (SEQUENCE, Segment((10, 11, 12, -1)), Segment((20, 21)))
    assert forest.pairs == (Pair((1, 3), (2, 1)),)


def test_a_shuffled_pair_costs_what_the_donors_code_costs():
    other = replace(TEXT_CODE, name="a:2", views=(TEXT_CODE.views[0], replace(TEXT_CODE.views[1], ids=(60, 61, 62))))
    shuffled = shuffle_pairs([TEXT_CODE, other], seed=0)[0]
    assert Layout(k=1).forest(shuffled).segments == (SEQUENCE, hung((-1,), 4), Segment((60, 61, 62)))


@pytest.mark.parametrize("views", [(), TEXT_CODE.views[:1]])
def test_fewer_than_two_views_make_no_pair_and_cost_nothing(views):
    assert Layout(k=2).forest(replace(TEXT_CODE, views=views)) == Forest("a:1", (SEQUENCE,), ())


def test_the_plain_forest_holds_the_trained_sequences_alone():
    assert plain_forest(TEXT_CODE) == Forest("a:1", (SEQUENCE,), ())
    assert plain_forest(GROUP) == Forest("g:1", tuple(SEQUENCES), ())


@pytest.mark.parametrize(
    ("layout", "extra"),
    [(Layout(k=0), 2), (Layout(k=4), 6), (Layout(k=2, shared=False), 7), (Layout(k=2, prepend=True), 7)],
)
def test_the_extra_cost_in_tokens(layout, extra):
    assert layout.forest(TEXT_CODE).tokens == plain_forest(TEXT_CODE).tokens + extra


def test_a_negative_number_of_slots_is_refused():
    with pytest.raises(
        ValueError, match=r"^k is -1, but a number of \[PRED\] tokens is 0 to 1024 \(the paper takes up to 4\)$"
    ):
        Layout(k=-1)


def test_framed_views_need_a_framed_tokenizer():
    from dataclasses import replace

    from llm_jepa.errors import UserError

    bare = replace(TEXT_CODE, views=tuple(replace(view, framed=(), frame=0) for view in TEXT_CODE.views))
    with pytest.raises(UserError, match="framed=True"):
        Layout(shared=False, framed=True).forest(bare)


OFFICIAL: dict[str, Any] = {"shared": False, "framed": True}

TAILED = {
    # Framed views end in 3 6; nothing behind the place that is read is kept.
    "last token, k 0": (Layout(k=0, last_token=-1, **OFFICIAL), (7, 10, 11, 12, 3, 6), (8, 9, 20, 21, 3, 6)),
    "last token but one, k 0": (Layout(k=0, last_token=-2, **OFFICIAL), (7, 10, 11, 12, 3), (8, 9, 20, 21, 3)),
    "in the content, k 0": (Layout(k=0, last_token=-4, **OFFICIAL), (7, 10, 11), (8, 9, 20)),
    "by construction, k 2": (Layout(k=2, **OFFICIAL), (7, 10, 11, 12, 91, 90), (8, 9, 20, 21)),
    "last token but one, k 2": (Layout(k=2, last_token=-2, **OFFICIAL), (7, 10, 11, 12, 91, 90, 3), (8, 9, 20, 21, 3)),
    "in the tokens, k 2": (Layout(k=2, last_token=-4, **OFFICIAL), (7, 10, 11, 12, 91), (8, 9, 20)),
    "bare, k 2": (Layout(k=2, shared=False), (10, 11, 12, 91, 90), (20, 21)),
    "bare and before, k 2": (Layout(k=2, shared=False, prepend=True), (91, 90, 10, 11, 12), (20, 21)),
}


@pytest.mark.parametrize("name", TAILED)
def test_views_of_their_own_end_where_they_are_read(name):
    layout, predicting, predicted = TAILED[name]
    sample = MARKED if layout.k else replace(MARKED, predictor=())
    forest = layout.forest(sample)
    assert forest.segments[1:] == (Segment(predicting), Segment(predicted))
    assert forest.pairs == (Pair((1, len(predicting) - 1), (2, len(predicted) - 1)),)


def test_slots_stand_between_the_content_and_what_the_template_puts_after_it():
    views = tuple(replace(view, marked=None) for view in MARKED.views)
    forest = Layout(k=2, last_token=-1, **OFFICIAL).forest(replace(MARKED, views=views, predictor=()))
    assert forest.segments[1:] == (Segment((7, 10, 11, 12, -1, -2, 3, 6)), Segment((8, 9, 20, 21, 3, 6)))


def test_tokens_of_the_vocabulary_hang_on_the_sequence_as_slots_do():
    forest = Layout(k=2).forest(MARKED)
    assert forest.segments[1:] == (hung((91, 90), 4), Segment((20, 21)))


def test_a_view_that_predicts_and_is_predicted_is_encoded_twice_where_its_end_is_counted():
    views = tuple(TokenView((token,), (7, token), 1, (3, 6)) for token in (10, 20, 30))
    forest = Layout(k=1, last_token=-1, **OFFICIAL).forest(replace(MARKED, views=views, predictor=()))
    assert [segment.ids for segment in forest.segments[1:]] == [
        (7, 10, -1, 3, 6),
        (7, 20, 3, 6),
        (7, 20, -1, 3, 6),
        (7, 30, 3, 6),
    ]
    assert forest.pairs == (Pair((1, 4), (2, 3)), Pair((3, 4), (4, 3)))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"last_token": 0, **OFFICIAL}, "last_token is 0, but it counts from the end: -1 is the last token"),
        ({"last_token": -2}, "last_token counts in framed views of their own: set shared to false and framed to true"),
        ({"last_token": -2, "shared": False}, "last_token counts in framed views of their own"),
        ({"last_token": -2, "framed": True}, "last_token counts in framed views of their own"),
    ],
)
def test_a_reading_position_that_cannot_be_counted_is_refused(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        Layout(**options)


def test_a_view_shorter_than_the_reading_position_is_named():
    with pytest.raises(UserError, match=r"^a:1: a view has 6 tokens, but layout.last_token is -7$"):
        Layout(k=0, last_token=-7, **OFFICIAL).forest(replace(MARKED, predictor=()))


def test_without_predictor_tokens_the_layout_does_not_ask_for_how_many_the_sample_was_made():
    forest = Layout(k=0, shared=False).forest(MARKED)
    assert forest.segments[1:] == (Segment((10, 11, 12)), Segment((20, 21)))


def test_tokens_for_another_k_are_refused():
    with pytest.raises(UserError, match=r"^a:1: tokenised for k = 2, but layout.k is 1$"):
        Layout(k=1).forest(MARKED)
