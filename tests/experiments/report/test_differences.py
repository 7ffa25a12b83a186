import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_jepa.experiments.report.differences import groups, spans, visible
from llm_jepa.records import Prediction


def _prediction(name: str, generated: str, *, expected: str = "a b", stopped: bool = True) -> Prediction:
    return Prediction(name=name, prompt="p", expected=expected, generated=generated, stopped=stopped, tokens=7)


@pytest.mark.parametrize(
    ("expected", "generated", "found"),
    [
        ("a b", "a b", [("same", "a b")]),
        ("a b c", "a x c", [("same", "a "), ("wrong", "x"), ("same", " c")]),
        ("a", "a.*", [("same", "a"), ("extra", ".*")]),
        ("a.*", "a", [("same", "a"), ("missing", ".*")]),
        ("a(bring).*", "a(brin", [("same", "a("), ("wrong", "brin"), ("missing", ").*")]),
        ("x", "y + z", [("wrong", "y"), ("extra", " + z")]),
        ("", "", []),
        ("", "a", [("extra", "a")]),
    ],
)
def test_spans(expected: str, generated: str, found: list[tuple[str, str]]) -> None:
    assert [(span.kind, span.text) for span in spans(expected, generated)] == found


@given(st.text(), st.text())
def test_spans_rebuild_the_generated_text(expected: str, generated: str) -> None:
    found = spans(expected, generated)
    assert "".join(span.text for span in found if span.kind != "missing") == generated


@given(st.text())
def test_visible_text_can_be_printed_and_encoded(text: str) -> None:
    shown = visible(text)
    assert all(character.isprintable() or character in "\n\t" for character in shown)
    shown.encode()


def test_a_lone_surrogate_and_a_turned_text_become_escapes() -> None:
    assert visible("\ud800\u202e\x1b[31m\r\n") == "\\ud800\\u202e\\x1b[31m\\r\n"


def test_examples_are_grouped_by_who_is_right() -> None:
    found = groups(
        {
            "plain": [_prediction("1", "a b"), _prediction("2", "a"), _prediction("3", " a b\n"), _prediction("only", "")],
            "jepa": [_prediction("3", "a b"), _prediction("2", ""), _prediction("1", "b")],
        }
    )
    assert [(group.label, group.size, [sample.name for sample in group.samples]) for group in found] == [
        ("Arms differ", 1, ["1"]),
        ("No arm is right", 1, ["2"]),
        ("Every arm is right", 1, ["3"]),
    ]
    assert [output.summary for output in found[0].samples[0].outputs] == ["as expected", "1 missing"]


def test_kinds_share_the_places_and_fill_up_for_each_other() -> None:
    def shown(differ: int, wrong: int, right: int) -> list[int]:
        rows = [("a b", "")] * differ + [("", "")] * wrong + [("a b", "a b")] * right
        arms = {arm: [_prediction(str(i), row[place]) for i, row in enumerate(rows)] for place, arm in enumerate(("x", "y"))}
        return [len(group.samples) for group in groups(arms)]

    assert shown(50, 50, 50) == [6, 4, 2]
    assert shown(1, 50, 50) == [1, 9, 2]
    assert shown(0, 0, 50) == [0, 0, 12]
    assert shown(1, 1, 1) == [1, 1, 1]


def test_no_common_examples_give_no_groups() -> None:
    assert groups({}) == ()
    assert groups({"x": [_prediction("1", "a")], "y": [_prediction("2", "a")]}) == ()


def test_an_output_that_did_not_stop_is_said_and_a_long_one_is_cut() -> None:
    arms = {"x": [_prediction("1", "a b" + "!" * 5000, stopped=False)]}
    (output,) = groups(arms)[1].samples[0].outputs
    assert output.summary == "1 extra; did not stop within 7 tokens"
    assert output.text.endswith("! [… 3,803 more characters]")
