"""Every token carries the label it should, and every view lies where it should."""

from dataclasses import replace

import pytest
from tests.helpers import CHATML, PARAPHRASES, text_code
from transformers import PreTrainedTokenizerFast

from llm_jepa.errors import UserError
from llm_jepa.records import Message, View
from llm_jepa.views.chat import plain_template
from llm_jepa.views.tokenize import Labels, Tokenizer

SYSTEM = ["<|im_start|>", "system", "You", "are", "helpful", "<|im_end|>"]
ASKED = ["<|im_start|>", "user", "lines", "with", "a", "dog", "<|im_end|>", "<|im_start|>", "assistant"]
ANSWER = ["[", "0", "-", "9", "]", "dog", "<|im_end|>"]
TOKENS = [*SYSTEM, *ASKED, *ANSWER]
DEFAULT_SYSTEM = "<|im_start|> system You are a helpful AI assistant named SmolLM , trained by Hugging Face <|im_end|>"


def test_the_answer_and_its_stop_token_are_trained(words):
    (sample,) = Tokenizer(words).samples([text_code()])
    (sequence,) = sample.sequences
    assert words.convert_ids_to_tokens(sequence.ids) == TOKENS
    assert sequence.trained == (False,) * 15 + (True,) * 7
    text, code = sample.views
    assert (text.sequence, text.start, text.end) == (0, 8, 12)
    assert (code.sequence, code.start, code.end) == (None, 15, 21)
    assert words.convert_ids_to_tokens(text.ids) == ["lines", "with", "a", "dog"]
    assert words.convert_ids_to_tokens(code.ids) == ["[", "0", "-", "9", "]", "dog"]
    assert sample.name == "a:1"


def test_all_tokens_but_the_first_can_be_trained(words):
    (sample,) = Tokenizer(words, labels=Labels.all).samples([text_code()])
    assert sample.sequences[0].trained == (False,) + (True,) * 21


def test_official_labels_leave_out_what_equals_the_pad_token(words):
    (sample,) = Tokenizer(words, labels=Labels.official).samples([text_code()])
    assert sample.sequences[0].trained == (False,) + (True,) * 21
    words.pad_token = words.eos_token
    (sample,) = Tokenizer(words, labels=Labels.official).samples([text_code()])
    expected = [token != "<|im_end|>" for token in TOKENS]
    expected[0] = False
    assert list(sample.sequences[0].trained) == expected
    assert not sample.sequences[0].trained[-1]  # the stop token is never learned


def test_labels_do_not_change_the_tokens(words):
    samples = [next(Tokenizer(words, labels=labels).samples([text_code()])) for labels in Labels]
    assert len({sample.sequences[0].ids for sample in samples}) == 1
    assert len({sample.views for sample in samples}) == 1


def test_a_stop_token_is_added_where_the_template_closes_the_answer_with_none(words):
    words.chat_template = "{% for m in messages %}{{ m['role'] }} {{ m['content'] }}\n{% endfor %}"
    (sample,) = Tokenizer(words).samples([text_code()])
    tokens = words.convert_ids_to_tokens(sample.sequences[0].ids)
    assert tokens[-4:] == ["9", "]", "dog", "<|im_end|>"]
    assert sample.sequences[0].trained[-7:] == (True,) * 7
    assert not any(sample.sequences[0].trained[:-7])


def test_the_stop_token_is_the_first_special_token_after_the_answer(words):
    words.chat_template = "{% for m in messages %}{{ m['content'] }} assistant<|im_start|> user<|im_end|>{% endfor %}"
    (sample,) = Tokenizer(words).samples([text_code()])
    tokens = words.convert_ids_to_tokens(sample.sequences[0].ids)
    assert tokens[-3:] == ["dog", "assistant", "<|im_start|>"]
    assert sample.sequences[0].trained[-8:] == (True,) * 8
    assert not any(sample.sequences[0].trained[:-8])


def test_a_stop_token_inside_the_answer_does_not_end_it(words):
    (sample,) = Tokenizer(words).samples([text_code(answer="dog <|im_end|> dog")])
    tokens = words.convert_ids_to_tokens(sample.sequences[0].ids)
    assert tokens[-4:] == ["dog", "<|im_end|>", "dog", "<|im_end|>"]
    assert sample.sequences[0].trained[-5:] == (False, True, True, True, True)


def test_only_the_last_answer_of_a_long_conversation_is_trained(words):
    turns = (Message(role="assistant", content="dog"), Message(role="user", content="a number"))
    example = text_code()
    longer = replace(example, messages=(*example.messages[:2], *turns, example.messages[2]), views=example.views[:1])
    (sample,) = Tokenizer(words).samples([longer])
    assert sum(sample.sequences[0].trained) == 7
    assert sample.sequences[0].trained[-7:] == (True,) * 7


def test_only_the_view_that_comes_first_is_read_from_the_sequence(words):
    example = text_code()
    (sample,) = Tokenizer(words).samples([replace(example, views=example.views[::-1])])
    assert [(view.sequence, view.start, view.end) for view in sample.views] == [(None, 15, 21), (0, 8, 12)]


def test_a_view_that_is_no_message_is_tokenised_alone_without_any_frame_unless_asked_for(words):
    views = (View(content="lines with a dog", role="user"), View(content="dog", role="assistant"))
    (sample,) = Tokenizer(words).samples([replace(text_code(), views=views)])
    assert [words.convert_ids_to_tokens(view.ids) for view in sample.views] == [["lines", "with", "a", "dog"], ["dog"]]
    assert [(view.framed, view.frame, view.sequence) for view in sample.views] == [
        (view.ids, 0, None) for view in sample.views
    ]


def test_a_framed_view_is_what_the_template_makes_of_it_up_to_its_end(words):
    (sample,) = Tokenizer(words, framed=True).samples([text_code()])
    text, code = sample.views
    for view, role, content in ((text, "user", ["lines", "with", "a", "dog"]), (code, "assistant", ANSWER[:-1])):
        frame = [*DEFAULT_SYSTEM.split(), "<|im_start|>", role]
        assert words.convert_ids_to_tokens(view.framed) == [*frame, *content]
        assert view.frame == len(frame)


def test_every_view_of_a_group_is_a_trained_sequence_of_its_own(words):
    (sample,) = Tokenizer(words).samples([PARAPHRASES])
    assert [words.convert_ids_to_tokens(sequence.ids) for sequence in sample.sequences] == [
        ["lines", "with", "a", "dog", "<|im_end|>"],
        ["every", "number", "<|im_end|>"],
    ]
    assert [sequence.trained for sequence in sample.sequences] == [(False, True, True, True, True), (False, True, True)]
    assert [(view.sequence, view.start, view.end) for view in sample.views] == [(0, 0, 4), (1, 0, 2)]


@pytest.mark.parametrize(("name", "bos"), [("llama-3.1", 128000), ("gemma-2", 2), ("llama-2", 1), ("qwen3", None)])
def test_bos_stands_once_at_the_beginning_where_the_tokenizer_has_one(real_tokenizer, monkeypatch, name, bos):
    tokenizer = real_tokenizer(name)
    if tokenizer.chat_template is None:
        monkeypatch.setattr(tokenizer, "chat_template", plain_template(tokenizer))
    made = Tokenizer(tokenizer, framed=True)
    chat, group = made.samples([text_code(), PARAPHRASES])
    begun = [chat.sequences[0].ids, *(sequence.ids for sequence in group.sequences), made.prompt_ids(text_code())]
    begun += [view.framed for view in chat.views]
    assert [list(ids).count(bos) for ids in begun] == [0 if bos is None else 1] * len(begun)
    assert all(bos is None or ids[0] == bos for ids in begun)
    assert all(bos not in view.ids for view in (*chat.views, *group.views))
    assert made.prompt_ids(PARAPHRASES) == ([] if bos is None else [bos])
    for view in group.views:
        assert view.sequence is not None
        assert group.sequences[view.sequence].ids[view.start : view.end] == view.ids


def test_many_examples_come_in_order_and_each_as_if_alone(words):
    examples = [replace(text_code(user="dog " * (1 + index % 7)), name=f"a:{index}") for index in range(1007)]
    examples[3] = PARAPHRASES
    made = Tokenizer(words)
    samples = list(made.samples(iter(examples)))
    assert [sample.name for sample in samples] == [example.name for example in examples]
    for index in (0, 3, 999, 1000, 1006):
        assert samples[index] == next(made.samples([examples[index]]))


def test_an_example_without_views_has_none(words):
    (sample,) = Tokenizer(words).samples([replace(text_code(), views=())])
    assert sample.views == ()


@pytest.mark.parametrize(
    ("example", "sentence"),
    [
        (text_code(answer=""), "a:1: "),
        (replace(text_code(answer=" "), views=()), "a:1: the answer has no token of its own; give it some text"),
        (
            replace(text_code(), views=(View(content="", role="user"),)),
            "a:1: a view has no token of its own",
        ),
    ],
)
def test_a_content_without_tokens_is_named(words, example, sentence):
    with pytest.raises(UserError) as caught:
        list(Tokenizer(words).samples([example]))
    assert str(caught.value).startswith(sentence)


def test_a_view_that_the_template_trims_away_is_named(words):
    words.chat_template = CHATML.replace("message['content']", "message['content'] | trim")
    with pytest.raises(UserError, match=r"^a:1: a view has no token of its own; give it some text$"):
        list(Tokenizer(words).samples([text_code(user=" \n ")]))


def test_a_tokenizer_without_stop_token_or_template_is_refused(words):
    words.chat_template = None
    with pytest.raises(UserError, match=r"^the tokenizer has no chat template; set `model.template: plain`"):
        Tokenizer(words)
    endless = PreTrainedTokenizerFast(tokenizer_object=words.backend_tokenizer, chat_template=CHATML)
    with pytest.raises(UserError, match=r"^the tokenizer has no end-of-sequence token"):
        Tokenizer(endless)
