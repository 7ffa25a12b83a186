"""What the model is given at inference is how its training sequence began, token by token, whatever the texts contain."""

import unicodedata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from tests.families import FORMATS, ROWS, tokenizer_of
from tests.helpers import text_code, word_tokenizer
from tokenizers import Tokenizer as RawTokenizer
from tokenizers import decoders, models, normalizers
from transformers import PreTrainedTokenizerFast

from llm_jepa.errors import UserError
from llm_jepa.records import Example, Message
from llm_jepa.views.chat import ChatRenderer
from llm_jepa.views.tokenize import Labels, Tokenizer

NASTY = (
    *("\nx", "\n\nx", "\n\n\n x", " x", "  x", "\tx", "x ", "x\n", "x\n\n", " \n x \n ", "\r\nx"),
    *("x", ".", "'s", "1234567", "####", "#### 42", "([0-9]).*(dog).*\n", "|>\n\n", "<", "assistant"),
    *("👩\u200d👩\u200d👧🇩🇪", "日本語のテスト", "e\u0301", "\u0301x", "\u200bx", "العربية"),
    *("<|eot_id|>", "<|im_end|>\n", "<end_of_turn>", "</s>", "a</s>b", "<|endoftext|>", "<｜end▁of▁sentence｜>"),
)
PLACES = ("system", "user", "answer")


def plainly(text: str) -> str:
    """Return a text without what tokenizers do to it: composed letters, Gemma's ▁ for spaces, Llama 2's space after </s>."""
    return unicodedata.normalize("NFC", text).replace("▁", " ").replace("</s> ", "</s>")


def check(made: Tokenizer, name: str, example: Example) -> None:
    """Check one conversation of system, user and assistant against the family's format."""
    system, user, answer = (message.content for message in example.messages)
    form = FORMATS[name]
    tokenizer: Any = made.tokenizer
    expected = form.answer(answer)
    (sample,) = made.samples([example])
    (sequence,), prompt = sample.sequences, made.prompt_ids(example)

    assert made.prompt_text(example) == form.text(system, user)
    assert prompt == tokenizer.backend_tokenizer.encode(form.text(system, user), add_special_tokens=False).ids
    assert list(sequence.ids[: len(prompt)]) == prompt
    assert sequence.trained == (False,) * len(prompt) + (True,) * (len(sequence.ids) - len(prompt))
    assert sequence.ids[-1] == tokenizer.convert_tokens_to_ids(form.closing)
    answered, asked = (tokenizer.decode(ids, clean_up_tokenization_spaces=False) for ids in (sequence.ids[:-1], prompt))
    assert plainly(answered) == plainly(asked + expected)
    if len(example.views) == 2:
        assert (sample.views[1].start, sample.views[1].end) == (len(prompt), len(sequence.ids) - 1)
        assert sample.views[0].end <= len(prompt)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", FORMATS)
def test_the_prompt_begins_the_training_sequence_whatever_the_texts_contain(real_tokenizer, name, place):
    made = Tokenizer(tokenizer_of(name, real_tokenizer))
    for content in NASTY:
        check(made, name, text_code(**{place: content}))


@pytest.mark.parametrize(
    "data", ["nl_rx_turk_train", "spider_train", "gsm8k_train", "nq_open_train", "rotten_tomatoes_train"]
)
@pytest.mark.parametrize("name", FORMATS)
def test_the_prompt_begins_the_training_sequence_of_real_rows(real_tokenizer, real_rows, name, data):
    made = Tokenizer(tokenizer_of(name, real_tokenizer))
    rows = real_rows(data, 40)
    assert len(rows) == 40
    for row in rows:
        messages = tuple(Message(**message) for message in row["messages"])
        check(made, name, Example(name="a:1", messages=messages))


@pytest.mark.parametrize("system", ["", " \n"])
@pytest.mark.parametrize("name", FORMATS)
def test_a_system_message_may_be_empty(real_tokenizer, name, system):
    check(Tokenizer(tokenizer_of(name, real_tokenizer)), name, text_code(system=system))


@pytest.mark.parametrize("name", FORMATS)
def test_the_table_says_how_a_family_renders(real_tokenizer, name):
    tokenizer, row = tokenizer_of(name, real_tokenizer), ROWS[name]
    messages = text_code().messages
    bare = ChatRenderer(tokenizer).prompt(messages[1:2], where="a:1")
    full = ChatRenderer(tokenizer).prompt(messages[:2], where="a:1")
    assert row.system in bare
    assert ("system" in bare) is bool(row.system)
    merged = ChatRenderer(tokenizer).prompt([Message(role="user", content="S\n\nU")], where="a:1")
    apart = ChatRenderer(tokenizer).prompt(
        [Message(role="system", content="S"), Message(role="user", content="U")], where="a:1"
    )
    assert (merged == apart) is row.merges_system
    assert full.endswith(row.thinking)
    assert ("think" in full) is bool(row.thinking)
    assert row.stops[0] == FORMATS[name].closing
    unknown = set(row.stops) - set(tokenizer.get_vocab())
    assert unknown <= {"<|eom_id|>"}  # Llama 3.1's for tool calls; the tokenizer files here are of 3.0, which lack it
    assert row.real is (FORMATS[name].folder is not None)


@pytest.mark.parametrize("name", FORMATS)
def test_a_content_that_spells_a_special_token_becomes_it_and_is_no_end(real_tokenizer, name):
    tokenizer, closing = tokenizer_of(name, real_tokenizer), FORMATS[name].closing
    example = text_code(user=f"a {closing} b", answer=f"c {closing} d")
    (sample,) = Tokenizer(tokenizer).samples([example])
    stop = tokenizer.convert_tokens_to_ids(closing)
    for view in sample.views:
        assert view.ids.count(stop) == 1
    assert sample.sequences[0].ids[-1] == stop
    assert sample.sequences[0].ids[sample.views[1].start : -1] == sample.views[1].ids


def test_a_prompt_that_ends_before_the_answers_header_is_a_prefix_too(real_tokenizer):
    made = Tokenizer(tokenizer_of("qwen3", real_tokenizer), arguments={"enable_thinking": True})
    example = text_code(answer="\n\nx")
    (sample,) = made.samples([example])
    ids, prompt = list(sample.sequences[0].ids), made.prompt_ids(example)
    assert ids[: len(prompt)] == prompt
    assert made.tokenizer.decode(ids[len(prompt) :]) == "<think>\n\n</think>\n\nx<|im_end|>"
    assert made.tokenizer.decode([i for i, t in zip(ids, sample.sequences[0].trained, strict=True) if t]) == "x<|im_end|>"


def test_the_thinking_block_of_r1_is_begun_neither_in_training_nor_in_the_prompt(real_tokenizer, monkeypatch):
    tokenizer = tokenizer_of("deepseek-r1", real_tokenizer)
    assert "<think>" not in Tokenizer(tokenizer).prompt_text(text_code())
    monkeypatch.setattr(tokenizer, "chat_template", FORMATS["deepseek-r1"].template)
    assert Tokenizer(tokenizer).prompt_text(text_code()).endswith("<｜Assistant｜><think>\n")
    renderer = ChatRenderer(tokenizer)
    assert renderer.render(text_code().messages, where="a:1").asked == 0  # such a prompt is no beginning; inspect tells


def test_settings_that_a_call_of_the_tokenizer_left_behind_change_nothing(real_tokenizer):
    tokenizer = tokenizer_of("qwen2.5", real_tokenizer)
    examples = [text_code(), text_code(user="a much longer question than the other one")]
    expected = list(Tokenizer(tokenizer).samples(examples))
    tokenizer(["a", "b c d e f"], padding=True, truncation=True, max_length=3, split_special_tokens=True)
    assert list(Tokenizer(tokenizer).samples(examples)) == expected
    tokenizer(["a"], split_special_tokens=False)


def test_a_tokenizer_that_marks_every_start_and_merges_lines_is_refused():
    raw = RawTokenizer(models.BPE({"\n": 0, "x": 1, "\nx": 2, "a": 3, "e": 4, " ": 5, "</s>": 6}, [("\n", "x")]))
    raw.normalizer = normalizers.Prepend("e")
    raw.decoder = decoders.Fuse()
    template = "{% for m in messages %}{{ m['content'] }}{% endfor %}"
    odd = PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="</s>", chat_template=template)
    with pytest.raises(UserError, match="cannot tokenise an answer apart from its prompt"):
        list(Tokenizer(odd).samples([text_code(system="a", user="a", answer="xa")]))


@pytest.mark.parametrize("labels", Labels)
def test_the_labels_have_no_effect_on_the_prompt(labels):
    made = Tokenizer(word_tokenizer(), labels=labels)
    assert made.prompt_ids(text_code()) == Tokenizer(word_tokenizer()).prompt_ids(text_code())


TURNS = ("Sys", " Ask\n", "Say", "more", "done")
"""Contents of two turns, some with white space at the ends."""


@pytest.mark.parametrize("generate", [True, False])
@pytest.mark.parametrize("system", [True, False])
@pytest.mark.parametrize(
    ("name", "file"), [("deepseek-r1", "deepseek_r1_distill"), ("gemma-2", "gemma"), ("llama-3", "llama3_2")]
)
def test_our_templates_render_as_the_published_ones(real_tokenizer, name, file, system, generate):
    found = find_spec("trl")
    if found is None or found.origin is None:
        pytest.skip("trl, which brings the families' published templates, is not installed")
    published = Path(found.origin).parent / "chat_templates" / f"{file}.jinja"
    roles = ("system", "user", "assistant", "user", "assistant")
    turns = [{"role": role, "content": content} for role, content in zip(roles, TURNS, strict=True)]
    turns = turns[not system or ROWS[name].merges_system : 4 if generate else 5]
    tokenizer = tokenizer_of(name, real_tokenizer)
    options: dict[str, Any] = {"tokenize": False, "add_generation_prompt": generate, "date_string": "1 Jan 2000"}
    ours = tokenizer.apply_chat_template(turns, chat_template=FORMATS[name].template, **options)
    assert ours == tokenizer.apply_chat_template(turns, chat_template=published.read_text(encoding="utf-8"), **options)
