"""Text -> token ids with their places in the text, and a conversation's tokens in two parts.

At inference the model gets the tokens of the prompt alone, but tokenizers merge across any border: a line break that ends
the template's prompt becomes one token with a line break that begins the answer. So the prompt is tokenised by itself, and
what follows as its continuation; the prompt's tokens begin what is trained, by construction.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from tokenizers import Tokenizer as Backend
from transformers import PreTrainedTokenizerBase

from llm_jepa.errors import UserError
from llm_jepa.views.chat import Rendering

_LEFT, _RIGHT = itemgetter(0), itemgetter(1)
_LEADS = ("", "\n", "a")
"""What stands before a continuation: nothing, or where the tokenizer begins every text with a space of its own (Llama 2) a
line break before a text, and a letter before white space, for these do not merge."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """A text in tokens.

    Attributes:
        ids: its tokens.
        offsets: for every token the (start, end) of what it stands for, in characters.
    """

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

    def behind(self, ids: Sequence[int]) -> "Encoded":
        """Return these tokens with others before them that stand for no text."""
        return Encoded([*ids, *self.ids], [(0, 0)] * len(ids) + self.offsets)

    def then(self, other: "Encoded", *, skip: int, shift: int) -> "Encoded":
        """Return these tokens and behind them the other's, without its first `skip`, moved by `shift` characters."""
        moved = [(start + shift, end + shift) for start, end in other.offsets[skip:]]
        return Encoded(self.ids + other.ids[skip:], self.offsets + moved)


class Encoder:
    """Tokenises without adding special tokens.

    Args:
        tokenizer: a fast tokenizer.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        fast: Any = tokenizer
        self._backend: Backend = fast.backend_tokenizer  # called directly: the wrapper costs a quarter of the speed
        self._leads = {lead: found.ids for lead, found in zip(_LEADS, self.encode(_LEADS), strict=True)}
        line, letter, both = (found.ids for found in self.encode(["\n", "a", "\na"]))
        self._spaced = both != line + letter

    @property
    def spaced(self) -> bool:
        """Whether the tokenizer begins every text with a space of its own."""
        return self._spaced

    def encode(self, texts: Sequence[str]) -> list[Encoded]:
        """Return the tokens of every text."""
        encoded = self._cleared().encode_batch(list(texts), add_special_tokens=False)
        return [Encoded(item.ids, item.offsets) for item in encoded]

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the tokens of every text without their places, which takes a fifth less time."""
        return [item.ids for item in self._cleared().encode_batch_fast(list(texts), add_special_tokens=False)]

    def serialized(self) -> str:
        """Return the tokenizer as JSON."""
        return self._cleared().to_str()

    def _cleared(self) -> Backend:
        """Return the tokenizer without the settings that a call of it by somebody else left behind."""
        backend = self._backend
        backend.no_padding()
        backend.no_truncation()
        backend.encode_special_tokens = False
        return backend

    def conversations(self, renderings: Sequence[Rendering]) -> list[Encoded]:
        """Return the tokens of every rendering, those of its prompt first and by themselves.

        Raises:
            UserError: the tokenizer treats the start of a text in a way of its own that cannot be undone.
        """
        rests = [rendering.text[rendering.asked :] for rendering in renderings]
        leads = [self._lead(rest) if rendering.asked else "" for rendering, rest in zip(renderings, rests, strict=True)]
        texts = [lead + rest for lead, rest in zip(leads, rests, strict=True)]
        encoded = self.encode([*(rendering.text[: rendering.asked] for rendering in renderings), *texts])
        return [
            self._joined(prompt, rest, lead, rendering.asked)
            for prompt, rest, lead, rendering in zip(
                encoded[: len(rests)], encoded[len(rests) :], leads, renderings, strict=True
            )
        ]

    def _lead(self, text: str) -> str:
        return _LEADS[self._spaced * (1 + text[:1].isspace())]

    def _joined(self, prompt: Encoded, rest: Encoded, lead: str, asked: int) -> Encoded:
        known = self._leads[lead]
        if rest.ids[: len(known)] != known:
            raise UserError(
                "the tokenizer cannot tokenise an answer apart from its prompt: it adds something to the start of a text "
                "and merges across lines; take the tokenizer that the model was made with"
            )
        return prompt.then(rest, skip=len(known), shift=asked - len(lead))
