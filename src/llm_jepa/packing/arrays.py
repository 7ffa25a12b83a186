"""Segments that know their row -> the tensors of a batch, in whole arrays: no step in Python for a single token.

A segment's numbers (its row, where it starts, what it sees) are repeated over its tokens, and every token is written to its
place in the flattened (row token) at once. What no token is written to is a pad, which sees itself alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from llm_jepa.packing.batch import PackedBatch
from llm_jepa.packing.layout import Forest
from llm_jepa.packing.mask import Visibility

Place = tuple[int, int]
"""(row, first token)."""

_INTEGER = np.int64
_COLUMNS = ("segment_start", "prefix_start", "prefix_end", "position")


def longest(tokens: int) -> int:
    """Return the tokens of the longest row: no row is longer."""
    return tokens


@dataclass(slots=True)
class Placed:
    """Segments in their rows, as lists that run over segments.

    Attributes:
        ids: the tokens of each, slots as negative numbers.
        trained: for every token whether it carries next-token loss; () for a segment none of whose tokens does.
        numbers: (row, first token, first token of the prefix, tokens of the prefix) of each.
    """

    ids: list[tuple[int, ...]] = field(default_factory=list[tuple[int, ...]])
    trained: list[tuple[bool, ...]] = field(default_factory=list[tuple[bool, ...]])
    numbers: list[tuple[int, int, int, int]] = field(default_factory=list[tuple[int, int, int, int]])

    def add(self, ids: tuple[int, ...], trained: tuple[bool, ...], numbers: tuple[int, int, int, int]) -> None:
        """Add one segment."""
        self.ids.append(ids)
        self.trained.append(trained)
        self.numbers.append(numbers)

    def batch(
        self,
        forests: Sequence[Forest],
        places: Sequence[Sequence[Place]],
        *,
        rows: int,
        pad: int,
        row_length: Callable[[int], int] = longest,
    ) -> PackedBatch:
        """Return the batch.

        Args:
            forests: whose segments these are.
            places: for every forest, for every segment, where its first own token stands: what pairs count from.
            rows: how many rows there are.
            pad: a valid token id.
            row_length: from the tokens of the longest row to the length of all rows.
        """
        lengths = np.fromiter(map(len, self.ids), dtype=_INTEGER, count=len(self.ids))
        flat = np.fromiter(chain.from_iterable(self.numbers), dtype=_INTEGER, count=4 * len(self.numbers))
        row, start, prefix, visible = flat.reshape(-1, 4).T
        length, total = row_length(int((start + lengths).max(initial=1))), int(lengths.sum())
        of = np.repeat(np.arange(len(lengths)), lengths)  # the segment of every token
        inside = np.arange(total) - (lengths.cumsum() - lengths)[of]
        place = (row * length + start)[of] + inside

        tokens = np.full(rows * length, pad, dtype=_INTEGER)
        tokens[place] = np.fromiter(chain.from_iterable(self.ids), dtype=_INTEGER, count=total)
        label_at = self._labels(of, place, inside, len(tokens))
        seen = np.zeros((4, rows, length), dtype=_INTEGER)
        seen[:3] = np.arange(length)
        for column, values in zip(seen.reshape(4, -1), (start, prefix, prefix + visible, visible), strict=True):
            column[place] = values[of]
        seen[3].reshape(-1)[place] += inside
        columns = map(torch.from_numpy, seen)

        base = [[at * length + first for at, first in segments] for segments in places]
        pairs = [(starts, pair) for forest, starts in zip(forests, base, strict=True) for pair in forest.pairs]
        return PackedBatch(
            input_ids=torch.from_numpy(np.where(tokens < 0, pad, tokens).reshape(rows, length)),
            label_at=torch.from_numpy(label_at),
            label=torch.from_numpy(tokens[label_at + 1]),
            slot=torch.from_numpy(np.where(tokens < 0, -tokens - 1, -1).reshape(rows, length)),
            visibility=Visibility(**dict(zip(_COLUMNS, columns, strict=True))),
            predicted=_integers([starts[pair.predicted[0]] + pair.predicted[1] for starts, pair in pairs]),
            target=_integers([starts[pair.target[0]] + pair.target[1] for starts, pair in pairs]),
            sequence=_integers(self._sequences()).reshape(-1, 3),
            tokens=torch.tensor(total),
        )

    def _labels(
        self, of: NDArray[np.int64], place: NDArray[np.int64], inside: NDArray[np.int64], count: int
    ) -> NDArray[np.int64]:
        """Return where label tokens are predicted, in the order of the rows; the first of a segment never is one."""
        chosen = np.fromiter(map(bool, self.trained), dtype=bool, count=len(self.trained))[of]
        chosen[chosen] = np.fromiter(chain.from_iterable(self.trained), dtype=bool)
        chosen &= inside > 0
        is_label = np.zeros(count, dtype=bool)
        is_label[place[chosen]] = True
        return is_label.nonzero()[0] - 1

    def _sequences(self) -> list[tuple[int, int, int]]:
        """Return (row, first token, one past the last) of every segment with labels, in the order of the rows."""
        described = zip(self.ids, self.trained, self.numbers, strict=True)
        return sorted((row, start, start + len(ids)) for ids, trained, (row, start, _, _) in described if trained)


def _integers(values: Sequence[int] | Sequence[tuple[int, int, int]]) -> Tensor:
    return torch.from_numpy(np.array(values, dtype=_INTEGER))
