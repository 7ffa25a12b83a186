"""Samples go through arrays and come back equal."""

import pytest
from tests.helpers import word_tokenizer

from llm_jepa.records import ASSISTANT, USER, Example, Message, View
from llm_jepa.views.columns import from_columns, to_columns
from llm_jepa.views.predictor import PredictorTokens, add_predictor_tokens
from llm_jepa.views.tokenize import Labels, MarkedView, Sample, Tokenizer, TokenSequence, TokenView

TALK = Example(
    name="rows:1",
    messages=(Message(role=USER, content="lines with a vowel"), Message(role=ASSISTANT, content="( . * )")),
    views=(
        View(content="lines with a vowel", role=USER, message=0),
        View(content="( . * )", role=ASSISTANT, message=1),
        View(content="dog", role=USER),
    ),
)
GROUP = Example(
    name="rows:2", messages=(), views=(View(content="a dog", role=USER), View(content="the word dog or a", role=USER))
)
BARE = Example(name="rows:3", messages=TALK.messages)


@pytest.mark.parametrize("labels", list(Labels))
@pytest.mark.parametrize("vocabulary", [False, True])
def test_samples_of_every_kind_come_back_equal(labels: Labels, vocabulary: bool) -> None:
    words = word_tokenizer()
    add_predictor_tokens(words)
    predictor = PredictorTokens(k=2) if vocabulary else None
    tokenizer = Tokenizer(words, labels=labels, framed=vocabulary, predictor=predictor, whole_rendering=vocabulary)
    samples = list(tokenizer.samples([TALK, GROUP, BARE, TALK]))
    assert [len(sample.sequences) for sample in samples] == [1, 2, 1, 1]
    back = list(from_columns(to_columns(samples), ["rows:1", "rows:2", "rows:3", "rows:1"]))
    assert back == samples
    assert {type(token) for sample in back for sequence in sample.sequences for token in sequence.ids} == {int}
    assert {type(mark) for sample in back for sequence in sample.sequences for mark in sequence.trained} == {bool}


def test_nothing_is_mistaken_for_an_absent_value() -> None:
    view = TokenView((3,), (1, 3), 1, (9,), MarkedView((), 0), 0, 0, 1)
    samples = [Sample("a", (TokenSequence((3, 4), (False, True), 1),), (view, TokenView((5,), ())), (7, 8))]
    assert list(from_columns(to_columns(samples), "a")) == samples


def test_no_samples_are_columns_without_rows() -> None:
    columns = to_columns([])
    assert {len(column) for column in columns.values()} == {0}
    assert list(from_columns(columns, [])) == []


def test_too_few_names_are_an_error() -> None:
    columns = to_columns(list(Tokenizer(word_tokenizer()).samples([TALK, BARE])))
    with pytest.raises(ValueError, match=r"zip\(\) argument"):
        list(from_columns(columns, ["rows:1"]))
