"""Example -> Sample: token ids, which of them carry loss, and where each view lies; no torch.

Texts are tokenised once, with character offsets and without adding special tokens (the template holds them already: adding
them again would double BOS). A token belongs to a content when it overlaps it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from itertools import islice
from typing import Any

from transformers import PreTrainedTokenizerBase

from llm_jepa.errors import UserError
from llm_jepa.records import Example, Message, View
from llm_jepa.views.chat import ChatRenderer, Rendering
from llm_jepa.views.encoding import Encoded, Encoder
from llm_jepa.views.locating import Located, Locator
from llm_jepa.views.predictor import PredictorTokens
from llm_jepa.views.special import eos_id, pad_id

_CHUNK = 1000


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
    """A trained sequence.

    Attributes:
        ids: its tokens.
        trained: for every token whether it is to be predicted.
        after: how many tokens stand after the stop token; 0 unless the whole rendering is kept.
    """

    ids: tuple[int, ...]
    trained: tuple[bool, ...]
    after: int = 0

    @property
    def stop(self) -> int:
        """The token that ends the answer."""
        return self.ids[-1 - self.after]


@dataclass(frozen=True, slots=True)
class MarkedView:
    """A view whose [PRED] tokens are a part of its text, as the chat template renders it alone.

    Attributes:
        ids: all tokens of the rendering.
        end: one past the last token of the content, [PRED] tokens included.
    """

    ids: tuple[int, ...]
    end: int


@dataclass(frozen=True, slots=True)
class TokenView:
    """A view in tokens.

    Attributes:
        ids: the content's tokens, alone.
        framed: what the chat template puts before a single message, then the content's tokens (the official views).
        frame: how many of `framed` stand before the content.
        tail: what the chat template puts after `framed`.
        marked: the same with [PRED] tokens of the vocabulary in it; None without such.
        sequence: index of the sequence that holds the view with no other view before it, else None.
        start: first token of the view in that sequence.
        end: one past its last token.
    """

    ids: tuple[int, ...]
    framed: tuple[int, ...]
    frame: int = 0
    tail: tuple[int, ...] = ()
    marked: MarkedView | None = None
    sequence: int | None = None
    start: int = 0
    end: int = 0


@dataclass(frozen=True, slots=True)
class Sample:
    """An example in tokens.

    Attributes:
        name: where it comes from.
        sequences: its trained sequences, one, or one for each view of a group.
        views: its views.
        predictor: the [PRED] tokens, first to last, where they are tokens of the vocabulary; empty where they are slots.
    """

    name: str
    sequences: tuple[TokenSequence, ...]
    views: tuple[TokenView, ...]
    predictor: tuple[int, ...] = ()


_NOTHING = TokenView((), ())


class Tokenizer:
    """Turns examples into samples with one tokenizer and its chat template.

    Args:
        tokenizer: a fast tokenizer; its chat template must be set.
        labels: which tokens carry the next-token loss.
        arguments: more arguments for the chat template.
        framed: also render every view alone in the chat template (needed by the framed separate layout only).
        predictor: [PRED] tokens of the vocabulary, to put into the text of framed views; None for slots.
        add_bos: put the tokenizer's BOS before what a template rendered, as tokenising it with special tokens does; it then
            stands there twice if the template has one too (the official code).
        whole_rendering: tokenise prompt and answer in one go, and keep what the template puts after the stop token (the
            official code).

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
        predictor: PredictorTokens | None = None,
        add_bos: bool = False,
        whole_rendering: bool = False,
    ) -> None:
        if not tokenizer.is_fast:
            raise UserError("the tokenizer has no fast version, which gives character offsets; convert it with `tokenizers`")
        if not tokenizer.chat_template:
            raise UserError("the tokenizer has no chat template; set `model.template: plain` or a template file")
        self.tokenizer = tokenizer
        self.renderer = ChatRenderer(tokenizer, arguments)
        self._encoder = Encoder(tokenizer)
        self._locator = Locator(tokenizer, self._encoder)
        self._labels = labels
        self._framed, self._whole = framed, whole_rendering
        self._predictor = predictor
        known = {} if predictor is None else tokenizer.get_vocab()
        self._ids = () if predictor is None else tuple(known[name] for name in predictor.names)
        self._special = frozenset(tokenizer.all_special_ids) | {
            index for index, token in tokenizer.added_tokens_decoder.items() if token.special
        }
        first = tokenizer("a")["input_ids"][:1]
        self._eos = eos_id(tokenizer)
        self._bos = tuple(first) if first == [tokenizer.bos_token_id] else ()
        self._added = self._bos if add_bos else ()

    def samples(self, examples: Iterable[Example]) -> Iterator[Sample]:
        """Yield the sample of each example, in order; tokenises many texts at a time."""
        remaining = iter(examples)
        while chunk := list(islice(remaining, _CHUNK)):
            yield from self._chunk(chunk)

    def prompt_ids(self, example: Example) -> list[int]:
        """Return the tokens given to the model to generate this example's answer."""
        if not example.messages:
            return list(self._bos)
        return [*self._added, *self._encoder.encode([self.prompt_text(example)])[0].ids]

    def depends_on(self, example: Example) -> dict[str, Any]:
        """Return what samples depend on besides their examples; of one of those the texts, which may hold today's date."""
        return {
            "tokens": self._encoder.serialized(),
            "template": self.tokenizer.chat_template,
            "arguments": self.renderer.arguments,
            "special": [self.tokenizer.special_tokens_map, sorted(self._special), self._eos, self._bos, self._added],
            "options": [self._labels.name, self._framed, self._whole, self._predictor, self._ids],
            "texts": [self.prompt_text(example), *(self._frame(view, example.name).text for view in example.views)],
        }

    def prompt_text(self, example: Example) -> str:
        """Return the prompt as text."""
        if not example.messages:
            return ""
        return self.renderer.prompt(example.prompt, where=example.name)

    def _chunk(self, examples: Sequence[Example]) -> Iterator[Sample]:
        talks = [example for example in examples if example.messages]
        renderings = self.renderer.render_all(
            [example.messages for example in talks], where=[example.name for example in talks]
        )
        if self._whole:
            renderings = [replace(rendering, asked=0, skeleton=None) for rendering in renderings]
        located = iter(self._locator.conversations(renderings))
        pending = [(view, example.name) for example in examples for view in example.views if self._is_alone(view)]
        made = iter(self._views(pending))
        for example in examples:
            alone = [next(made) if self._is_alone(view) else _NOTHING for view in example.views]
            if example.messages:
                yield self._conversation(example, next(located).behind(self._added), alone)
            else:
                yield self._group(example, alone)

    def _is_alone(self, view: View) -> bool:
        """Return whether the view is tokenised by itself; else its tokens are a part of the trained sequence's."""
        return self._framed or view.message is None

    def _views(self, views: Sequence[tuple[View, str]]) -> list[TokenView]:
        """Return views that are tokenised by themselves, with [PRED] tokens in their text too where it takes any."""
        plain = [_alone(*rendered, name) for rendered, (_, name) in zip(self._frames(views), views, strict=True)]
        predictor = self._predictor
        if predictor is None or not self._framed:
            return plain
        marked = self._frames([(replace(view, content=predictor.put(view.content)), name) for view, name in views])
        return [
            replace(view, marked=MarkedView(tuple(tokens.ids), tokens.span(*rendering.spans[0])[1]))
            for view, (rendering, tokens) in zip(plain, marked, strict=True)
        ]

    def _frames(self, views: Sequence[tuple[View, str]]) -> list[tuple[Rendering, Encoded]]:
        renderings = [self._frame(view, name) for view, name in views]
        tokens = self._encoder.encode([rendering.text for rendering in renderings])
        added = [self._added if self._framed and view.role else () for view, _ in views]
        return [(one, other.behind(bos)) for one, other, bos in zip(renderings, tokens, added, strict=True)]

    def _frame(self, view: View, where: str) -> Rendering:
        if not (self._framed and view.role):
            return Rendering(view.content, ((0, len(view.content)),))
        return self.renderer.alone(Message(role=view.role, content=view.content), where=where)

    def _conversation(self, example: Example, tokens: Located, alone: Sequence[TokenView]) -> Sample:
        sequence = self._trained(tokens, example.name)
        ids, spans = sequence.ids, tokens.spans
        located = [None if view.message is None else spans[view.message] for view in example.views]
        earliest = min([span[0] for span in located if span], default=-1)
        views: list[TokenView] = []
        for view, span in zip(alone, located, strict=True):
            if span is None:
                views.append(view)
                continue
            start, end = span
            if start == end:
                raise UserError(f"{example.name}: a view has no token of its own; give it some text")
            place = 0 if start == earliest else None
            views.append(TokenView(ids[start:end], view.framed, view.frame, view.tail, view.marked, place, start, end))
        return Sample(example.name, (sequence,), tuple(views), self._ids)

    def _trained(self, tokens: Located, where: str) -> TokenSequence:
        start, end = tokens.spans[-1]
        if end <= start:
            raise UserError(f"{where}: the answer has no token of its own; give it some text")
        stop = next((index for index, token in enumerate(tokens.ids[end:], end) if token in self._special), None)
        if stop is None:
            ids = (*tokens.ids[:end], self._eos)
            return TokenSequence(ids, self._mark(ids, start))
        after = len(tokens.ids) - 1 - stop if self._whole else 0
        ids = tuple(tokens.ids[: stop + 1 + after])
        return TokenSequence(ids, self._mark(ids, start, after), after)

    def _mark(self, ids: tuple[int, ...], start: int, after: int = 0) -> tuple[bool, ...]:
        if self._labels is Labels.all:
            return (False, *(True,) * (len(ids) - 1))
        if self._labels is Labels.answer:
            first = max(start, 1)
            return (False,) * first + (True,) * (len(ids) - first - after) + (False,) * after
        ignored = pad_id(self.tokenizer)
        return tuple(index >= 1 and token != ignored for index, token in enumerate(ids))

    def _group(self, example: Example, alone: Sequence[TokenView]) -> Sample:
        sequences: list[TokenSequence] = []
        views: list[TokenView] = []
        for index, view in enumerate(alone):
            ids = (*self._bos, *view.ids, self._eos)
            sequences.append(TokenSequence(ids, self._mark(ids, 1)))
            views.append(replace(view, sequence=index, start=len(self._bos), end=len(ids) - 1))
        return Sample(example.name, tuple(sequences), tuple(views), self._ids)


def _alone(rendering: Rendering, tokens: Encoded, where: str) -> TokenView:
    start, end = tokens.span(*rendering.spans[0])
    if end <= start:
        raise UserError(f"{where}: a view has no token of its own; give it some text")
    ids = tuple(tokens.ids)
    return TokenView(ids[start:end], ids[:end], start, ids[end:])
