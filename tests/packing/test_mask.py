"""What each token sees: drawn out, and against the definition by paths."""

from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.helpers import GROUP, TEXT_CODE

from llm_jepa.packing.collate import pack, spread
from llm_jepa.packing.layout import Forest, Layout, Segment
from llm_jepa.packing.mask import Visibility


def drawn(visibility: Visibility, window: int | None = None, row: int = 0) -> list[str]:
    """Return a row's mask as a drawing: a line for each query, 1 where it sees the key."""
    mask = visibility.mask(window)[row, 0]
    return ["".join("1" if seen else "." for seen in line) for line in mask.tolist()]


def packed(*forests: Forest, samples_per_row: int = 1) -> Visibility:
    return pack(forests, pad=0, samples_per_row=samples_per_row).visibility


def test_text_slots_and_code_of_one_sample():
    # 1 text text text 2 code code 3 | two slots behind the text | code code
    visibility = packed(Layout(k=2).forest(TEXT_CODE))
    assert drawn(visibility) == [
        "1...........",
        "11..........",
        "111.........",
        "1111........",
        "11111.......",
        "111111......",
        "1111111.....",
        "11111111....",
        "1111....1...",
        "1111....11..",
        "..........1.",
        "..........11",
    ]
    assert visibility.position.tolist() == [[0, 1, 2, 3, 4, 5, 6, 7, 4, 5, 0, 1]]


def test_a_window_counts_positions_along_the_path():
    # The slots stand at positions 4 and 5: with a window of 3 the first sees positions 2 and 3, the second 3 alone.
    assert drawn(packed(Layout(k=2).forest(TEXT_CODE)), window=3) == [
        "1...........",
        "11..........",
        "111.........",
        ".111........",
        "..111.......",
        "...111......",
        "....111.....",
        ".....111....",
        "..11....1...",
        "...1....11..",
        "..........1.",
        "..........11",
    ]


def test_prepended_slots_see_what_precedes_the_text_and_not_the_text():
    # 1 text text text 2 code code 3 | slot text text text, behind the 1 | code code
    visibility = packed(Layout(k=1, prepend=True).forest(TEXT_CODE))
    assert drawn(visibility)[8:] == [
        "1.......1.....",
        "1.......11....",
        "1.......111...",
        "1.......1111..",
        "............1.",
        "............11",
    ]
    assert visibility.position.tolist()[0][8:] == [1, 2, 3, 4, 0, 1]


def test_separate_views_see_themselves_alone():
    visibility = packed(Layout(k=1, shared=False).forest(TEXT_CODE))
    assert drawn(visibility)[8:] == [
        "........1.....",
        "........11....",
        "........111...",
        "........1111..",
        "............1.",
        "............11",
    ]


def test_every_slot_of_a_group_sees_the_sequence_it_hangs_on():
    # 1 30 31 3 | 1 40 3 | 1 50 51 52 3 | slot behind 1 30 31 | slot behind 1 40
    assert drawn(packed(Layout(k=1).forest(GROUP))) == [
        "1.............",
        "11............",
        "111...........",
        "1111..........",
        "....1.........",
        "....11........",
        "....111.......",
        ".......1......",
        ".......11.....",
        ".......111....",
        ".......1111...",
        ".......11111..",
        "111.........1.",
        "....11.......1",
    ]


def test_samples_of_one_row_do_not_see_each_other():
    small = Forest("a", (Segment((5, 6), (False, True)), Segment((-1,), parent=0, visible=1)), ())
    assert drawn(packed(small, small, samples_per_row=2)) == [
        "1.....",
        "11....",
        "1.1...",
        "...1..",
        "...11.",
        "...1.1",
    ]


@pytest.mark.parametrize("window", [None, 1, 3])
def test_a_pad_sees_itself_and_nobody_sees_a_pad(window):
    long, short = Forest("a", (Segment((5, 6, 7, 8)),), ()), Forest("b", (Segment((5,)),), ())
    assert drawn(packed(long, short), window=window, row=1) == ["1...", ".1..", "..1.", "...1"]


def test_rows_of_one_path_each_are_plain_causal():
    visibility = spread([Layout(k=2).forest(TEXT_CODE)], pad=0).visibility
    assert drawn(visibility, row=1) == [
        "1.......",
        "11......",
        "111.....",
        "1111....",
        "11111...",
        "111111..",
        "......1.",
        ".......1",
    ]


def test_a_window_as_long_as_the_row_hides_nothing():
    visibility = packed(Layout(k=2).forest(TEXT_CODE))
    assert torch.equal(visibility.mask(8), visibility.mask())
    assert not torch.equal(visibility.mask(7), visibility.mask())


# ---- Against the definition: a token sees itself, what precedes it in its segment, and the visible prefix of its parent.


@dataclass(frozen=True)
class Token:
    forest: int
    segment: int
    index: int


def path(forests: list[Forest], token: Token) -> list[Token]:
    """Return the tokens from the root to `token`, itself included."""
    segment = forests[token.forest].segments[token.segment]
    prefix = [] if segment.parent is None else [Token(token.forest, segment.parent, at) for at in range(segment.visible)]
    return [*prefix, *(Token(token.forest, token.segment, at) for at in range(token.index + 1))]


ROOTS = st.lists(st.integers(1, 5), min_size=1, max_size=3)
HANGING = st.lists(st.tuples(st.booleans(), st.integers(0, 2), st.integers(0, 5), st.integers(1, 3)), max_size=3)


def forest(roots: list[int], hanging: list[tuple[bool, int, int, int]]) -> Forest:
    """Return roots of the given lengths, then segments of (hangs, on which root, how much of it is visible, length)."""
    segments = [Segment((5,) * length) for length in roots]
    for hangs, root, visible, length in hanging:
        parent = root % len(roots)
        seen = min(visible, roots[parent])
        segments.append(Segment((-1,) * length, parent=parent, visible=seen) if hangs else Segment((6,) * length))
    return Forest("any", tuple(segments), ())


@given(
    shapes=st.lists(st.tuples(ROOTS, HANGING), min_size=1, max_size=5),
    samples_per_row=st.integers(1, 5),
    window=st.none() | st.integers(1, 8),
)
@settings(max_examples=150, deadline=None)
def test_the_formula_is_the_definition_by_paths(shapes, samples_per_row, window):
    forests = [forest(*shape) for shape in shapes]
    batch = pack(forests, pad=0, samples_per_row=samples_per_row)
    mask = batch.visibility.mask(window)[:, 0]
    for row, members in enumerate(rows_of(forests, samples_per_row)):
        tokens = [
            Token(member, segment, index)
            for member in members
            for segment, content in enumerate(forests[member].segments)
            for index in range(len(content.ids))
        ]
        paths = [path(forests, token) for token in tokens]
        depth = {token: len(walked) - 1 for token, walked in zip(tokens, paths, strict=True)}
        assert batch.visibility.position[row, : len(tokens)].tolist() == [depth[token] for token in tokens]
        for query, walked in enumerate(paths):
            seen = {token for token in walked if window is None or depth[walked[-1]] - depth[token] < window}
            expected = [token in seen for token in tokens]
            assert mask[row, query].tolist() == expected + [False] * (mask.shape[2] - len(tokens))
        for pad in range(len(tokens), mask.shape[1]):
            assert mask[row, pad].nonzero().flatten().tolist() == [pad]


def rows_of(forests: list[Forest], samples_per_row: int) -> list[list[int]]:
    """Return which forests share a row: the longest first, each into the shortest row that has room."""
    count = -(-len(forests) // samples_per_row)
    rows: list[list[int]] = [[] for _ in range(count)]
    if samples_per_row == 1:
        return [[index] for index in range(len(forests))]
    for index in sorted(range(len(forests)), key=lambda index: -forests[index].tokens):
        open_rows = [row for row in rows if len(row) < samples_per_row]
        min(open_rows, key=lambda row: sum(forests[member].tokens for member in row)).append(index)
    return [sorted(row) for row in rows]
