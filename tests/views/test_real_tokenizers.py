"""Every token of real rows carries the label it should, for real tokenizers.

The oracle is independent: the text is written by hand for each format, and a token's place is told by the bytes it spells.
"""

from collections.abc import Collection
from itertools import pairwise
from typing import Any

import pytest
from tests.helpers import CHATML, text_code

from llm_jepa.records import Example, Message, View
from llm_jepa.views.chat import plain_template
from llm_jepa.views.tokenize import Tokenizer


def from_row(row: dict[str, Any], name: str) -> Example:
    """An official row: Text is the user's message and Code the assistant's, unless the row brings its views."""
    messages = tuple(Message(**message) for message in row["messages"])
    if "text" in row:
        (text,), (code,) = row["text"], row["code"]
        return Example(name=name, messages=messages, views=(View(**text), View(**code)))
    views = tuple(View(**row["messages"][index], message=index) for index in (1, 2))
    return Example(name=name, messages=messages, views=views)


FORMATS = {
    "llama-3.1": (
        "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n{}<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\n{}<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
        "<|eot_id|>",
        str.strip,
    ),
    "qwen2.5": (
        "<|im_start|>system\n{}<|im_end|>\n<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n",
        "<|im_end|>",
        str,
    ),
    "qwen3": (
        "<|im_start|>system\n{}<|im_end|>\n<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n",
        "<|im_end|>",
        str,
    ),
}


def byte_alphabet() -> dict[str, int]:
    """Return the byte behind every letter of byte-level tokens (GPT-2's table)."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return {chr(byte): byte for byte in shown} | {chr(256 + index): byte for index, byte in enumerate(hidden)}


ALPHABET = byte_alphabet()


def byte_spans(tokenizer: Any, ids: tuple[int, ...], added: Collection[int]) -> tuple[bytes, list[tuple[int, int]]]:
    """Return what the tokens spell, and where each of them stands in it, both in bytes."""
    spelled, ends = b"", [0]
    for token, letters in zip(ids, tokenizer.convert_ids_to_tokens(ids), strict=True):
        spelled += letters.encode() if token in added else bytes(ALPHABET[letter] for letter in letters)
        ends.append(len(spelled))
    return spelled, list(pairwise(ends))


@pytest.mark.parametrize("data", ["nl_rx_synth_train", "spider_train", "gsm8k_train"])
@pytest.mark.parametrize("name", FORMATS)
def test_every_token_of_real_rows_carries_the_label_it_should(real_tokenizer, real_rows, name, data):
    tokenizer = real_tokenizer(name)
    form, stop, trim = FORMATS[name]
    rows = real_rows(data, 200)
    assert len(rows) == 200
    made = Tokenizer(tokenizer)
    added = set(tokenizer.added_tokens_decoder)
    for row, sample in zip(rows, made.samples(from_row(row, "a:1") for row in rows), strict=True):
        system, user, answer = (trim(message["content"]) for message in row["messages"])
        before = form.format(system, user)
        ids, trained = sample.sequences[0].ids, sample.sequences[0].trained

        spelled, spans = byte_spans(tokenizer, ids, added)
        assert spelled == (before + answer + stop).encode()
        assert list(ids) == tokenizer.backend_tokenizer.encode(before + answer + stop, add_special_tokens=False).ids
        start = len(before.encode())
        assert list(trained) == [end > start for _, end in spans]
        assert spelled[spans[trained.index(True)][0] :] == (answer + stop).encode()

        prompt = made.prompt_ids(from_row(row, "a:1"))
        assert list(ids[: len(prompt)]) == prompt
        assert trained.index(True) == len(prompt)

        text, code = sample.views
        left = before.encode().rindex(user.encode())
        right = left + len(user.encode())
        inside = [index for index, (first, last) in enumerate(spans) if first < right and last > left]
        assert inside == list(range(text.start, text.end))
        assert (text.sequence, code.sequence) == (0, None)
        assert (code.start, code.end) == (len(prompt), len(ids) - 1)
        assert (text.ids, code.ids) == (ids[text.start : text.end], ids[code.start : code.end])


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("where", ["system", "user", "answer"])
@pytest.mark.parametrize(
    "content",
    ["<|im_end|><|eot_id|>", "🇩🇪👩\u200d👧", "\n- list", "日本語のテ", "{{ x }}", "<think>", "  x", "'s", "."],
)
def test_odd_contents_are_labelled_right_too(real_tokenizer, name, where, content):
    tokenizer = real_tokenizer(name)
    form, stop, trim = FORMATS[name]
    example = text_code(**{where: content})
    (sample,) = Tokenizer(tokenizer).samples([example])
    system, user, answer = (trim(message.content) for message in example.messages)
    if name == "qwen3":
        answer = answer.lstrip("\n")  # as its template does
    before = form.format(system, user)
    spelled, spans = byte_spans(tokenizer, sample.sequences[0].ids, set(tokenizer.added_tokens_decoder))
    assert spelled == (before + answer + stop).encode()
    assert list(sample.sequences[0].trained) == [end > len(before.encode()) for _, end in spans]


@pytest.mark.parametrize("name", [*FORMATS, "smollm2", "plain gemma-2", "plain llama-2", "plain qwen3"])
@pytest.mark.parametrize("data", ["nl_rx_turk_train", "spider_test", "nq_open_train"])
def test_the_prompt_is_a_prefix_of_the_training_tokens(real_tokenizer, real_rows, monkeypatch, name, data):
    tokenizer = real_tokenizer({"smollm2": "qwen2.5"}.get(name, name.removeprefix("plain ")))
    if name == "smollm2":
        monkeypatch.setattr(tokenizer, "chat_template", CHATML)
    if name.startswith("plain "):
        monkeypatch.setattr(tokenizer, "chat_template", plain_template(tokenizer))
    made = Tokenizer(tokenizer)
    examples = [from_row(row, "a:1") for row in real_rows(data, 100)]
    for example, sample in zip(examples, made.samples(examples), strict=True):
        prompt, (sequence,) = made.prompt_ids(example), sample.sequences
        assert list(sequence.ids[: len(prompt)]) == prompt
        assert sequence.trained == (False,) * len(prompt) + (True,) * (len(sequence.ids) - len(prompt))
        answer = tokenizer.decode(sequence.ids[len(prompt) : -1], clean_up_tokenization_spaces=False)
        assert answer.strip() == example.answer.strip()


def test_views_that_are_no_messages_stand_alone(real_tokenizer, real_rows):
    tokenizer = real_tokenizer("qwen3")
    rows = real_rows("hellaswag_test", 50)
    for row, sample in zip(rows, Tokenizer(tokenizer).samples(from_row(row, "h:1") for row in rows), strict=True):
        (sequence,) = sample.sequences
        answer = [token for token, trained in zip(sequence.ids, sequence.trained, strict=True) if trained]
        assert tokenizer.decode(answer) == row["messages"][2]["content"] + "<|im_end|>"
        assert [view.sequence for view in sample.views] == [None, None]
        assert tokenizer.decode(sample.views[0].ids) == row["text"][0]["content"]
        assert tokenizer.decode(sample.views[1].ids) == row["code"][0]["content"]
