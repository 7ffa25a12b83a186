"""What is wrong, or worth knowing, about a run's data before training. Needs no model, and prints nothing.

Every check returns one `Finding`, or None where all is well. It looks at all it is given, `unlike_prompts` at 200 examples.
"""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise, zip_longest
from typing import Any

from jinja2.exceptions import TemplateError
from transformers import PreTrainedTokenizerBase

from llm_jepa.packing.collate import OverLength
from llm_jepa.packing.layout import Layout
from llm_jepa.records import Example
from llm_jepa.views.chat import PINNED_ARGUMENTS
from llm_jepa.views.special import pad_id
from llm_jepa.views.tokenize import Sample, Tokenizer, TokenView

CHECKED_PROMPTS = 200
_MANY = 0.1
"""From this share of the examples on, what a few of any data show is a warning."""


class Severity(Enum):
    """How bad a finding is.

    Members:
        error: training would fail, or teach what nobody wants.
        warning: the result may mislead; look at it.
        note: good to know.
    """

    error = "error"
    warning = "warning"
    note = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence on what was found, in how many of how many, where for example, and one on what to do."""

    severity: Severity
    text: str


def no_labels(samples: Sequence[Sample]) -> Finding | None:
    """Find samples that train nothing."""
    names = [sample.name for sample in samples if not any(any(item.trained[1:]) for item in sample.sequences)]
    remedy = "They teach no next token; remove them, or set `labels: answer`"
    return _found(Severity.error, "No label token", names, len(samples), "training samples", remedy)


def untrained_stop(samples: Sequence[Sample], tokenizer: PreTrainedTokenizerBase) -> Finding | None:
    """Find samples whose last token, which ends the answer, carries no loss."""
    bare = [sample for sample in samples if any(not item.trained[-1 - item.after] for item in sample.sequences)]
    remedy = "The model does not learn to end an answer; set `labels: answer`"
    if bare and all(item.stop == pad_id(tokenizer) for item in bare[0].sequences):
        stop = tokenizer.convert_ids_to_tokens(pad_id(tokenizer))
        remedy = f"`labels: official` leaves out the pad token, here also the stop token {stop}. {remedy}"
    names = [sample.name for sample in bare]
    return _found(Severity.error, "Stop token not trained", names, len(samples), "training samples", remedy)


def double_bos(samples: Sequence[Sample], tokenizer: PreTrainedTokenizerBase) -> Finding | None:
    """Find sequences and views that begin with two BOS tokens."""
    twice = (tokenizer.bos_token_id,) * 2
    names = [
        sample.name
        for sample in samples
        if any(ids[:2] == twice for ids in (*(s.ids for s in sample.sequences), *(view.framed for view in sample.views)))
    ]
    remedy = f"Take {tokenizer.bos_token} out of the texts or of the chat template"
    return _found(Severity.warning, "Two BOS tokens at the start", names, len(samples), "training samples", remedy)


def dated_template(tokenizer: PreTrainedTokenizerBase, example: Example, arguments: Mapping[str, Any]) -> Finding | None:
    """Find out whether the chat template prints today's date, by rendering on two days.

    Args:
        tokenizer: with its chat template.
        example: a conversation to render; a group has none.
        arguments: the user's arguments for the template.
    """
    turns = [{"role": message.role, "content": message.content} for message in example.messages]
    if _changes_daily(tokenizer, turns, {**PINNED_ARGUMENTS, **arguments}):
        remedy = "set `model.template` to a template without it, or pin it by `model.template_arguments`"
        return Finding(Severity.warning, f"The chat template prints today's date, so prompts change by the day; {remedy}.")
    if _changes_daily(tokenizer, turns, arguments):
        date = PINNED_ARGUMENTS["date_string"]
        return Finding(
            Severity.note, f"The chat template would print today's date; here it is always {date} (`date_string`)."
        )
    return None


def over_long(samples: Sequence[Sample], layout: Layout, *, limit: int, source: str, policy: OverLength) -> Finding | None:
    """Find samples that reach past the limit, in tokens of context, which `source` sets ("data.max_length")."""
    depths = [(sample.name, _depth(sample, layout)) for sample in samples]
    names = [name for name, depth in depths if depth > limit]
    fatal = policy is OverLength.error or len(names) == len(depths)
    fate = "Training will refuse them" if fatal else "They are left out, never cut"
    remedy = (
        f"The longest reaches {max((depth for _, depth in depths), default=0):,}. {fate}; raise the limit or shorten them"
    )
    what = f"Longer than {limit:,} tokens ({source})"
    return _found(Severity.error if fatal else Severity.warning, what, names, len(depths), "training samples", remedy)


def identical_views(examples: Sequence[Example]) -> Finding | None:
    """Find examples with a view that says the same as the next in the same words, but for case and white space."""
    names = [item.name for item in examples if any(a == b for a, b in _neighbours(item))]
    remedy = "Predicting one from the other teaches nothing; remove them, or choose other `data.columns`"
    return _found(Severity.warning, "Identical views", names, len(examples), "training examples", remedy)


def contained_views(examples: Sequence[Example]) -> Finding | None:
    """Find examples with a view that holds the next, or is held by it, word for word."""
    names = [item.name for item in examples if any(a != b and (a in b or b in a) for a, b in _neighbours(item))]
    remedy = "A view that holds the other can be predicted by copying; check that the views are what you mean"
    severity = Severity.warning if len(names) >= _MANY * len(examples) else Severity.note
    return _found(severity, "One view holds the other", names, len(examples), "training examples", remedy)


def few_views(examples: Sequence[Example]) -> Finding | None:
    """Find examples without a pair."""
    names = [item.name for item in examples if len(item.views) < 2]
    remedy = "They have no JEPA term and train the next token only; name the views by `data.columns`"
    return _found(Severity.note, "Fewer than two views", names, len(examples), "training examples", remedy)


def dominated_views(samples: Sequence[Sample], layout: Layout) -> Finding | None:
    """Find samples with a view, encoded alone, of which the chat template makes up the greater part."""

    def buried(view: TokenView) -> bool:
        alone = not (layout.shared and view.sequence is not None)
        return layout.framed and alone and 2 * view.frame > len(view.framed)

    names = [sample.name for sample in samples if any(map(buried, sample.views))]
    remedy = "Embeddings of such views are alike whatever the text says; set `layout.framed: false`"
    what = "Views that are mostly chat template"
    return _found(Severity.warning, what, names, len(samples), "training samples", remedy)


def overlap(train: Sequence[Example], held_out: Sequence[Example], *, split: str, loosely: bool = False) -> Finding | None:
    """Find held-out prompts that are also trained on.

    Args:
        train: training examples.
        held_out: examples of another split.
        split: its name.
        loosely: find instead those that are the same but for case and white space, and not literally so.
    """
    exact = {_asked(item): item for item in train}
    known = {_plainly(key): item for key, item in exact.items()} if loosely else exact
    pairs = [
        (item, known[key])
        for item in held_out
        if (key := _plainly(_asked(item)) if loosely else _asked(item)) in known and not (loosely and _asked(item) in exact)
    ]
    same = sum(mine.answer == other.answer for mine, other in pairs)
    remedy = f"{same:,} with the same answer. Scores on them measure memory; remove them from one of the two"
    what = f"Also in train{' but for case and white space' if loosely else ''}"
    names = [f"{mine.name} = {other.name}" for mine, other in pairs]
    return _found(Severity.warning, what, names, len(held_out), f"{split} prompts", remedy)


def duplicates(train: Sequence[Example]) -> Finding | None:
    """Find training examples that repeat an earlier one in every text."""
    first: dict[Hashable, str] = {}
    names: list[str] = []
    for item in train:
        key = (_asked(item), item.answer, tuple(view.content for view in item.views))
        if key in first:
            names.append(f"{item.name} = {first[key]}")
        first.setdefault(key, item.name)
    remedy = "They weigh double, and as two rows of one batch are false negatives; remove them if that is not meant"
    return _found(Severity.note, "Whole duplicates", names, len(train), "training examples", remedy)


def ambiguous(train: Sequence[Example]) -> Finding | None:
    """Find training examples whose prompt has another answer elsewhere."""
    answers: dict[tuple[str, ...], dict[str, str]] = {}
    conversations = [item for item in train if item.messages]
    for item in conversations:
        answers.setdefault(_asked(item), {}).setdefault(item.answer, item.name)
    several = [item for item in conversations if len(answers[_asked(item)]) > 1]
    names = [" and ".join(list(answers[_asked(item)].values())[:2]) for item in several]
    remedy = "No model can give both; decide for one, or let the prompt tell them apart"
    what = "Same prompt, different answers"
    return _found(Severity.warning, what, names, len(train), "training examples", remedy)


def unlike_prompts(tokenizer: Tokenizer, examples: Sequence[Example], samples: Sequence[Sample]) -> Finding | None:
    """Find examples whose prompt at inference is no prefix of the trained tokens, or ends before the first label."""
    both = [pair for pair in zip(examples, samples, strict=True) if pair[0].messages]
    checked = both[:: max(1, -(-len(both) // CHECKED_PROMPTS))]
    wrong: list[tuple[str, str]] = []
    for example, sample in checked:
        prompt, sequence = tokenizer.prompt_ids(example), sample.sequences[0]
        at = next((i for i, (a, b) in enumerate(zip_longest(prompt, sequence.ids[: len(prompt)])) if a != b), len(prompt))
        if at < len(prompt) or not any(sequence.trained[: at + 1]):
            asked, taught = (tokenizer.tokenizer.decode(ids[at : at + 4]) for ids in (prompt, list(sequence.ids)))
            wrong.append((example.name, f"{f'It has {asked!r}' if asked else 'It ends'} where training has {taught!r}"))
    severity = Severity.error if 2 * len(wrong) > len(checked) else Severity.warning
    remedy = f"{wrong[0][1] if wrong else ''}. The model is asked otherwise than it was taught; set `model.template`"
    what = "The prompt at inference does not lead up to the answer as in training"
    return _found(severity, what, [name for name, _ in wrong], len(checked), "training examples looked at", remedy)


def trimmed(tokenizer: Tokenizer, examples: Sequence[Example]) -> Finding | None:
    """Find conversations of which the chat template drops white space at the ends of a content."""
    names: list[str] = []
    for item in examples:
        contents = [message.content for message in item.messages]
        if any(content != content.strip() for content in contents):
            rendering = tokenizer.renderer.render(item.messages, where=item.name)
            if contents != [rendering.text[start:end] for start, end in rendering.spans]:
                names.append(item.name)
    remedy = "Only white space at the ends is lost, which scores ignore; if it matters, set `model.template`"
    return _found(Severity.note, "Trimmed by the chat template", names, len(examples), "training examples", remedy)


def unknown_tokens(samples: Sequence[Sample], tokenizer: PreTrainedTokenizerBase) -> Finding | None:
    """Find samples with tokens that the tokenizer does not know."""
    unknown = tokenizer.unk_token_id
    if unknown is None or unknown in (tokenizer.eos_token_id, tokenizer.bos_token_id):  # GPT-2's is its stop token
        return None
    texts = [tuple(item.ids for item in sample.sequences) + tuple(view.ids for view in sample.views) for sample in samples]
    counts = [sum(ids.count(unknown) for ids in parts) for parts in texts]
    names = [sample.name for sample, count in zip(samples, counts, strict=True) if count]
    share = sum(counts) / max(1, sum(len(ids) for parts in texts for ids in parts))
    remedy = f"{share:.2%} of all tokens. The model cannot read what they stand for; choose another tokenizer"
    return _found(Severity.warning, "Unknown tokens", names, len(samples), "training samples", remedy)


def long_answers(
    examples: Sequence[Example], tokenizer: PreTrainedTokenizerBase, *, limit: int, split: str
) -> Finding | None:
    """Find answers that `evaluation.max_new_tokens` does not let through whole."""
    asked = [item for item in examples if item.messages]
    if not asked:
        return None
    encoded = tokenizer([item.answer for item in asked], add_special_tokens=False, verbose=False)["input_ids"]
    lengths = [len(ids) for ids in encoded]
    names = [item.name for item, length in zip(asked, lengths, strict=True) if length > limit]
    remedy = f"They can never be generated whole; raise it to {max(lengths) + 1} or more"
    what = f"Answers longer than evaluation.max_new_tokens ({limit})"
    return _found(Severity.warning, what, names, len(asked), f"{split} examples", remedy)


def no_room(tokenizer: Tokenizer, examples: Sequence[Example], *, positions: int, limit: int, split: str) -> Finding | None:
    """Find prompts that leave no room for an answer of `limit` tokens in the model's context, or that are empty."""
    lengths = [(item.name, len(tokenizer.prompt_ids(item))) for item in examples]
    names = [name for name, length in lengths if not 0 < length <= positions - limit]
    remedy = "Scoring will refuse them, after the training; lower the limit, or leave such examples out"
    what = f"Empty prompt, or no room for evaluation.max_new_tokens ({limit}) in {positions:,} positions"
    return _found(Severity.error, what, names, len(examples), f"{split} examples", remedy)


def _found(severity: Severity, what: str, names: Sequence[str], total: int, unit: str, remedy: str) -> Finding | None:
    if not names:
        return None
    return Finding(severity, f"{what}: {len(names):,} of {total:,} {unit}, such as {names[0]}. {remedy}.")


def _changes_daily(tokenizer: PreTrainedTokenizerBase, turns: list[dict[str, str]], arguments: Mapping[str, Any]) -> bool:
    def on(day: str) -> str:
        clock = f"{{%- macro strftime_now(format) -%}}{day}{{%- endmacro -%}}"  # hides transformers' clock
        template = clock + str(tokenizer.get_chat_template())
        return str(tokenizer.apply_chat_template(turns, chat_template=template, tokenize=False, **arguments))

    try:
        return on("2001") != on("2019")
    except TemplateError:  # roles that only a merged conversation has; such a template is checked without the system message
        return len(turns) > 1 and _changes_daily(tokenizer, turns[1:], arguments)


def _depth(sample: Sample, layout: Layout) -> int:
    return max(segment.visible + len(segment.ids) for segment in layout.forest(sample).segments)


def _neighbours(example: Example) -> Iterator[tuple[str, str]]:
    """Yield the pairs of views that predict one another, each padded, so that only whole words are found in the other."""
    plain = [f" {text} " for text in _plainly([view.content for view in example.views])]
    yield from pairwise(plain)


def _asked(example: Example) -> tuple[str, ...]:
    """Return the contents of the prompt, or of all views where there is none."""
    return tuple(item.content for item in example.prompt or example.views)


def _plainly(texts: Sequence[str]) -> tuple[str, ...]:
    return tuple(" ".join(text.casefold().split()) for text in texts)
