import pytest

from llm_jepa.scoring.regex_syntax import MARK, Characters, Nothing, Operator, Repeat, Step, SyntaxFault, parse

A, B, C = (Characters(((ord(letter), ord(letter)),)) for letter in "abc")
OR, AND, THEN, NOT = Operator.union, Operator.intersection, Operator.concatenation, Operator.complement

TREES = [
    ("a", (A,)),
    ("abc", (A, B, THEN, C, THEN)),
    ("a(bc)", (A, B, C, THEN, THEN)),
    ("a|b&c", (A, B, C, AND, OR)),
    ("a&b|c", (A, B, AND, C, OR)),
    ("a|b|c", (A, B, OR, C, OR)),
    ("a&bc", (A, B, C, THEN, AND)),
    ("ab*", (A, B, Repeat(0, None), THEN)),
    ("(ab)+", (A, B, THEN, Repeat(1, None))),
    ("a*?", (A, Repeat(0, None), Repeat(0, 1))),
    ("a{2}b{3,}c{4,5}", (A, Repeat(2, 2), B, Repeat(3, None), THEN, C, Repeat(4, 5), THEN)),
    ("~a*", (A, NOT, Repeat(0, None))),
    ("~~ab", (A, NOT, NOT, B, THEN)),
    ("a~(b|c)", (A, B, C, OR, NOT, THEN)),
    ("~()", (Nothing(), NOT)),
    (r"\ba", (Characters(((MARK, MARK),)), A, THEN)),
    (".", (Characters(((0, MARK),)),)),
    ("[ba]", (Characters(((97, 98),)),)),
    ("[a-cb-ex]", (Characters(((97, 101), (120, 120))),)),
    ("[^a-c]", (Characters(((0, 96), (100, MARK))),)),
    (r"[\]\\]", (Characters(((92, 93),)),)),
    (r"[a\b]", (Characters(((97, 97), (MARK, MARK))),)),
]


@pytest.mark.parametrize(("text", "tree"), TREES)
def test_operators_bind_as_in_brics_and_the_tree_comes_in_postfix_order(text: str, tree: tuple[Step, ...]):
    assert parse(text) == tree


FAULTS = [
    ("", "the text ends where an expression must come at character 0"),
    ("(a", "a bracket is never closed"),
    ("ab)", "a closing bracket that was never opened at character 2"),
    ("a|*", "a repetition where an expression must come at character 2"),
    ("a{2", "a brace without numbers at character 1"),
    ("a{3,2}", "more at least than at most at character 1"),
    ("[z-a]", "a range that runs backwards"),
    ("[ab", "a class is never closed at character 3"),
    ("a\\", "the text ends in the middle"),
]


@pytest.mark.parametrize(("text", "message"), FAULTS)
def test_a_fault_is_named_with_its_place(text: str, message: str):
    with pytest.raises(SyntaxFault, match=message):
        parse(text)


def test_reading_ticks_at_every_piece_and_ends_with_what_the_tick_raises():
    count = 0

    def tick() -> None:
        nonlocal count
        count += 1
        if count > 3:
            raise TimeoutError

    with pytest.raises(TimeoutError):
        parse("abcdef", tick=tick)
    assert count == 4
