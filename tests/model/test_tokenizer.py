"""Tokenizers trained on the data, and which chat template a model is trained and asked with."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.helpers import CHATML, word_tokenizer
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from llm_jepa.errors import UserError
from llm_jepa.model.tokenizer import END, PAD, ROLES, set_template, train_tokenizer

TEXTS = ["lines with a number before the string 'dog'", "lines with a vowel", "lines with a number"]
TRAINED = train_tokenizer(TEXTS, size=280)
QUESTION = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]


def rendered(tokenizer: Any, turns: list[dict[str, str]] | None = None, **options: Any) -> str:
    return str(tokenizer.apply_chat_template(turns or QUESTION, tokenize=False, **options))


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_a_trained_tokenizer_gives_back_every_text(text: str) -> None:
    assert TRAINED.decode(TRAINED(text)["input_ids"]) == text


def test_a_trained_tokenizer_has_the_size_asked_for_and_learned_from_the_texts() -> None:
    assert len(TRAINED) == 280
    assert len(TRAINED("lines with a number")["input_ids"]) < 8
    assert len(train_tokenizer(["a"], size=1000)) == 261  # there is nothing to merge


def test_the_special_tokens_are_one_token_each_and_padding_is_not_the_end() -> None:
    for token in (PAD, END, *ROLES):
        assert TRAINED(f"a{token}b")["input_ids"][1] == TRAINED.convert_tokens_to_ids(token)
    assert (TRAINED.pad_token, TRAINED.eos_token) == (PAD, END)


def test_training_twice_gives_the_same_tokenizer() -> None:
    assert train_tokenizer(TEXTS, size=280).get_vocab() == TRAINED.get_vocab()


def test_its_template_marks_roles_and_closes_the_answer() -> None:
    assert rendered(TRAINED, add_generation_prompt=True) == "<|system|>s<|user|>u<|assistant|>"
    answered = [*QUESTION, {"role": "assistant", "content": "a"}]
    assert rendered(TRAINED, answered) == "<|system|>s<|user|>u<|assistant|>a<|end|>"


def test_it_survives_saving(tmp_path: Path) -> None:
    TRAINED.save_pretrained(tmp_path)
    read = AutoTokenizer.from_pretrained(tmp_path)
    assert isinstance(read, PreTrainedTokenizerFast)
    assert read.get_vocab() == TRAINED.get_vocab()
    assert rendered(read) == rendered(TRAINED)


def test_a_vocabulary_without_room_for_the_bytes_is_refused() -> None:
    with pytest.raises(UserError, match=r"model\.vocabulary is 260, but bytes and special tokens alone take 261"):
        train_tokenizer(TEXTS, size=260)
    assert len(train_tokenizer(TEXTS, size=261)) == 261


def without_template() -> PreTrainedTokenizerFast:
    tokenizer = word_tokenizer()
    tokenizer.chat_template = None
    return tokenizer


def test_a_tokenizers_own_template_is_kept() -> None:
    tokenizer = word_tokenizer()
    set_template(tokenizer, None, needs_roles=True)
    assert tokenizer.chat_template == CHATML


def test_without_one_contents_stand_on_lines_of_their_own() -> None:
    tokenizer = without_template()
    set_template(tokenizer, None, needs_roles=False)
    turns = [{"role": "user", "content": "question"}, {"role": "assistant", "content": "answer"}]
    assert rendered(tokenizer, turns) == "question\nanswer<|im_end|>"


def test_without_one_conversations_with_roles_need_a_choice() -> None:
    with pytest.raises(UserError, match=r"no chat template, but the data are conversations .* set `model\.template`"):
        set_template(without_template(), None, needs_roles=True)


def test_plain_replaces_a_tokenizers_own() -> None:
    tokenizer = word_tokenizer()
    set_template(tokenizer, "plain", needs_roles=True)
    assert rendered(tokenizer) == "s\nu\n"


def test_a_template_can_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "own.jinja").write_text("{% for m in messages %}[{{ m['role'] }}: {{ m['content'] }}]{% endfor %}")
    tokenizer = word_tokenizer()
    set_template(tokenizer, str(tmp_path / "own.jinja"), needs_roles=True)
    assert rendered(tokenizer) == "[system: s][user: u]"


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_template_that_cannot_be_read_is_told(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "own.jinja"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"model\.template: cannot read '.*own\.jinja' .* give 'plain' or a Jinja file"):
        set_template(word_tokenizer(), str(path), needs_roles=False)
