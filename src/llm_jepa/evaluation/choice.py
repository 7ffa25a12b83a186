"""Answers that are chosen, not generated: log-likelihoods of given continuations.

Two readings of one question are weighed, under the names that `scoring.choice` reads. The letters: what the model says after
the prompt, as it was trained. The endings: how likely each is as plain text behind the context alone, the field's usual
reading of HellaSwag; normalising by length is the scorer's affair. Nothing is ever cut.

Rows are padded on the right and no mask is given: in a causal model nothing looks to the right, so padding changes nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from llm_jepa.errors import UserError
from llm_jepa.evaluation.answerer import Answerer, EvaluationItem
from llm_jepa.evaluation.generate import evaluation_mode, longest_first
from llm_jepa.model.parts import context_limit, core, output_layer
from llm_jepa.records import ASSISTANT, Example, Prediction, View
from llm_jepa.scoring.choice import ENDING_KEY, LETTER_KEY
from llm_jepa.views.tokenize import Tokenizer

CONTEXT = "context"
"""The key in `Example.extra` of the text that the endings end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Continuation:
    """Tokens to be weighed behind others.

    Attributes:
        context: token ids that are given; at least one.
        ids: token ids whose log-likelihoods are summed; at least one.
    """

    context: tuple[int, ...]
    ids: tuple[int, ...]

    @property
    def row(self) -> tuple[int, ...]:
        """What the model reads: the last token predicts nothing that counts."""
        return (*self.context, *self.ids[:-1])


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoiceItem(EvaluationItem):
    """One question with its choices.

    Attributes:
        choices: continuations by their names in `Prediction.likelihoods`; the likeliest letter is the answer.
    """

    choices: Mapping[str, Continuation]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choosing(Answerer[ChoiceItem]):
    """Picks the letter with the greatest log-likelihood, and weighs the endings beside it.

    Attributes:
        model: a causal language model of transformers, or peft's wrapper around one.
        pad_id: fills up shorter rows; what it is changes nothing.
        batch_size: items answered together, and rows in one forward.
    """

    model: nn.Module
    pad_id: int
    batch_size: int = 32

    def items(self, tokenizer: Tokenizer, examples: Sequence[Example]) -> list[ChoiceItem]:
        """Return the questions."""
        return choice_items(tokenizer, examples)

    def check(self, items: Sequence[ChoiceItem]) -> None:
        """Refuse a question that is longer than the model's positions; none is ever cut."""
        room = context_limit(self.model)
        for item in items:
            if room is not None and self.length(item) > room:
                raise UserError(
                    f"{item.name} has {self.length(item)} tokens, more than the model's {room} positions; leave the example "
                    "out or take another model (prompts are never cut)"
                )

    def length(self, item: ChoiceItem) -> int:
        """Return that of its longest row."""
        return max(len(choice.row) for choice in item.choices.values())

    def answer(self, items: Sequence[ChoiceItem]) -> list[Prediction]:
        """Weigh the choices of all items, equal rows only once."""
        asked = [choice for item in items for choice in item.choices.values()]
        found = iter(log_likelihoods(self.model, asked, pad_id=self.pad_id, batch_size=self.batch_size))
        return [_prediction(item, {name: next(found) for name in item.choices}) for item in items]


def log_likelihoods(model: nn.Module, choices: Sequence[Continuation], *, pad_id: int, batch_size: int) -> list[float]:
    """Return for every continuation the sum of its tokens' log-likelihoods behind its context, in nats.

    Log-likelihoods are computed in float32 (float64 for a float64 model). A result is the one the continuation gets alone,
    up to the rounding of the model's number format.

    Args:
        model: a causal language model of transformers, or peft's wrapper around one; it is left as it was.
        choices: the continuations; those with equal rows (single-token letters behind one prompt) share one.
        pad_id: fills up shorter rows.
        batch_size: rows in one forward.

    Raises:
        UserError: the model has no output layer.
    """
    readers: dict[tuple[int, ...], list[int]] = {}
    for index, choice in enumerate(choices):
        readers.setdefault(choice.row, []).append(index)
    rows, found = list(readers), [0.0] * len(choices)
    with torch.no_grad(), evaluation_mode(model):
        for batch in longest_first([len(row) for row in rows], batch_size):
            asked = [(place, index) for place, row in enumerate(batch) for index in readers[rows[row]]]
            values = _forward(model, [rows[row] for row in batch], [(p, choices[i]) for p, i in asked], pad_id)
            for (_, index), value in zip(asked, values, strict=True):
                found[index] = value
    return found


def choice_items(tokenizer: Tokenizer, examples: Sequence[Example]) -> list[ChoiceItem]:
    """Return the questions of examples whose `extra` has a "context" and its endings ("ending A", and so on).

    A letter's tokens are those that it has as the answer in a trained sequence, and its context is what stands before them
    there. An ending stands behind its context with one space between the two.

    Raises:
        UserError: an example has fewer than two endings, or no context for them.
    """
    letters = [_letters(example) for example in examples]
    answers = [_answered(example, letter) for example, own in zip(examples, letters, strict=True) for letter in own]
    asked = iter(tokenizer.samples(answers))
    items: list[ChoiceItem] = []
    for example, own in zip(examples, letters, strict=True):
        choices: dict[str, Continuation] = {}
        for letter in own:
            sample = next(asked)
            view, ids = sample.views[0], sample.sequences[0].ids
            choices[LETTER_KEY + letter] = Continuation(context=ids[: view.start], ids=ids[view.start : view.end])
        choices |= _endings(tokenizer, example, own)
        items.append(
            ChoiceItem(
                name=example.name,
                prompt=tokenizer.prompt_text(example),
                prompt_ids=choices[LETTER_KEY + own[0]].context,
                expected=example.answer,
                choices=choices,
            )
        )
    return items


def _letters(example: Example) -> list[str]:
    letters = [name.removeprefix(ENDING_KEY) for name in example.extra if name.startswith(ENDING_KEY)]
    if len(letters) < 2 or CONTEXT not in example.extra:
        raise UserError(
            f"{example.name}: there are no endings to choose from, so its answer cannot be weighed; leave `ChoiceScorer` to "
            "hellaswag and take another scorer"
        )
    return sorted(letters)


def _answered(example: Example, letter: str) -> Example:
    """Return the example with this letter for its answer, and the answer for its view."""
    place = len(example.messages) - 1
    messages = (*example.prompt, replace(example.messages[-1], content=letter))
    return replace(example, messages=messages, views=(View(content=letter, role=ASSISTANT, message=place),))


def _endings(tokenizer: Tokenizer, example: Example, letters: Sequence[str]) -> dict[str, Continuation]:
    context = example.extra[CONTEXT].rstrip()
    texts = [f"{context} {example.extra[ENDING_KEY + letter]}" for letter in letters]
    encoded: Any = tokenizer.tokenizer(texts, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    begin = tokenizer.prompt_ids(replace(example, messages=()))
    found: dict[str, Continuation] = {}
    for letter, ids, offsets in zip(letters, encoded["input_ids"], encoded["offset_mapping"], strict=True):
        start = next((at for at, (_, end) in enumerate(offsets) if end > len(context)), len(ids))
        if not start + len(begin) or start == len(ids):
            raise UserError(f"{example.name}: its context or ending {letter} has no token; give both some text")
        found[ENDING_KEY + letter] = Continuation(context=(*begin, *ids[:start]), ids=tuple(ids[start:]))
    return found


def _prediction(item: ChoiceItem, likelihoods: Mapping[str, float]) -> Prediction:
    letters = {name.removeprefix(LETTER_KEY): value for name, value in likelihoods.items() if name.startswith(LETTER_KEY)}
    return Prediction(
        name=item.name,
        prompt=item.prompt,
        expected=item.expected,
        generated=max(letters, key=letters.__getitem__),
        stopped=True,
        tokens=0,
        likelihoods=likelihoods,
    )


def _forward(
    model: nn.Module, rows: Sequence[Sequence[int]], asked: Sequence[tuple[int, Continuation]], pad_id: int
) -> list[float]:
    """Return the log-likelihoods of continuations, each with its place among the rows, from one forward."""
    inner, width = core(model), max(map(len, rows))
    places = sorted({row * width + at for row, choice in asked for at in range(len(choice.context) - 1, len(choice.row))})
    order = {place: at for at, place in enumerate(places)}
    padded = torch.tensor([[*row, *[pad_id] * (width - len(row))] for row in rows], device=inner.device)
    with _logits_at(model, torch.tensor(places, device=inner.device)):
        logits: Tensor = model(input_ids=padded, use_cache=False).logits.flatten(0, -2)
    values: list[float] = []
    for row, choice in asked:
        start = order[row * width + len(choice.context) - 1]
        own = logits[start : start + len(choice.ids)]
        own = own if own.dtype == torch.float64 else own.float()
        ids = torch.tensor(choice.ids, device=own.device)[:, None]
        values.append(own.log_softmax(-1).gather(1, ids).sum().item())
    return values


@contextmanager
def _logits_at(model: nn.Module, places: Tensor) -> Iterator[None]:
    """Make logits only at these indices into the flattened (row token): those of all tokens would fill the memory."""

    def keep(module: nn.Module, arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        del module
        return (arguments[0].flatten(0, 1)[places][None], *arguments[1:])

    handle = output_layer(core(model)).register_forward_pre_hook(keep)
    try:
        yield
    finally:
        handle.remove()
