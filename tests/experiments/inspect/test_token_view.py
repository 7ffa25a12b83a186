"""The picture of a sample: labels, views and readings stand where the sample and its forest have them."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from rich.cells import cell_len
from tests.helpers import GROUP, TEXT_CODE

from llm_jepa.experiments.inspect.token_view import AROUND, SLOT, WHOLE, Cell, Pieces, legend, picture, segments, view_names
from llm_jepa.model.tokenizer import train_tokenizer
from llm_jepa.packing.layout import Layout
from llm_jepa.records import ASSISTANT, SYSTEM, USER, Example, Message, View
from llm_jepa.tasks.columns import Columns, to_example
from llm_jepa.tasks.nl_regex import splits
from llm_jepa.views.pairs import Direction
from llm_jepa.views.tokenize import Labels, Sample, Tokenizer, TokenSequence, TokenView

LAYOUTS = [
    Layout(k=k, prepend=prepend, shared=shared, framed=framed, direction=direction)
    for k in (0, 2)
    for prepend in (False, True)
    for shared, framed in ((True, False), (False, False), (False, True))
    for direction in Direction
]


def numbers(token: int) -> Cell:
    return Cell(text=str(token)) if token >= 0 else Cell(text=f"[PRED {-token}]", kind=SLOT)


def drawn(sample: Sample, layout: Layout, width: int = 60, piece: Callable[[int], Cell] = numbers) -> list[str]:
    return [line.plain.rstrip() for line in picture(sample, layout, piece, width=width)]


@pytest.fixture(scope="module")
def embedded() -> list[Example]:
    made = splits(train=40, validation=0, test=0, seed=3)
    return list(made.train)


def conversation(text: str, code: str, *, name: str = "a:1") -> Example:
    return Example(
        name=name,
        messages=(
            Message(role=SYSTEM, content="Convert."),
            Message(role=USER, content=text),
            Message(role=ASSISTANT, content=code),
        ),
        views=(View(content=text, role=USER, message=1), View(content=code, role=ASSISTANT, message=2)),
    )


def test_the_shared_layout_is_drawn_as_written_here() -> None:
    assert drawn(TEXT_CODE, Layout(k=2), width=80) == [
        "segment 0  trained sequence  8 tokens, 3 labels",
        "  1 10 11 12 2 20 21 3",
        "    └Text──    ▔▔▔▔▔▔▔",
        "           ▲Enc(Text)",
        "segment 1  [PRED] behind Text, sees the first 4 tokens of segment 0  2 tokens",
        "  [PRED 1] [PRED 2]",
        "                  ▲Pred→Code",
        "segment 2  Code alone  2 tokens",
        "  20 21",
        "  └───▲Enc(Code)",
    ]


def test_a_group_has_a_trained_sequence_for_every_view() -> None:
    assert drawn(GROUP, Layout(k=1), width=80)[:10] == [
        "segment 0  trained sequence of View 1  4 tokens, 3 labels",
        "  1 30 31 3",
        "    ▔▔▔▔▔▔▔",
        "    └───▲Enc(View 1)",
        "segment 1  trained sequence of View 2  3 tokens, 2 labels",
        "  1 40 3",
        "    ▔▔▔▔",
        "    └▲Enc(View 2)",
        "segment 2  trained sequence of View 3  5 tokens, 4 labels",
        "  1 50 51 52 3",
    ]
    assert [segment.title for segment in segments(GROUP, Layout(k=1), numbers)[3:]] == [
        "[PRED] behind View 1",
        "[PRED] behind View 2",
    ]


def test_slots_before_a_view_of_its_own_are_drawn_there() -> None:
    layout = Layout(k=1, prepend=True, shared=False, framed=True)
    assert drawn(TEXT_CODE, layout)[3:] == [
        "segment 1  Text alone  5 tokens",
        "  7 [PRED 1] 10 11 12",
        "             └Text──▲Pred→Code",
        "segment 2  Code alone  4 tokens",
        "  8 9 20 21",
        "      └───▲Enc(Code)",
    ]


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("sample", [TEXT_CODE, GROUP], ids=["pair", "group"])
def test_every_layout_shows_labels_views_and_readings_of_its_forest(sample: Sample, layout: Layout) -> None:
    forest, names, shown = layout.forest(sample), view_names(sample), segments(sample, layout, numbers)
    for segment, sequence in zip(shown, sample.sequences, strict=False):
        assert tuple(cell.label for cell in segment.cells) == sequence.trained
    assert not any(cell.label for segment in shown[len(sample.sequences) :] for cell in segment.cells)
    for segment in shown:
        for index, view in enumerate(sample.views):
            inside = [cell.text for cell in segment.cells if cell.view == index]
            assert inside in ([], [str(token) for token in view.ids])
    for (predicting, predicted), pair in zip(layout.direction.pairs(len(names)), forest.pairs, strict=True):
        target, prediction = (shown[at[0]].cells[at[1]] for at in (pair.target, pair.predicted))
        assert f"Enc({names[predicted]})" in target.reads
        assert f"Pred→{names[predicted]}" in prediction.reads
        assert target.view == predicted
        assert prediction.text == "[PRED 2]" if layout.k and not layout.prepend else prediction.view == predicting
    assert all(segment.title for segment in shown)


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_readings_are_no_more_than_the_forest_has(layout: Layout) -> None:
    reads = [name for segment in segments(TEXT_CODE, layout, numbers) for cell in segment.cells for name in cell.reads]
    source = (
        [] if layout.prepend and layout.k else [f"Enc({'Text' if layout.direction is Direction.text_to_code else 'Code'})"]
    )
    target = "Code" if layout.direction is Direction.text_to_code else "Text"
    assert sorted(reads) == sorted([*source, f"Enc({target})", f"Pred→{target}"])


def test_a_sample_without_views_is_its_trained_sequence() -> None:
    alone = replace(TEXT_CODE, views=())
    assert drawn(alone, Layout()) == [
        "segment 0  trained sequence  8 tokens, 3 labels",
        "  1 10 11 12 2 20 21 3",
        "               ▔▔▔▔▔▔▔",
    ]


@pytest.mark.parametrize("width", [40, 80])
def test_no_line_is_wider_than_asked(width: int) -> None:
    wide = sample_of([Cell(text="x" * 100), *[Cell(text="日本")] * 30], label_from=20)
    for layout in LAYOUTS:
        for sample in (TEXT_CODE, GROUP):
            assert all(cell_len(line.plain) <= width for line in picture(sample, layout, numbers, width=width))
    assert all(cell_len(line.plain) <= width for line in picture(*wide, width=width))


def sample_of(cells: list[Cell], *, label_from: int) -> tuple[Sample, Layout, Callable[[int], Cell]]:
    """Return a sample whose token i looks like cell i; tokens from `label_from` on are labels."""
    ids = tuple(range(len(cells)))
    view = TokenView(ids[1:3], ids[1:3], sequence=0, start=1, end=3)
    trained = tuple(index >= label_from for index in ids)
    return Sample("a:1", (TokenSequence(ids, trained),), (view, view)), Layout(k=0), lambda token: cells[token]


def test_marks_stand_below_their_tokens_also_where_characters_are_wide() -> None:
    sample, layout, piece = sample_of([Cell(text="a"), Cell(text="日本"), Cell(text="語"), Cell(text="z")], label_from=3)
    assert drawn(sample, layout, piece=piece)[1:] == [
        "  a 日本 語 z",
        "    └Text─  ▔",
        "          ▲Enc(Code), Enc(Text), Pred→Code",
    ]


def test_a_long_segment_is_shown_at_its_borders_and_the_rest_counted() -> None:
    cells = [Cell(text=f"t{index}") for index in range(1000)]
    text = " ".join(drawn(*sample_of(cells, label_from=900)[:2], piece=lambda token: cells[token]))
    for shown in ("t0 ", "t1 ", f"t{2 + AROUND} ", f"t{900 - AROUND} ", "t900 ", f"t{899 + AROUND} ", "t999 "):
        assert shown in text, shown
    assert "… 817 tokens …" in text
    assert "… 20 tokens …" in text
    assert " t500 " not in text


def test_a_segment_of_whole_length_is_shown_whole() -> None:
    cells = [Cell(text=f"t{index}") for index in range(WHOLE)]
    text = " ".join(drawn(*sample_of(cells, label_from=WHOLE - 1)[:2], piece=lambda token: cells[token]))
    assert all(cell.text in text for cell in cells)


def test_white_space_and_control_characters_are_visible() -> None:
    example = conversation("a\n\tb\x1b[31m\u200bc", "d")
    hub = train_tokenizer(["a b c d"], size=300)
    (sample,) = Tokenizer(hub).samples([example])
    text = "\n".join(drawn(sample, Layout(), width=80, piece=Pieces(hub)))
    assert "  ⇥ b \\u001b [ 3 1 m" in text
    assert "⏎\n" in text
    assert "\x1b" not in text
    assert "<|user|>" in text


def test_a_newline_ends_the_line() -> None:
    hub = train_tokenizer(["a b c d"], size=300)
    (sample,) = Tokenizer(hub).samples([conversation("a\nb", "d")])
    lines = drawn(sample, Layout(), piece=Pieces(hub))
    assert any(line.endswith("a ⏎") for line in lines)


def test_the_legend_fits_a_narrow_terminal() -> None:
    assert all(cell_len(line) <= 80 for line in legend().plain.splitlines())


def visible(text: str) -> str:
    return text.replace(" ", "·").replace("\n", "⏎").replace("\t", "⇥")


def check_labels(hub: Any, examples: list[Example], stop: str) -> None:
    """Assert that the label tokens shown read as the answer and its stop token, and those of the views as the views."""
    tokenizer = Tokenizer(hub, labels=Labels.answer)
    for example, sample in zip(examples, tokenizer.samples(examples), strict=True):
        shown = segments(sample, Layout(k=2), Pieces(hub))
        assert [cell.label for cell in shown[0].cells] == list(sample.sequences[0].trained)
        labels = "".join(cell.text for cell in shown[0].cells if cell.label)
        assert labels == visible(example.answer.strip()) + stop
        for index, view in enumerate(example.views):
            text = "".join(cell.text for cell in shown[2 * index].cells if cell.view == index)
            assert text.removeprefix("·") == visible(view.content.strip())


def test_labels_of_a_tokenizer_trained_on_the_data_read_as_the_answer(embedded: list[Example]) -> None:
    hub = train_tokenizer([message.content for example in embedded for message in example.messages], size=500)
    check_labels(hub, embedded, "<|end|>")


@pytest.mark.parametrize(("name", "stop"), [("qwen3", "<|im_end|>"), ("llama-3.1", "<|eot_id|>")])
@pytest.mark.parametrize("data", ["nl_rx_synth_train", "spider_train", "gsm8k_train"])
def test_labels_of_real_tokenizers_read_as_the_answer(
    name: str, stop: str, data: str, real_tokenizer: Callable[[str], Any], real_rows: Callable[..., Any]
) -> None:
    rows = real_rows(data, 60)
    check_labels(real_tokenizer(name), [to_example(row, name=data, columns=Columns()) for row in rows], stop)


def test_a_sentencepiece_tokenizer_shows_its_leading_spaces(real_tokenizer: Callable[[str], Any]) -> None:
    hub = real_tokenizer("llama-2")
    ids = hub("lines with\n a dog", add_special_tokens=False)["input_ids"]
    assert "".join(Pieces(hub)(token).text for token in ids) == "·lines·with⏎·a·dog"
