"""Samples of real lengths without a tokenizer: a word or a sign is a token, and its id is drawn from its letters.

Speed depends on how many tokens there are, not on which. Everything else is as in training: Text, Code, what stands around
them, and the label tokens.
"""

import gzip
import json
import re
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from llm_jepa.tasks.nl_regex import splits
from llm_jepa.views.tokenize import Sample, TokenSequence, TokenView

FRAME, BETWEEN = 24, 5
"""Tokens of a chat template with a short system message before the Text, and between Text and Code."""

_PIECES = re.compile(r"\w+|[^\w\s]")


def read(path: Path | None, count: int) -> list[tuple[str, str]]:
    """Return pairs of Text and Code.

    Args:
        path: JSON lines, also .gz, whose `messages` end with the user's and the assistant's; None: generated sentences.
        count: most pairs.
    """
    if path is None:
        examples = splits(train=count, validation=0, test=0, seed=0).train
        return [(example.views[0].content, example.views[1].content) for example in examples]
    return list(_rows(path))[:count]


def _rows(path: Path) -> Iterator[tuple[str, str]]:
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            messages = json.loads(line)["messages"]
            yield messages[-2]["content"], messages[-1]["content"]


def samples(pairs: Sequence[tuple[str, str]], *, vocabulary: int, predicted: int = 4) -> list[Sample]:
    """Return the samples of pairs.

    Args:
        pairs: Text and Code.
        vocabulary: number of tokens; the first `predicted` are special.
        predicted: number of special tokens: pad, begin, between, stop.
    """

    def ids(text: str) -> tuple[int, ...]:
        words = _PIECES.findall(text) or ["."]
        return tuple(predicted + zlib.crc32(word.encode()) % (vocabulary - predicted) for word in words)

    return [_sample(f"{index}", ids(text), ids(code)) for index, (text, code) in enumerate(pairs)]


def _sample(name: str, text: tuple[int, ...], code: tuple[int, ...]) -> Sample:
    before, between = (1,) * FRAME, (2,) * BETWEEN
    sequence = (*before, *text, *between, *code, 3)
    start = FRAME + len(text) + BETWEEN
    trained = tuple(index >= start for index in range(len(sequence)))
    first = TokenView(text, (*before, *text), FRAME, sequence=0, start=FRAME, end=FRAME + len(text))
    second = TokenView(code, (*before, *code), FRAME, start=start, end=start + len(code))
    return Sample(name, (TokenSequence(sequence, trained),), (first, second))
