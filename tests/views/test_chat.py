"""Rendering tells by construction where every content lies, or refuses the template."""

import datetime
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.helpers import CHATML

from llm_jepa.errors import UserError
from llm_jepa.records import Message
from llm_jepa.views.chat import ChatRenderer, plain_template

GEMMA = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
    "{% if (message['role'] == 'assistant') %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}"
    "{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{'<start_of_turn>model\n'}}{% endif %}"
)
"""The format of Gemma 2: no system role, contents trimmed."""

SYNTHETIC = {"smollm2": CHATML, "gemma": GEMMA}
REAL = ("llama-3.1", "qwen2.5", "qwen3")
FORMATS = (*REAL, *SYNTHETIC)
TRIMMING = {"llama-3.1", "gemma"}

Renderer = Callable[[str], ChatRenderer]


@pytest.fixture
def renderer(words, real_tokenizer) -> Renderer:
    """Return a function from the name of a format to its renderer."""

    def make(name: str, **arguments: Any) -> ChatRenderer:
        if name in REAL:
            return ChatRenderer(real_tokenizer(name), arguments)
        words.chat_template = SYNTHETIC.get(name, name)
        return ChatRenderer(words, arguments)

    return make


def turns(*contents: str, system: bool = True) -> list[Message]:
    roles = ["system"] * system + ["user", "assistant"] * len(contents)
    return [Message(role=role, content=content) for role, content in zip(roles, contents, strict=False)]


NASTY = (
    "<|im_end|>",
    "<|im_start|>assistant\nyes<|im_end|>",
    "<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nno",
    "placeholder",
    "\x020\x03placeholder\x030\x02",
    "{{ messages }}",
    "{% for x in y %}{# no #}",
    "{0} {} %s %(x)s",
    "a\\b \\1 $1",
    "<bos><eos></s>",
    "naïve Ünïcode 日本語 العربية",
    "👩\u200d👩\u200d👧 🇩🇪 e\u0301",
    "two\n\nlines\r\n\ttab",
    "user",
    "x",
)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("content", NASTY)
def test_contents_lie_where_the_spans_say_whatever_they_contain(renderer, name, content):
    for position in range(3):
        contents = ["Do it.", "the question", "the answer"]
        contents[position] = content
        rendering = renderer(name).render(turns(*contents), where="a:1")
        assert [rendering.text[start:end] for start, end in rendering.spans] == contents


@pytest.mark.parametrize("name", FORMATS)
def test_equal_contents_are_told_apart(renderer, name):
    rendering = renderer(name).render(turns("same", "same", "same"), where="a:1")
    assert [rendering.text[start:end] for start, end in rendering.spans] == ["same"] * 3
    starts = [start for start, _ in rendering.spans]
    assert starts == sorted(set(starts))


CHATML_PROMPT = "<|im_start|>system\nSys<|im_end|>\n<|im_start|>user\nAsk<|im_end|>\n<|im_start|>assistant\n"

EXPECTED = {
    "llama-3.1": (
        "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nSys<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nAsk<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
        "Say<|eot_id|>",
    ),
    "qwen2.5": (CHATML_PROMPT, "Say<|im_end|>\n"),
    "qwen3": (CHATML_PROMPT + "<think>\n\n</think>\n\n", "Say<|im_end|>\n"),
    "smollm2": (CHATML_PROMPT, "Say<|im_end|>\n"),
    "gemma": ("<start_of_turn>user\nSys\n\nAsk<end_of_turn>\n<start_of_turn>model\n", "Say<end_of_turn>\n"),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_the_text_is_the_templates_and_the_prompt_its_beginning(renderer, name):
    prompt, answer = EXPECTED[name]
    messages = turns("Sys", "Ask", "Say")
    rendering = renderer(name).render(messages, where="a:1")
    assert rendering.text == prompt + answer
    assert [rendering.text[start:end] for start, end in rendering.spans] == ["Sys", "Ask", "Say"]
    assert renderer(name).prompt(messages[:-1], where="a:1") == prompt


@pytest.mark.parametrize("name", FORMATS)
def test_the_prompt_does_not_depend_on_what_was_rendered_before(renderer, name):
    messages = turns("Sys", "Ask", "Say")
    fresh = renderer(name).prompt(messages[:-1], where="a:1")
    used = renderer(name)
    used.render(messages[:-1], where="a:1")
    used.render(messages, where="a:1")
    assert used.prompt(messages[:-1], where="a:1") == fresh


@pytest.mark.parametrize("name", FORMATS)
def test_every_turn_of_a_long_conversation_is_found(renderer, name):
    contents = ["Sys", "one", "two", "one", "four", "five", "six"]
    rendering = renderer(name).render(turns(*contents), where="a:1")
    assert [rendering.text[start:end] for start, end in rendering.spans] == contents
    assert [start for start, _ in rendering.spans] == sorted(start for start, _ in rendering.spans)


@pytest.mark.parametrize("name", ["llama-3.1", "gemma"])
def test_a_template_that_trims_gives_spans_of_the_trimmed_contents(renderer, name):
    rendering = renderer(name).render(turns("\n Sys", "Ask\n", "\tSay "), where="a:1")
    assert [rendering.text[start:end] for start, end in rendering.spans] == ["Sys", "Ask", "Say"]
    assert "\t" not in rendering.text


@pytest.mark.parametrize("name", ["qwen2.5", "smollm2"])
def test_a_template_that_does_not_trim_keeps_outer_whitespace_inside_the_spans(renderer, name):
    contents = [" Sys", " Ask\n", "\tSay "]
    rendering = renderer(name).render(turns(*contents), where="a:1")
    assert [rendering.text[start:end] for start, end in rendering.spans] == contents


@pytest.mark.parametrize("name", ["smollm2", "qwen2.5"])
def test_a_default_system_prompt_is_no_content(renderer, name):
    rendering = renderer(name).render(turns("Ask", "Say", system=False), where="a:1")
    assert rendering.text.startswith("<|im_start|>system\nYou are ")
    assert [rendering.text[start:end] for start, end in rendering.spans] == ["Ask", "Say"]


def test_a_single_message_is_rendered_alone(renderer):
    rendering = renderer("qwen3").render([Message(role="assistant", content="SELECT 1")], where="a:1")
    assert rendering.text[slice(*rendering.spans[0])] == "SELECT 1"


REFUSED = {
    "drops": (
        "{% for m in messages %}{% if m['role'] != 'system' %}{{ m['content'] }}\n{% endif %}{% endfor %}",
        "rows.jsonl:7: the chat template drops the content of the system message",
    ),
    "repeats": (
        "{% for m in messages %}{{ m['content'] }}\n{% endfor %}{{ messages[-1]['content'] }}",
        "rows.jsonl:7: the chat template repeats the content of the assistant message",
    ),
    "changes case": (
        "{% for m in messages %}{{ m['content'] | lower }}\n{% endfor %}",
        "rows.jsonl:7: the chat template rewrites the content of a message",
    ),
    "escapes": (
        "{% for m in messages %}{{ m['content'] | tojson }}\n{% endfor %}",
        "rows.jsonl:7: the chat template",
    ),
    "cuts": (
        "{% for m in messages %}{{ m['content'][:30] }}\n{% endfor %}",
        "rows.jsonl:7: the chat template",
    ),
    "depends on content": (
        "{% for m in messages %}{{ m['content'] }}{% if 'Dog' in m['content'] %}!{% endif %}\n{% endfor %}",
        "rows.jsonl:7: the chat template rewrites the content of a message",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_template_that_loses_or_rewrites_a_content_is_refused(renderer, name):
    template, sentence = REFUSED[name]
    messages = turns('Say "it".', "A Dog that is a rather long question, longer than thirty signs", "Yes")
    with pytest.raises(UserError) as caught:
        renderer(template).render(messages, where="rows.jsonl:7")
    assert str(caught.value).startswith(sentence)


def test_thinking_marks_in_an_answer_are_refused_where_the_template_parses_them(renderer):
    with pytest.raises(
        UserError, match=r"^rows\.jsonl:7: the chat template rewrites the content of a message \(a thinking block"
    ):
        renderer("qwen3").render(turns("Sys", "Ask", "<think>\nhm\n</think>\n\nSay"), where="rows.jsonl:7")


def test_roles_that_the_template_rejects_are_named(renderer):
    with pytest.raises(
        UserError, match=r"^rows\.jsonl:7: the chat template rejects the roles \(assistant, user\): Conversation"
    ):
        renderer("gemma").render(turns("Say", "Ask", system=False)[::-1], where="rows.jsonl:7")


def test_a_rejected_system_role_is_merged_into_the_users_content(renderer):
    gemma = renderer("gemma")
    rendering = gemma.render(turns("Sys", "Ask", "Say", "More", "Done"), where="a:1")
    assert rendering.text == (
        "<start_of_turn>user\nSys\n\nAsk<end_of_turn>\n<start_of_turn>model\nSay<end_of_turn>\n"
        "<start_of_turn>user\nMore<end_of_turn>\n<start_of_turn>model\nDone<end_of_turn>\n"
    )
    assert (
        gemma.prompt(turns("Sys", "Ask"), where="a:1")
        == "<start_of_turn>user\nSys\n\nAsk<end_of_turn>\n<start_of_turn>model\n"
    )


DATED = (
    "{{ date_string if date_string is defined else strftime_now('%d %b %Y') }}\n"
    "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
)


def test_no_template_prints_the_date_of_today(renderer):
    text = renderer(DATED).render(turns("Sys", "Ask", "Say"), where="a:1").text
    assert text.startswith("26 Jul 2024\n")
    assert datetime.date.today().strftime("%d %b %Y") not in text


def test_template_arguments_can_be_set(renderer):
    dated = renderer(DATED, date_string="1 Jan 2000")
    assert dated.render(turns("Sys", "Ask", "Say"), where="a:1").text.startswith("1 Jan 2000\n")


def test_thinking_is_off_unless_asked_for(renderer):
    prompt = turns("Sys", "Ask")
    assert renderer("qwen3").prompt(prompt, where="a:1").endswith("assistant\n<think>\n\n</think>\n\n")
    assert renderer("qwen3", enable_thinking=True).prompt(prompt, where="a:1").endswith("assistant\n")


def test_the_plain_format_puts_contents_on_lines_and_ends_the_answer(words):
    words.chat_template = plain_template(words)
    rendering = ChatRenderer(words).render(turns("Sys", "Ask", "Say"), where="a:1")
    assert rendering.text == "Sys\nAsk\nSay<|im_end|>"
    assert ChatRenderer(words).prompt(turns("Sys", "Ask"), where="a:1") == "Sys\nAsk\n"


@pytest.mark.parametrize(
    ("name", "beginning"),
    [("gemma-2", "<bos>Sys"), ("llama-2", "<s>Sys"), ("llama-3.1", "<|begin_of_text|>Sys"), ("qwen3", "Sys")],
)
def test_the_plain_format_begins_with_bos_where_the_tokenizer_does(real_tokenizer, name, beginning, monkeypatch):
    tokenizer = real_tokenizer(name)
    monkeypatch.setattr(tokenizer, "chat_template", plain_template(tokenizer))
    rendering = ChatRenderer(tokenizer).render(turns("Sys", "Ask", "Say"), where="a:1")
    assert rendering.text == f"{beginning}\nAsk\nSay{tokenizer.eos_token}"


@pytest.mark.parametrize("name", FORMATS)
@given(contents=st.lists(st.text(min_size=1, max_size=30), min_size=3, max_size=3))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_contents_are_found_or_refused(renderer, name, contents):
    messages = turns(*contents)
    try:
        rendering = renderer(name).render(messages, where="a:1")
    except UserError:
        assert any(content != content.strip() or "think>" in content for content in contents)
        return
    found = [rendering.text[start:end] for start, end in rendering.spans]
    if name not in TRIMMING | {"qwen3"}:
        assert found == contents
    for span, content in zip(found, contents, strict=True):
        assert span in (content, content.lstrip(), content.rstrip(), content.strip())


@pytest.mark.parametrize(
    ("template", "contents"),
    [
        ("{% for m in messages %}[{{ m.content if m.role == 'user' else m.content | trim }}]{% endfor %}", ("a \n", " b ")),
        ("{% for m in messages %}[{{ m.content | trim if m.role == 'user' else m.content }}]{% endfor %}", (" a", " b\n")),
    ],
)
def test_a_template_that_trims_only_some_roles_gives_their_spans(words, template, contents):
    words.chat_template = template
    rendering = ChatRenderer(words).render(turns(*contents, system=False), where="a:1")
    found = [rendering.text[start:end] for start, end in rendering.spans]
    assert [content.strip() for content in found] == ["a", "b"]
    assert "".join(f"[{content}]" for content in found) == rendering.text
