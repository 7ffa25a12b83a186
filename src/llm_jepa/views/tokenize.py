"""Example -> Sample: token ids, which of them carry loss, and where each view lies; no torch.

Texts are tokenised once, with character offsets and without adding special tokens (the template holds them already: adding
them again would double BOS). A token belongs to a content when it overlaps it.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from itertools import islice
from operator import itemgetter
from typing import Any

from transformers import PreTrainedTokenizerBase

from llm_jepa.errors import UserError
from llm_jepa.records import Example, Message, View
from llm_jepa.views.chat import ChatRenderer, Rendering
from llm_jepa.views.special import eos_id, pad_id

_CHUNK = 1000
_LEFT, _RIGHT = itemgetter(0), itemgetter(1)


class Labels(Enum):
    """Which tokens carry the next-token loss.

    Members:
        answer: the answer and its stop token (the default; what the official script prepares and then overwrites).
        all: every token but the first.
        official: every token but those equal to the pad token, which for many models is the stop token: what the official
            code really trains (docs/fidelity.md).
    """

    answer = "answer"
    all = "all"
    official = "official"


@dataclass(frozen=True, slots=True)
class TokenSequence:
    """A trained sequence: token ids, and for every token whether it is to be predicted."""

    ids: tuple[int, ...]
    trained: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class TokenView:
    """A view in tokens.

    Attributes:
        ids: the content's tokens, alone.
        framed: what the chat template puts before a single message, then the content's tokens (the official views).
        frame: how many of `framed` stand before the content.
        sequence: index of the sequence that holds the view with no other view before it, else None.
        start: first token of the view in that sequence.
        end: one past its last token.
    """

    ids: tuple[int, ...]
    framed: tuple[int, ...]
    frame: int = 0
    sequence: int | None = None
    start: int = 0
    end: int = 0


@dataclass(frozen=True, slots=True)
class Sample:
    """An example in tokens: its trained sequences (one, or one for each view of a group) and its views."""

    name: str
    sequences: tuple[TokenSequence, ...]
    views: tuple[TokenView, ...]


@dataclass(frozen=True, slots=True)
class _Encoded:
    ids: list[int]
    offsets: list[tuple[int, int]]

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Return the tokens (first, one past the last) that overlap the characters start..end."""
        first = bisect_right(self.offsets, start, key=_RIGHT)
        last = bisect_left(self.offsets, end, lo=first, key=_LEFT)
        while first < last and self.offsets[first][0] == self.offsets[first][1]:
            first += 1
        while first < last and self.offsets[last - 1][0] == self.offsets[last - 1][1]:
            last -= 1
        return (first, last) if first < last else (0, 0)


class Tokenizer:
    """Turns examples into samples with one tokenizer and its chat template.

    Args:
        tokenizer: a fast tokenizer; its chat template must be set.
        labels: which tokens carry the next-token loss.
        arguments: more arguments for the chat template.
        framed: also render every view alone in the chat template (needed by the framed separate layout only).

    Raises:
        UserError: no fast tokenizer, no stop token, no chat template.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        *,
        labels: Labels = Labels.answer,
        arguments: Mapping[str, Any] | None = None,
        framed: bool = False,
    ) -> None:
        if not tokenizer.is_fast:
            raise UserError("the tokenizer has no fast version, which gives character offsets; convert it with `tokenizers`")
        if not tokenizer.chat_template:
            raise UserError("the tokenizer has no chat template; set `model.template: plain` or a template file")
        self.tokenizer = tokenizer
        self.renderer = ChatRenderer(tokenizer, arguments)
        self._labels = labels
        self._framed = framed
        self._special = frozenset(tokenizer.all_special_ids) | {
            index for index, token in tokenizer.added_tokens_decoder.items() if token.special
        }
        first = tokenizer("a")["input_ids"][:1]
        self._eos = eos_id(tokenizer)
        self._bos = tuple(first) if first == [tokenizer.bos_token_id] else ()

    def samples(self, examples: Iterable[Example]) -> Iterator[Sample]:
        """Yield the sample of each example, in order; tokenises many texts at a time."""
        remaining = iter(examples)
        while chunk := list(islice(remaining, _CHUNK)):
            yield from self._chunk(chunk)

    def prompt_ids(self, example: Example) -> list[int]:
        """Return the tokens given to the model to generate this example's answer."""
        if not example.messages:
            return list(self._bos)
        return self._encode([self.prompt_text(example)])[0].ids

    def prompt_text(self, example: Example) -> str:
        """Return the prompt as text."""
        if not example.messages:
            return ""
        return self.renderer.prompt(example.prompt, where=example.name)

    def _chunk(self, examples: Sequence[Example]) -> Iterator[Sample]:
        renderings = [self._rendering(example) for example in examples]
        framed = [self._frame(view, example.name) for example in examples for view in example.views if self._is_alone(view)]
        encoded = self._encode([*(rendering.text for rendering in renderings), *(frame.text for frame in framed)])
        frames = iter(zip(framed, encoded[len(renderings) :], strict=True))
        for example, rendering, tokens in zip(examples, renderings, encoded, strict=False):
            alone = [
                _alone(*next(frames), example.name) if self._is_alone(view) else TokenView((), ()) for view in example.views
            ]
            if example.messages:
                yield self._conversation(example, rendering, tokens, alone)
            else:
                yield self._group(example, alone)

    def _is_alone(self, view: View) -> bool:
        """Return whether the view is tokenised by itself; else its tokens are a part of the trained sequence's."""
        return self._framed or view.message is None

    def _rendering(self, example: Example) -> Rendering:
        if not example.messages:
            return Rendering("", ())
        return self.renderer.render(example.messages, where=example.name)

    def _frame(self, view: View, where: str) -> Rendering:
        if not (self._framed and view.role):
            return Rendering(view.content, ((0, len(view.content)),))
        return self.renderer.render([Message(role=view.role, content=view.content)], where=where)

    def _conversation(self, example: Example, rendering: Rendering, tokens: _Encoded, alone: Sequence[TokenView]) -> Sample:
        spans = [tokens.span(*span) for span in rendering.spans]
        sequence = self._trained(tokens, spans[-1], example.name)
        located = [None if view.message is None else spans[view.message] for view in example.views]
        if any(span and span[0] == span[1] for span in located):
            raise UserError(f"{example.name}: a view has no token of its own; give it some text")
        earliest = min((span[0] for span in located if span), default=-1)
        views = tuple(
            _within(view, sequence.ids, span, first=span[0] == earliest) if span else view
            for view, span in zip(alone, located, strict=True)
        )
        return Sample(example.name, (sequence,), views)

    def _trained(self, tokens: _Encoded, answer: tuple[int, int], where: str) -> TokenSequence:
        start, end = answer
        if end <= start:
            raise UserError(f"{where}: the answer has no token of its own; give it some text")
        stop = next((index for index in range(end, len(tokens.ids)) if tokens.ids[index] in self._special), None)
        ids = (*tokens.ids[:end], self._eos) if stop is None else tuple(tokens.ids[: stop + 1])
        return TokenSequence(ids, self._mark(ids, start))

    def _mark(self, ids: tuple[int, ...], start: int) -> tuple[bool, ...]:
        if self._labels is not Labels.official:
            first = max(start, 1) if self._labels is Labels.answer else 1
            return (False,) * first + (True,) * (len(ids) - first)
        ignored = pad_id(self.tokenizer)
        return tuple(index >= 1 and token != ignored for index, token in enumerate(ids))

    def _group(self, example: Example, alone: Sequence[TokenView]) -> Sample:
        sequences: list[TokenSequence] = []
        views: list[TokenView] = []
        for index, view in enumerate(alone):
            ids = (*self._bos, *view.ids, self._eos)
            sequences.append(TokenSequence(ids, self._mark(ids, 1)))
            views.append(replace(view, sequence=index, start=len(self._bos), end=len(ids) - 1))
        return Sample(example.name, tuple(sequences), tuple(views))

    def _encode(self, texts: Sequence[str]) -> list[_Encoded]:
        batch = self.tokenizer(list(texts), add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        return [_Encoded(ids, offsets) for ids, offsets in zip(batch["input_ids"], batch["offset_mapping"], strict=True)]


def _alone(rendering: Rendering, tokens: _Encoded, where: str) -> TokenView:
    start, end = tokens.span(*rendering.spans[0])
    if end <= start:
        raise UserError(f"{where}: a view has no token of its own; give it some text")
    return TokenView(tuple(tokens.ids[start:end]), tuple(tokens.ids[:end]), start)


def _within(view: TokenView, ids: tuple[int, ...], span: tuple[int, int], *, first: bool) -> TokenView:
    start, end = span
    return TokenView(ids[start:end], view.framed, view.frame, 0 if first else None, start, end)
