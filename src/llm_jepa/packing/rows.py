"""How the samples of a batch share rows: a value for each kind of attention, chosen once and given to the collator."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from heapq import heappop, heapreplace

import torch

from llm_jepa.errors import UserError
from llm_jepa.packing.batch import PackedBatch

BLOCK = 128
"""Tokens of a block of FlexAttention, and so the grain of its rows."""

GRAINS = 8
"""Row lengths of `Blocks` between two powers of two: pads are at most an eighth of a long row, and shapes are few."""


class Rows(ABC):
    """How many samples of a batch share a row, and how long a row is."""

    @abstractmethod
    def samples_per_row(self, lengths: Sequence[int]) -> int:
        """Return how many samples of these lengths, in tokens, share a row; at least 1."""

    def length(self, longest: int) -> int:
        """Return the length of all rows where the longest is filled with `longest` tokens; no less than that."""
        return longest

    def finish(self, batch: PackedBatch) -> PackedBatch:
        """Return the packed batch with what else the attention wants to be told."""
        return batch

    def counted(self, count: int) -> "Rows":
        """Return the same with a fixed number of samples to a row."""
        return Counted(count)


@dataclass(frozen=True, slots=True)
class Counted(Rows):
    """A fixed number of samples to a row.

    Attributes:
        count: that number.
    """

    count: int = 1

    def samples_per_row(self, lengths: Sequence[int]) -> int:
        """Return the number."""
        del lengths
        return self.count


ONE_EACH = Counted()
"""A row for every sample."""


@dataclass(frozen=True, slots=True)
class Cheapest(Rows):
    """As many as save padding, few enough to keep dense attention cheap: for masks that are squares of the row.

    Sharing rows evens out their lengths, so fewer pads are computed; but attention grows with the row. The cost of a batch
    is taken as positions x (1 + row / (2 x width)): the operations of attention against those of everything else in a
    transformer of that width, times the three that dense attention costs more on a CPU.

    Attributes:
        width: the model's hidden size.

    Example:
        >>> Cheapest(576).samples_per_row([80, 50, 60, 70]), Cheapest(64).samples_per_row([80, 50, 60, 70])
        (2, 1)
    """

    width: int

    def samples_per_row(self, lengths: Sequence[int]) -> int:
        """Return the cheapest of 1, 2, 3, 4, 6 and 8."""
        if not lengths:
            return 1

        order = _longest_first(lengths)

        def cost(limit: int) -> float:
            rows = [0] * -(-len(lengths) // limit)
            for index, row in enumerate(_in_order(lengths, order, len(rows), limit)):
                rows[row] += lengths[index]
            return len(rows) * max(rows) * (1 + max(rows) / (2 * self.width))

        return min((limit for limit in (1, 2, 3, 4, 6, 8) if limit <= len(lengths)), key=cost)


@dataclass(frozen=True, slots=True)
class OneRow(Rows):
    """The whole batch in one row: for attention that computes little more than what is seen, however long the row.

    There is then nothing to gain from a second row, and no pad.

    Attributes:
        count: samples to a row all the same; None for all of them.
    """

    count: int | None = None

    def samples_per_row(self, lengths: Sequence[int]) -> int:
        """Return the number of samples."""
        return self.count or max(len(lengths), 1)

    def counted(self, count: int) -> Rows:
        """Return the same with a fixed number of samples to a row."""
        return replace(self, count=count)


@dataclass(frozen=True, slots=True)
class Blocks(OneRow):
    """One row of blocks: for attention that computes only the blocks in which something is visible.

    The row is filled up to a multiple of a block, and a long one to a multiple of an eighth of the power of two below it, so
    that kernels which are compiled for a shape meet few of them.

    Example:
        >>> [Blocks().length(longest) for longest in (1, 128, 129, 1025, 5000)]
        [128, 128, 256, 1152, 5120]
    """

    def length(self, longest: int) -> int:
        """Return `longest`, rounded up."""
        octave = 1 << max(longest - 1, 0).bit_length()  # the power of two at or above it
        grain = max(BLOCK, octave // 2 // GRAINS)
        return -(-longest // grain) * grain


@dataclass(frozen=True, slots=True)
class Segments(OneRow):
    """One row, unpadded, with the borders of its segments: for kernels that take no mask at all."""

    def finish(self, batch: PackedBatch) -> PackedBatch:
        """Return the batch with its borders.

        Raises:
            UserError: a segment sees a prefix of another, which borders cannot say.
        """
        seen = batch.visibility
        if bool((seen.prefix_start != seen.segment_start).any()):
            raise UserError(
                "FlashAttention cannot let a segment see a prefix of another, as the shared layout does: set "
                "`layout.shared: false`, or `model.attention` to 'flex_attention' or 'sdpa'"
            )
        tokens = torch.arange(seen.segment_start.numel())
        rows, length = seen.segment_start.shape
        begins = seen.segment_start.flatten() == tokens % length
        ends = torch.tensor([rows * length])
        return replace(batch, borders=torch.cat([tokens[begins], ends]).to(torch.int32))


def spread_evenly(lengths: Sequence[int], rows: int, limit: int) -> Sequence[int]:
    """Return the row of every sample: the longest first, each into the shortest row that has room."""
    return _in_order(lengths, _longest_first(lengths), rows, limit)


def _longest_first(lengths: Sequence[int]) -> list[int]:
    return sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))


def _in_order(lengths: Sequence[int], order: Sequence[int], rows: int, limit: int) -> Sequence[int]:
    """Return the row of every sample, put in this order, each into the shortest row that has room."""
    if limit == 1:
        return range(len(lengths))
    filled = [(0, row) for row in range(rows)]  # a heap of the rows that have room
    counts, chosen = [0] * rows, [0] * len(lengths)
    for index in order:
        tokens, row = filled[0]
        chosen[index] = row
        counts[row] += 1
        if counts[row] < limit:
            heapreplace(filled, (tokens + lengths[index], row))
        else:
            heappop(filled)
    return chosen
