"""Conversations tokenised in parts have the tokens and spans of those tokenised whole, for every family."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.families import FORMATS, tokenizer_of
from tests.helpers import text_code, word_tokenizer

from llm_jepa.errors import UserError
from llm_jepa.records import Example, Message, View
from llm_jepa.views.chat import ChatRenderer
from llm_jepa.views.encoding import Encoder
from llm_jepa.views.locating import Located, Locator
from llm_jepa.views.tokenize import Tokenizer

DATA = ("nl_rx_synth_train", "spider_train", "gsm8k_train", "nq_open_train", "rotten_tomatoes_train")
NASTY = (
    *("", " ", "\nx", "\n\nx", " x", "  x", "\tx", "x ", "x\n", "x\n\n", " \n x \n ", "\r\nx", "\u00a0x", "x\u3000"),
    *("x", ".", "'s", "1234567", "([0-9]).*(dog).*", "|>", "<", "<|", "<|im_", "<|eot", "assistant", "user\n"),
    *("👩\u200d👩\u200d👧🇩🇪", "日本語のテスト", "e\u0301", "\u0301x", "\u200bx", "العربية", "x\ufeff", "\x00"),
    *(
        "<|eot_id|>",
        "<|im_end|>",
        "a<|im_start|>b",
        "<end_of_turn>",
        "</s>",
        "a</s>b",
        "<|endoftext|>",
        "<｜end▁of▁sentence｜>",
    ),
)
IN_PARTS = {"llama-3", "qwen3", "qwen2.5", "smollm2", "deepseek-r1"}
"""Formats whose contents lie between special tokens with nothing else behind them."""

TEXTS = st.text(max_size=12)


def quickly(tokenizer: Any, examples: Sequence[Example]) -> tuple[list[Located | None], list[Located]]:
    """Return the conversations in parts, where that is possible, and whole."""
    renderings = ChatRenderer(tokenizer).render_all(
        [example.messages for example in examples], where=[example.name for example in examples]
    )
    encoder = Encoder(tokenizer)
    locator = Locator(tokenizer, encoder)
    made = locator.conversations(renderings)
    whole = [
        Located(tokens.ids, [tokens.span(*span) for span in rendering.spans])
        for rendering, tokens in zip(renderings, encoder.conversations(renderings), strict=True)
    ]
    assert len(made) == len(whole)
    return list(locator._quick(renderings)), whole


def compare(tokenizer: Any, examples: Sequence[Example]) -> float:
    """Check that both ways agree; return the share of conversations that are tokenised in parts."""
    quick, whole = quickly(tokenizer, examples)
    for example, one, other in zip(examples, quick, whole, strict=True):
        if one is not None:
            assert one.ids == other.ids[: len(one.ids)], example
            assert list(one.spans) == list(other.spans), example
            assert other.spans[-1][1] == len(one.ids) - 1
    return sum(one is not None for one in quick) / len(quick)


@pytest.mark.parametrize("name", FORMATS)
def test_real_rows_have_the_same_tokens_in_parts_and_whole(real_tokenizer, real_rows, name):
    tokenizer = tokenizer_of(name, real_tokenizer)
    for data in DATA:
        rows = real_rows(data, 60)
        messages = [tuple(Message(**message) for message in row["messages"]) for row in rows]
        examples = [Example(name=f"{data}:{index}", messages=turns) for index, turns in enumerate(messages)]
        share = compare(tokenizer, examples)
        assert share > 0.5 if name in IN_PARTS else share == 0


@pytest.mark.parametrize("name", FORMATS)
def test_odd_contents_have_the_same_tokens_in_parts_and_whole(real_tokenizer, name):
    plain = [text_code(), text_code(user="a number")] * 8
    odd = [text_code(**{place: content}) for place in ("system", "user", "answer") for content in NASTY if content]
    tokenizer = tokenizer_of(name, real_tokenizer)
    share = compare(tokenizer, [*plain, *accepted(tokenizer, odd)])
    assert share > 0.3 if name in IN_PARTS else share == 0


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(TEXTS, TEXTS, TEXTS), min_size=1, max_size=6))
def test_any_contents_have_the_same_tokens_in_parts_and_whole(real_tokenizer, contents):
    names = ("system", "user", "answer")
    for name in sorted(IN_PARTS):
        tokenizer = tokenizer_of(name, real_tokenizer)
        examples = [text_code(**dict(zip(names, row, strict=True))) for row in contents]
        compare(tokenizer, [text_code(), *accepted(tokenizer, examples)])


def accepted(tokenizer: Any, examples: Sequence[Example]) -> list[Example]:
    """Leave out what the template rewrites, such as a content that ends a thinking block: it is refused in both ways."""
    renderer = ChatRenderer(tokenizer)
    return [example for example in examples if renders(renderer, example)]


def renders(renderer: ChatRenderer, example: Example) -> bool:
    try:
        return bool(renderer.render(example.messages, where="a:1").text)
    except UserError:
        return False


def test_samples_are_the_same_when_nothing_is_tokenised_in_parts(real_tokenizer, monkeypatch):
    tokenizer = tokenizer_of("qwen2.5", real_tokenizer)
    views = (View(content="lines", role="user"), View(content="with", role="assistant"))
    examples = [text_code(), text_code(user="a  b"), replace(text_code(), views=views), text_code(system="\nx")]
    for settings_of in ({}, {"framed": True}, {"add_bos": True}, {"whole_rendering": True}):
        options: dict[str, Any] = settings_of
        quick = list(Tokenizer(tokenizer, **options).samples(examples))
        with monkeypatch.context() as patch:
            patch.setattr(Locator, "_quick", lambda _, renderings: [None] * len(renderings))
            assert list(Tokenizer(tokenizer, **options).samples(examples)) == quick


def test_a_special_token_that_eats_white_space_is_no_border(words):
    assert set(Locator(words, Encoder(words))._borders) == {"<pad>", "<unk>", "<|im_start|>", "<|im_end|>"}
    words.add_special_tokens({"additional_special_tokens": ["<|x|>"]})
    words.add_tokens(["im_end", "a<|im", "<|im_end|>s"], special_tokens=False)
    # Plain added tokens are looked for after normalising, and those that overlap with a border unmake it.
    assert set(Locator(words, Encoder(words))._borders) == {"<pad>", "<unk>", "<|x|>"}


def test_a_kind_of_conversation_whose_parts_differ_is_tokenised_whole(words, monkeypatch):
    monkeypatch.setattr(Locator, "_same", staticmethod(lambda *_: False))
    made = Tokenizer(words)
    (sample,) = made.samples([text_code()])
    assert list(made._locator._parts.values()) == [None]
    monkeypatch.undo()
    assert sample == next(Tokenizer(word_tokenizer()).samples([text_code()]))


def test_one_call_of_the_template_makes_what_many_calls_make(words, monkeypatch):
    calls: list[int] = []
    original: Callable[..., Any] = words.apply_chat_template
    monkeypatch.setattr(words, "apply_chat_template", lambda *given, **named: calls.append(1) or original(*given, **named))
    renderer = ChatRenderer(words)
    conversations = [text_code(user=f"dog {index}").messages for index in range(40)]
    alone = [renderer.render(messages, where="a:1") for messages in conversations]
    calls.clear()
    assert renderer.render_all(conversations, where=["a:1"] * 40) == alone
    assert len(calls) == 2  # the first conversation by itself, and all of them


def test_a_template_that_a_loop_changes_is_called_for_every_conversation(words):
    words.chat_template = (
        "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
        "{{ '' if loop is undefined else 'in a loop' }}"
    )
    conversations = [text_code(user=f"dog {index}").messages for index in range(3)]
    renderings = ChatRenderer(words).render_all(conversations, where=["a:1"] * 3)
    assert [rendering.text.endswith("<|im_end|>\n") for rendering in renderings] == [True] * 3


def test_an_error_of_the_template_names_the_conversation_that_has_it(words):
    words.chat_template = (
        "{% for m in messages %}{% if m['content'] == 'bad' %}{{ raise_exception('no') }}{% endif %}"
        "<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    )
    conversations = [text_code(user=user).messages for user in ("dog", "bad", "dog")]
    with pytest.raises(UserError, match=r"^a:2: the chat template rejects the roles \(system, user, assistant\): no$"):
        ChatRenderer(words).render_all(conversations, where=["a:1", "a:2", "a:3"])
