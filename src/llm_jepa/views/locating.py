"""Rendered conversations -> their tokens, and in which of them every content lies: fast where that is exact.

Most of a conversation is the template's, and the same every time. A tokenizer takes special tokens out of a text first and
tokenises what is between them by itself, so the text falls apart there: what holds no content is tokenised once, and only
the parts with contents are given to the tokenizer, many of them as one text with a special token between any two. Where
a content begins is then told by counting the tokens of what stands before it, without any offsets.

Whether a text does fall apart is a matter of the special token: it must not eat what stands beside it (`lstrip`, `rstrip`),
nor be found as a part of another. A template whose borders are no such tokens is tokenised whole, and so is a conversation
with a content that does not begin where it should. The first conversations of every kind are tokenised both ways.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from llm_jepa.views.chat import Rendering, Skeleton
from llm_jepa.views.encoding import Encoder

COMPARED = 16
"""So many conversations of every sequence of roles are tokenised in both ways."""

_JOINED = 16
"""Parts to a text: more save nothing, and long texts cost more than they should."""


@dataclass(frozen=True, slots=True)
class Located:
    """A conversation in tokens.

    Attributes:
        ids: its tokens.
        spans: for every message the tokens (first, one past the last) of its content; (0, 0) for one without any.
    """

    ids: Sequence[int]
    spans: Sequence[tuple[int, int]]

    def behind(self, ids: Sequence[int]) -> "Located":
        """Return these tokens with others before them."""
        moved = len(ids)
        return Located([*ids, *self.ids], [(a + moved, b + moved) for a, b in self.spans]) if ids else self


@dataclass(frozen=True, slots=True)
class _Part:
    """What stands before one content: tokens that are always the same, then text that is tokenised together with it."""

    message: int
    ids: list[int]
    text: str
    length: int
    known: list[int]


@dataclass(frozen=True, slots=True)
class _Parts:
    """A skeleton, taken apart: a part for every content in the order of the text, and the token that ends the answer."""

    parts: tuple[_Part, ...]
    stop: int


class Locator:
    """Tokenises rendered conversations.

    Args:
        tokenizer: a fast tokenizer.
        encoder: the same, as it is called.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, encoder: Encoder) -> None:
        self._encoder = encoder
        self._borders = _borders(tokenizer)
        self._names = {index: name for name, index in self._borders.items()}
        self._between = next(iter(self._borders), "")
        self._special = frozenset(tokenizer.all_special_ids)
        self._parts: dict[Skeleton, _Parts | None] = {}

    def conversations(self, renderings: Sequence[Rendering]) -> list[Located]:
        """Return the tokens of every conversation, those of its prompt first and as they are without the answer."""
        for rendering in renderings:
            if rendering.skeleton is not None and rendering.skeleton not in self._parts:
                self._learn(rendering.skeleton, [one for one in renderings if one.skeleton is rendering.skeleton])
        located = self._quick(renderings)
        rest = [index for index, found in enumerate(located) if found is None]
        for index, found in zip(rest, self._whole([renderings[index] for index in rest]), strict=True):
            located[index] = found
        return [found for found in located if found is not None]

    def _whole(self, renderings: Sequence[Rendering]) -> list[Located]:
        encoded = self._encoder.conversations(renderings)
        return [
            Located(tokens.ids, [tokens.span(*span) for span in rendering.spans])
            for rendering, tokens in zip(renderings, encoded, strict=True)
        ]

    def _quick(self, renderings: Sequence[Rendering]) -> list[Located | None]:
        """Return conversations taken apart, and None for those that cannot be."""
        places: dict[str, int] = {}
        wanted: list[tuple[_Parts, list[int]] | None] = []
        for rendering in renderings:
            parts = None if rendering.skeleton is None else self._parts[rendering.skeleton]
            if parts is None:
                wanted.append(None)
                continue
            contents = rendering.contents
            texts = [part.text + contents[part.message] for part in parts.parts]
            wanted.append((parts, [places.setdefault(text, len(places)) for text in texts]))
        encoded = self._joined(list(places))
        return [
            None if found is None else _put_together(rendering, found[0], [encoded[index] for index in found[1]])
            for rendering, found in zip(renderings, wanted, strict=True)
        ]

    def _joined(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the tokens of every text as they are behind a border."""
        between = self._between
        groups = [texts[at : at + _JOINED] for at in range(0, len(texts), _JOINED)]
        encoded = self._encoder.ids([between + between.join(group) for group in groups])
        found: list[list[int]] = []
        for group, ids in zip(groups, encoded, strict=True):
            parts = _between(ids, self._borders[between])
            if len(parts) != len(group):  # a text holds the border itself
                parts = [ids[1:] for ids in self._encoder.ids([between + text for text in group])]
            found += parts
        return found

    def _learn(self, skeleton: Skeleton, examples: Sequence[Rendering]) -> None:
        """Take a skeleton apart, and see with conversations of its kind whether that is right."""
        self._parts[skeleton] = self._take_apart(skeleton)
        if self._parts[skeleton] is None:
            return
        compared = examples[:COMPARED]
        whole = self._whole(compared)
        for quick, slow in zip(self._quick(compared), whole, strict=True):
            if quick is not None and not self._same(quick, slow):
                self._parts[skeleton] = None
                return

    @staticmethod
    def _same(quick: Located, slow: Located) -> bool:
        return list(quick.ids) == list(slow.ids[: len(quick.ids)]) and list(quick.spans) == list(slow.spans)

    def _take_apart(self, skeleton: Skeleton) -> _Parts | None:
        if self._encoder.spaced or skeleton.unasked != 0 or skeleton.order[-1] != len(skeleton.order) - 1:
            return None
        parts: list[_Part] = []
        *before, answer, last = skeleton.pieces
        for index, piece in enumerate(before):
            part = self._part(piece, skeleton.order[index], first=index == 0)
            if part is None:
                return None
            parts.append(part)
        tail = self._part(answer, skeleton.order[-1], first=not before)
        closing = self._part(last, 0, first=False)
        if tail is None or closing is None or closing.ids[0] not in self._special:
            return None
        # The prompt ends here: what stands behind its last border is tokenised without the answer.
        parts.append(_Part(tail.message, tail.ids + tail.known, "", 0, []))
        return _Parts(tuple(parts), closing.ids[0])

    def _part(self, piece: str, message: int, *, first: bool) -> _Part | None:
        """Return a piece of the template that begins with a border, or else with a text's beginning; None if it does not."""
        (encoded,) = self._encoder.encode([piece])
        borders = [at for at, token in enumerate(encoded.ids) if token in self._names]
        if not borders or (encoded.offsets[borders[0]][0] and not first):
            return None
        end = borders[-1] + 1
        text = piece[encoded.offsets[borders[-1]][1] :]
        known = self._encoder.ids([self._between + text])[0][1:]
        return _Part(message, encoded.ids[:end], text, len(known), known)


def _put_together(rendering: Rendering, parts: _Parts, encoded: Sequence[list[int]]) -> Located | None:
    """Return a conversation of its parts; None where a content does not begin where its tokens do."""
    ids: list[int] = []
    spans = [(0, 0)] * len(encoded)
    for part, own in zip(parts.parts, encoded, strict=True):
        content = rendering.contents[part.message]
        if not content or content[0].isspace() or content[-1].isspace() or own[: part.length] != part.known:
            return None
        ids += part.ids
        start = len(ids)
        ids += own
        spans[part.message] = (start + part.length, len(ids))
    ids.append(parts.stop)
    return Located(ids, spans)


def _between(ids: list[int], border: int) -> list[list[int]]:
    """Return what stands behind each border; the first token is one."""
    found: list[list[int]] = []
    start = 1
    try:
        while True:
            end = ids.index(border, start)
            found.append(ids[start:end])
            start = end + 1
    except ValueError:
        found.append(ids[start:])
    return found


def _borders(tokenizer: PreTrainedTokenizerBase) -> dict[str, int]:
    """Return the added tokens at which every text falls apart, whatever stands beside them, special ones first."""
    added = tokenizer.added_tokens_decoder
    names = [token.content for token in added.values()]
    plain = [
        (not token.special, index, token.content)
        for index, token in added.items()
        if not (token.lstrip or token.rstrip or token.single_word or token.normalized)
    ]
    return {name: index for _, index, name in sorted(plain) if not any(_joins(other, name) for other in names)}


def _joins(other: str, name: str) -> bool:
    """Return whether another token could be found in a text in the place of this one, or of a part of it."""
    if other == name:
        return False
    return name in other or any(other.endswith(name[:size]) for size in range(1, len(name)))
