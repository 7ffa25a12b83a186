"""The official code's ways with text, each an option: the whole rendering, BOS twice, marks in a view's text."""

from dataclasses import replace

import pytest
from tests.helpers import CHATML, PARAPHRASES, text_code
from tokenizers.processors import TemplateProcessing

from llm_jepa.views.predictor import PredictorTokens, add_predictor_tokens
from llm_jepa.views.tokenize import Labels, Tokenizer

CLOSED = CHATML.replace("'<|im_end|>' + '\n'", "'<|im_end|>' + ' dog\n'")
"""The same format with a word behind every stop token."""
LONE = "{% if messages[0]['role'] == 'assistant' %}{{ raise_exception('a user comes first') }}{% endif %}" + CHATML


def tokens(words, ids):
    return " ".join(words.convert_ids_to_tokens(list(ids)))


@pytest.mark.parametrize(
    ("labels", "trained"),
    [(Labels.answer, (False,) * 17 + (True,) * 7 + (False,)), (Labels.all, (False,) + (True,) * 24)],
)
def test_the_whole_rendering_goes_on_after_the_stop_token(words, labels, trained):
    words.chat_template = CLOSED
    (sample,) = Tokenizer(words, labels=labels, whole_rendering=True).samples([text_code()])
    (sequence,) = sample.sequences
    assert tokens(words, sequence.ids).endswith("[ 0 - 9 ] dog <|im_end|> dog")
    assert sequence.trained == trained
    assert (sequence.after, sequence.stop) == (1, words.eos_token_id)


def test_the_rendering_ends_with_the_stop_token_otherwise(words):
    words.chat_template = CLOSED
    (sample,) = Tokenizer(words).samples([text_code()])
    (sequence,) = sample.sequences
    assert tokens(words, sequence.ids).endswith("[ 0 - 9 ] dog <|im_end|>")
    assert (sequence.after, sequence.stop) == (0, words.eos_token_id)


def test_prompt_and_answer_are_tokenised_in_one_go(real_tokenizer):
    tokenizer = real_tokenizer("qwen2.5")
    example = text_code(answer="\nx")
    apart, together = (
        next(Tokenizer(tokenizer, whole_rendering=whole).samples([example])).sequences[0].ids for whole in (False, True)
    )
    assert list(together) == tokenizer(tokenizer.decode(list(together)))["input_ids"]
    assert tokenizer.convert_tokens_to_ids("ĊĊ") in together  # the template's line break and the answer's are one token
    assert tokenizer.convert_tokens_to_ids("ĊĊ") not in apart


def test_bos_stands_before_rendered_text_and_nothing_else(words):
    words.add_special_tokens({"bos_token": "<s>"})
    words.backend_tokenizer.post_processor = TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", words.bos_token_id)]
    )
    words.chat_template = "{{ bos_token }}" + CHATML
    one, two = (Tokenizer(words, framed=True, add_bos=added) for added in (False, True))
    for example in (text_code(), PARAPHRASES):
        once, twice = (next(made.samples([example])) for made in (one, two))
        extra = (words.bos_token_id,) if example.messages else ()
        assert twice.sequences[0].ids == (*extra, *once.sequences[0].ids)
        assert two.prompt_ids(example) == [*extra, *one.prompt_ids(example)]
        for before, after in zip(once.views, twice.views, strict=True):
            assert after.framed == (*extra, *before.framed)
            assert (after.frame, after.ids) == (before.frame + len(extra), before.ids)


@pytest.mark.parametrize(
    ("prepend", "text"), [(False, "a dog <|predictor_2|> <|predictor_1|>"), (True, "<|predictor_1|> <|predictor_2|> a dog")]
)
def test_marks_are_a_part_of_the_text_of_framed_views(words, prepend, text):
    words.chat_template = CLOSED
    add_predictor_tokens(words)
    made = Tokenizer(words, framed=True, predictor=PredictorTokens(k=2, prepend=prepend))
    (sample,) = made.samples([text_code(user="a dog")])
    view = sample.views[0]
    assert view.marked is not None
    assert tokens(words, view.marked.ids).endswith(f"user {text} <|im_end|> dog")
    assert tokens(words, view.marked.ids[: view.marked.end]).endswith(f"user {text}")
    assert tokens(words, view.framed).endswith("user a dog")
    assert tokens(words, view.tail) == "<|im_end|> dog"
    assert tokens(words, sample.predictor) == " ".join(PredictorTokens(k=2, prepend=prepend).names)


def test_views_that_are_not_framed_have_no_marks(words):
    add_predictor_tokens(words)
    (sample,) = Tokenizer(words, predictor=PredictorTokens(k=1)).samples([text_code()])
    assert [view.marked for view in sample.views] == [None, None]
    assert tokens(words, sample.predictor) == "<|predictor_1|>"


def test_a_lone_answer_is_rendered_as_the_users_where_the_template_rejects_it(words):
    words.chat_template = LONE
    (sample,) = Tokenizer(words, framed=True).samples([text_code()])
    assert tokens(words, sample.views[1].framed).endswith("<|im_start|> user [ 0 - 9 ] dog")
    words.chat_template = CHATML
    (sample,) = Tokenizer(words, framed=True).samples([text_code()])
    assert tokens(words, sample.views[1].framed).endswith("<|im_start|> assistant [ 0 - 9 ] dog")


def test_options_that_are_not_set_change_nothing(words):
    (plain,) = Tokenizer(words, framed=True).samples([text_code()])
    (marked,) = Tokenizer(words, framed=True, predictor=PredictorTokens(k=0)).samples([text_code()])
    assert replace(marked, views=tuple(replace(view, marked=None) for view in marked.views)) == plain
