"""Whatever the contents are, the tokens of a view spell its content, for real tokenizers.

The oracle is independent of offsets: the bytes that each token stands for are added up, and a place is found by its bytes.
"""

import unicodedata

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from tests.helpers import text_code
from tests.views.test_real_tokenizers import FORMATS, byte_spans

from llm_jepa.errors import UserError
from llm_jepa.records import Example, View
from llm_jepa.views.chat import plain_template
from llm_jepa.views.tokenize import Tokenizer

ANY = st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
ODD = st.text(alphabet="a .\n\t'é日本👩‍🚀\u0301\u200b{}<|>_[0-9]", min_size=1, max_size=40)
"""White space, marks that combine, joined emoji, and what templates and special tokens are made of."""
CONTENT = st.one_of(ANY, ODD).filter(lambda text: bool(text.strip()))
SETTINGS = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def normal(name: str, text: str) -> str:
    """Return a text as the tokenizer sees it: Qwen's composes characters first."""
    return unicodedata.normalize("NFC", text) if name.startswith("qwen") else text


@pytest.mark.parametrize("name", FORMATS)
@given(user=CONTENT, answer=CONTENT)
@SETTINGS
def test_the_tokens_of_a_view_spell_its_content_and_no_fewer_would(real_tokenizer, name, user, answer):
    tokenizer = real_tokenizer(name)
    user, answer = normal(name, user), normal(name, answer)
    try:
        (sample,) = Tokenizer(tokenizer).samples([text_code(user=user, answer=answer)])
    except UserError:
        assume(False)
    spelled, spans = byte_spans(tokenizer, sample.sequences[0].ids, set(tokenizer.added_tokens_decoder))
    trim = FORMATS[name][2]
    answer = answer.lstrip("\n") if name == "qwen3" else trim(answer)  # as its template does
    for content, view in zip((trim(user), answer), sample.views, strict=True):
        inside, known = spans[view.start : view.end], content.encode()
        assert known in spelled[inside[0][0] : inside[-1][1]]
        assert known not in spelled[inside[0][1] : inside[-1][1]]
        assert known not in spelled[inside[0][0] : inside[-1][0]]
        assert view.ids == sample.sequences[0].ids[view.start : view.end]


@pytest.mark.parametrize("name", [*FORMATS, "gemma-2", "llama-2"])
@given(contents=st.lists(CONTENT, min_size=2, max_size=4))
@SETTINGS
def test_a_view_that_stands_alone_is_its_content(real_tokenizer, name, contents):
    tokenizer = real_tokenizer(name)
    contents = [normal(name, content) for content in contents]
    assume(not any(token in content for content in contents for token in tokenizer.get_added_vocab()))
    example = Example(name="g:1", messages=(), views=tuple(View(content=content, role="") for content in contents))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tokenizer, "chat_template", plain_template(tokenizer))
        (sample,) = Tokenizer(tokenizer).samples([example])
    for content, view in zip(contents, sample.views, strict=True):
        written = tokenizer.decode(view.ids, clean_up_tokenization_spaces=False)
        # Some tokenizers put a space before a text, and some leave the first one out when they decode.
        assert {written, written.removeprefix(" ")} & {content, content.removeprefix(" ")}


@pytest.mark.parametrize("name", FORMATS)
@given(user=CONTENT, answer=CONTENT)
@SETTINGS
def test_the_trained_tokens_are_the_answer_and_what_is_asked_with_comes_before(real_tokenizer, name, user, answer):
    made = Tokenizer(real_tokenizer(name))
    example = text_code(user=user, answer=answer)
    try:
        (sample,) = made.samples([example])
    except UserError:
        assume(False)
    prompt, (sequence,) = made.prompt_ids(example), sample.sequences
    assert list(sequence.ids[: len(prompt)]) == prompt
    assert sequence.trained == (False,) * len(prompt) + (True,) * (len(sequence.ids) - len(prompt))
