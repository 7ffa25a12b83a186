"""Every finding appears where a hand-made case calls for it, says how many of how many, and is absent on clean data."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from tests.helpers import GROUP, TEXT_CODE, word_tokenizer
from transformers import PreTrainedTokenizerFast

from llm_jepa.experiments.inspect import findings
from llm_jepa.experiments.inspect.findings import Finding, Severity
from llm_jepa.model.tokenizer import END, TRAINED_TEMPLATE, train_tokenizer
from llm_jepa.packing.collate import OverLength
from llm_jepa.packing.layout import Layout
from llm_jepa.records import ASSISTANT, SYSTEM, USER, Example, Message, View
from llm_jepa.views.tokenize import Labels, Sample, Tokenizer, TokenSequence

DATED = "{{ date_string if date_string is defined else strftime_now('%d %b %Y') }}" + TRAINED_TEMPLATE
DATED_ALWAYS = "{{ strftime_now('%B %d') }}" + TRAINED_TEMPLATE
NO_SYSTEM = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}"
TRIMMING = TRAINED_TEMPLATE.replace("message['content']", "message['content'] | trim")
THINKS_WHEN_ASKED = TRAINED_TEMPLATE.replace("{{ '<|assistant|>' }}", "{{ '<|assistant|>think' }}")
THINKS_IN_TRAINING = TRAINED_TEMPLATE.replace(
    "message['content'] }}", "('think ' if message['role'] == 'assistant' else '') + message['content'] }}"
)


def pair(text: str, code: str, *, name: str = "a:1", system: str | None = None) -> Example:
    """Return a conversation whose views are its question and its answer."""
    turns = ((SYSTEM, system), (USER, text), (ASSISTANT, code))
    messages = tuple(Message(role=role, content=content) for role, content in turns if content is not None)
    last = len(messages) - 1
    views = (View(content=text, role=USER, message=last - 1), View(content=code, role=ASSISTANT, message=last))
    return Example(name=name, messages=messages, views=views)


def group(*texts: str, name: str = "g:1") -> Example:
    return Example(name=name, messages=(), views=tuple(View(content=text, role="") for text in texts))


CLEAN = [pair("lines with a dog", ".*dog.*", name="a:1"), pair("one digit", "[0-9]", name="a:2", system="Convert.")]


def tokenizer(template: str = TRAINED_TEMPLATE, *, labels: Labels = Labels.answer, framed: bool = False) -> Tokenizer:
    hub = train_tokenizer(["lines with a dog", "Convert"], size=280)
    hub.chat_template = template
    return Tokenizer(hub, labels=labels, framed=framed)


def samples(made: Tokenizer, examples: Sequence[Example] = tuple(CLEAN)) -> list[Sample]:
    return list(made.samples(examples))


def text_of(finding: Finding | None, severity: Severity) -> str:
    assert finding is not None
    assert finding.severity is severity
    assert finding.text.endswith(".")
    return finding.text


def test_a_sample_without_labels_is_an_error() -> None:
    bare = Sample("b:7", (TokenSequence((1, 2), (True, False)),), ())
    found = text_of(findings.no_labels([TEXT_CODE, GROUP, bare]), Severity.error)
    assert found.startswith("No label token: 1 of 3 training samples, such as b:7. ")
    assert findings.no_labels([TEXT_CODE, GROUP]) is None


@pytest.mark.parametrize("stop", [END, None], ids=["same", "no pad token"])
def test_official_labels_do_not_train_a_stop_token_that_is_the_pad_token(stop: str | None) -> None:
    made = tokenizer(labels=Labels.official)
    assert findings.untrained_stop(samples(made), made.tokenizer) is None
    made.tokenizer.pad_token = stop
    found = text_of(findings.untrained_stop(samples(made), made.tokenizer), Severity.error)
    assert found.startswith("Stop token not trained: 2 of 2 training samples, such as a:1. `labels: official`")
    assert END in found


def test_a_last_token_without_label_is_an_error() -> None:
    bare = Sample("b:7", (TokenSequence((1, 2, 3), (False, True, False)),), ())
    found = text_of(findings.untrained_stop([TEXT_CODE, bare], word_tokenizer()), Severity.error)
    assert "1 of 2 training samples, such as b:7" in found
    assert "official" not in found


@pytest.mark.parametrize(("text", "count"), [("<s>lines", 1), ("lines", 0)])
def test_two_bos_tokens_are_found(text: str, count: int) -> None:
    hub = train_tokenizer(["lines"], size=280)
    hub.add_special_tokens({"bos_token": "<s>"})
    hub.chat_template = "{{ bos_token }}" + TRAINED_TEMPLATE.replace("'<|' + message['role'] + '|>' + ", "")
    found = findings.double_bos(samples(Tokenizer(hub), [CLEAN[0], pair(text, "x", name="a:3")]), hub)
    assert (found is not None) == bool(count)
    if found is not None:
        assert "1 of 2 training samples, such as a:3. Take <s> out" in text_of(found, Severity.warning)


@pytest.mark.parametrize("example", CLEAN, ids=["user", "system"])
@pytest.mark.parametrize("head", ["", NO_SYSTEM], ids=["any role", "no system"])
def test_a_date_of_today_is_found_by_rendering_on_two_days(head: str, example: Example) -> None:
    hub = train_tokenizer(["lines"], size=280)
    hub.chat_template = head + TRAINED_TEMPLATE
    assert findings.dated_template(hub, example, {}) is None
    hub.chat_template = head + DATED
    assert "would print today's date" in text_of(findings.dated_template(hub, example, {}), Severity.note)
    assert findings.dated_template(hub, example, {"date_string": "1 Jan 2020"}) is None
    hub.chat_template = head + DATED_ALWAYS
    assert "prompts change by the day" in text_of(findings.dated_template(hub, example, {}), Severity.warning)


def test_samples_over_the_limit_are_counted_and_the_longest_told() -> None:
    def check(limit: int, policy: OverLength = OverLength.drop) -> Finding | None:
        return findings.over_long([TEXT_CODE, GROUP], Layout(k=2), limit=limit, source="data.max_length", policy=policy)

    assert check(8) is None
    found = text_of(check(7), Severity.warning)
    assert found.startswith(
        "Longer than 7 tokens (data.max_length): 1 of 2 training samples, such as a:1. The longest reaches 8."
    )
    assert "left out" in found
    assert "refuse" in text_of(check(7, OverLength.error), Severity.error)
    assert "refuse" in text_of(check(2), Severity.error)


@pytest.mark.parametrize(
    ("check", "example", "severity"),
    [
        (findings.identical_views, group("A dog", "a  DOG"), Severity.warning),
        (findings.identical_views, pair("lines", "lines"), Severity.warning),
        (findings.contained_views, pair("the word dog", "dog"), Severity.warning),
        (findings.contained_views, group("a cat", "dog", "a dog"), Severity.warning),
        (findings.few_views, group("alone"), Severity.note),
        (findings.duplicates, CLEAN[0], Severity.note),
        (findings.duplicates, group("b", "c"), Severity.note),
        (findings.ambiguous, pair("lines with a dog", "dog"), Severity.warning),
    ],
)
def test_texts_that_mislead_are_found(
    check: Callable[[Sequence[Example]], Finding | None], example: Example, severity: Severity
) -> None:
    others = [*CLEAN, group("b", "c")]
    assert check(others) is None
    found = text_of(check([*others, example]), severity)
    assert f" of 4 training examples, such as {example.name}" in found or "a:1 and a:1" in found


def test_a_letter_within_a_word_is_not_contained() -> None:
    assert findings.contained_views([pair("Before or after?", "B")]) is None


def test_a_few_contained_views_are_but_a_note() -> None:
    many = [*CLEAN * 10, pair("the word dog", "dog")]
    assert "1 of 21" in text_of(findings.contained_views(many), Severity.note)


def test_both_examples_of_an_ambiguous_prompt_are_counted() -> None:
    found = findings.ambiguous([*CLEAN, pair("one digit", "[0-9]?", name="a:9", system="Convert.")])
    assert "2 of 3 training examples, such as a:2 and a:9. " in text_of(found, Severity.warning)


def test_views_that_are_mostly_template_are_found_only_where_the_template_is_encoded() -> None:
    made = tokenizer(TRAINED_TEMPLATE.replace("{{ '<|'", "{{ 'Cutting Knowledge Date: December 2023 <|'"), framed=True)
    found = findings.dominated_views(samples(made), Layout(shared=False, framed=True))
    assert "2 of 2 training samples, such as a:1. " in text_of(found, Severity.warning)
    assert findings.dominated_views(samples(made), Layout(shared=False)) is None
    short = tokenizer(framed=True)
    assert findings.dominated_views(samples(short), Layout(shared=False, framed=True)) is None


def test_held_out_prompts_in_train_are_found_exactly_and_loosely() -> None:
    held_out = [
        pair("lines with a dog", ".*cat.*", name="t:1"),
        pair("Lines with  a dog", ".*dog.*", name="t:2"),
        pair("new", "x", name="t:3"),
    ]
    exact = text_of(findings.overlap(CLEAN, held_out, split="test"), Severity.warning)
    assert exact.startswith("Also in train: 1 of 3 test prompts, such as t:1 = a:1. 0 with the same answer.")
    loose = text_of(findings.overlap(CLEAN, held_out, split="validation", loosely=True), Severity.warning)
    assert loose.startswith(
        "Also in train but for case and white space: 1 of 3 validation prompts, such as t:2 = a:1. 1 with"
    )
    assert findings.overlap(CLEAN, held_out[2:], split="test") is None
    assert findings.overlap(CLEAN, held_out[2:], split="test", loosely=True) is None


def test_an_instruction_of_another_kind_makes_another_prompt() -> None:
    assert findings.overlap(CLEAN, [pair("one digit", "[0-9]", system="Translate.")], split="test") is None


@pytest.mark.parametrize(
    ("template", "said"),
    [(THINKS_WHEN_ASKED, "It has 'think' where training has"), (THINKS_IN_TRAINING, "It ends where training has 'think")],
)
def test_a_prompt_that_does_not_lead_up_to_the_answer_is_an_error(template: str, said: str) -> None:
    made = tokenizer(template)
    found = text_of(findings.unlike_prompts(made, CLEAN, samples(made)), Severity.error)
    assert "2 of 2 training examples looked at, such as a:1" in found
    assert said in found


def test_a_prompt_that_leads_up_to_the_answer_is_no_finding() -> None:
    for labels in Labels:
        made = tokenizer(labels=labels)
        assert findings.unlike_prompts(made, CLEAN, samples(made)) is None


def test_at_most_200_prompts_are_looked_at() -> None:
    made = tokenizer(THINKS_WHEN_ASKED)
    found = findings.unlike_prompts(made, CLEAN * 250, samples(made, CLEAN * 250))
    assert "167 of 167" in text_of(found, Severity.error)


def test_contents_that_the_template_trims_are_noted() -> None:
    spaced = [*CLEAN, pair(" a dog\n", "x", name="a:3")]
    found = text_of(findings.trimmed(tokenizer(TRIMMING), spaced), Severity.note)
    assert "1 of 3 training examples, such as a:3" in found
    assert findings.trimmed(tokenizer(), spaced) is None
    assert findings.trimmed(tokenizer(TRIMMING), CLEAN) is None


def test_unknown_tokens_are_counted(words: PreTrainedTokenizerFast) -> None:
    known = [pair("lines with a dog", "dog", name="a:1")]
    strange = [*known, pair("lines with a zebra", "dog", name="a:2")]
    found = text_of(findings.unknown_tokens(samples(Tokenizer(words), strange), words), Severity.warning)
    assert "1 of 2 training samples, such as a:2. " in found
    assert "% of all tokens" in found
    assert findings.unknown_tokens(samples(Tokenizer(words), known), words) is None
    words.unk_token = words.eos_token
    assert findings.unknown_tokens(samples(Tokenizer(words), strange), words) is None


def test_answers_that_cannot_be_generated_whole_are_counted() -> None:
    hub: Any = train_tokenizer(["x"], size=261)
    examples = [pair("a", "12345", name="a:1"), pair("b", "123", name="a:2"), group("1234567", "12345678")]
    found = text_of(findings.long_answers(examples, hub, limit=4, split="test"), Severity.warning)
    assert "(4): 1 of 2 test examples, such as a:1. " in found
    assert "raise it to 6 or more" in found
    assert findings.long_answers(examples, hub, limit=5, split="test") is None
    assert findings.long_answers(examples[2:], hub, limit=1, split="test") is None


def test_prompts_without_room_for_an_answer_or_without_any_token_are_errors() -> None:
    made = tokenizer()
    length = max(len(made.prompt_ids(example)) for example in CLEAN)
    assert findings.no_room(made, CLEAN, positions=length + 5, limit=5, split="test") is None
    found = text_of(findings.no_room(made, CLEAN, positions=length + 4, limit=5, split="test"), Severity.error)
    assert "1 of 2 test examples" in found
    empty = findings.no_room(made, [group("b", "c")], positions=1000, limit=5, split="validation")
    assert "1 of 1 validation examples, such as g:1" in text_of(empty, Severity.error)
