"""Attention over one packed row in pieces, on CPUs: little is computed that no token sees.

A dense mask over a row costs the square of the row, most of which is hidden: the later half of every segment, and all that
lies between segments. Here rows are cut between segments. A segment that sees itself alone is attended to causally, without
a mask; neighbours that hang on a prefix, or are too short to be worth a call each, share one. So a row of many samples costs
what its samples cost, and a whole micro-batch is one row without a pad (`packing.rows.OneRow`).

On GPUs that is FlexAttention's work (`model.flex`), in one call instead of one a piece.
"""

from bisect import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers.integrations.sdpa_attention import repeat_kv, sdpa_attention_forward

from llm_jepa.errors import UserError
from llm_jepa.packing.mask import Visibility

CALL = 4096
"""What one more call costs, in products of a query with a key (docs/results.md, choices)."""

NEIGHBOURS = 8
"""Segments that share a call, at most."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Consecutive tokens of a row, from `start` to before `end`.

    Attributes:
        start: the first.
        end: one past the last.
        sees: the first token that they see.
        apart: each sees itself alone, as pads do; else each sees all of the segment up to itself.
    """

    start: int
    end: int
    sees: int
    apart: bool = False


@dataclass(frozen=True, slots=True)
class Piece:
    """Consecutive queries of a row, and the keys that they are compared with.

    Attributes:
        tokens: number of queries.
        first: index of the piece whose first token is the first key; the last key is the last query.
        mask: which keys each query sees, (query, key); None where it sees all up to itself.
    """

    tokens: int
    first: int
    mask: Tensor | None


@dataclass(frozen=True, slots=True)
class Pieces:
    """The pieces of every row, in its order; takes the place of the mask in transformers' models.

    Attributes:
        rows: what is attended to one after the other.
        visibility: what they were made of.
        window: the sliding window of the layers that they are for; None for full attention.
    """

    rows: tuple[tuple[Piece, ...], ...]
    visibility: Visibility
    window: int | None

    @staticmethod
    def of(visibility: Visibility, window: int | None) -> "Pieces":
        """Cut the rows of `visibility`, which is on a CPU, so that the pieces of each cost least together."""
        rows = range(visibility.segment_start.shape[0])
        return Pieces(tuple(tuple(_pieces(visibility, row, window)) for row in rows), visibility, window)

    def dense(self) -> Tensor:
        """Return the mask of whole rows."""
        return self.visibility.mask(self.window)


def _pieces(visibility: Visibility, row: int, window: int | None) -> Iterator[Piece]:
    groups = cheapest(segments(visibility, row), CALL)
    starts = [group[0].start for group in groups]
    sees = visibility.sees(window)
    for group in groups:
        start, end, low = group[0].start, group[-1].end, min(segment.sees for segment in group)
        first = bisect(starts, low) - 1
        mask = None
        if not _is_causal(group) or (window is not None and end - start > window):
            query, key = torch.arange(start, end)[:, None], torch.arange(starts[first], end)
            mask = sees(torch.tensor(row), None, query, key)
        yield Piece(end - start, first, mask)


def segments(visibility: Visibility, row: int) -> list[Segment]:
    """Return the segments of a row, in its order; neighbours of one token that see themselves alone are made one."""
    start, prefix, end = (getattr(visibility, name)[row] for name in ("segment_start", "prefix_start", "prefix_end"))
    first = (start == torch.arange(len(start))).nonzero().flatten()
    sees = torch.where(end > prefix, prefix, start)[first].tolist()
    bounds = [*first.tolist(), len(start)]
    found: list[Segment] = []
    for (begin, after), low in zip(pairwise(bounds), sees, strict=True):
        apart = after - begin == 1 and low == begin
        if apart and found and found[-1].apart:
            found[-1] = replace(found[-1], end=after)
        else:
            found.append(Segment(begin, after, low, apart))
    return found


def cheapest(row: Sequence[Segment], call: int) -> list[Sequence[Segment]]:
    """Return the row in groups of neighbours whose products and calls cost least together.

    Args:
        row: its segments in order.
        call: what a call costs, in products.

    Example:
        >>> sequence, slot, code = Segment(0, 90, 0), Segment(90, 91, 0), Segment(91, 131, 91)
        >>> [[len(group) for group in cheapest([sequence, slot, code], call)] for call in (0, 4096, 9999)]
        [[1, 1, 1], [2, 1], [3]]
    """
    best: list[tuple[float, int]] = [(0.0, 0)]  # the least cost of the first n segments, and where their last group begins
    for count in range(1, len(row) + 1):
        begins = range(max(0, count - NEIGHBOURS), count)
        best.append(min((best[begin][0] + call + _products(row[begin:count]), begin) for begin in begins))
    groups: list[Sequence[Segment]] = []
    count = len(row)
    while count:
        begin = best[count][1]
        groups.append(row[begin:count])
        count = begin
    return groups[::-1]


def _is_causal(group: Sequence[Segment]) -> bool:
    return len(group) == 1 and group[0].sees == group[0].start and not group[0].apart


def _products(group: Sequence[Segment]) -> float:
    tokens = group[-1].end - group[0].start
    return tokens * tokens / 2 if _is_causal(group) else tokens * (group[-1].end - min(part.sees for part in group))


def pieces_forward(  # noqa: PLR0913 - what transformers hands to every attention
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Pieces | Tensor | None,
    *,
    dropout: float = 0.0,
    scaling: float | None = None,
    position_bias: Tensor | None = None,
    **options: Any,
) -> tuple[Tensor, Tensor | None]:
    """Attend as transformers' `sdpa_attention_forward` does, whose arguments these are, and refuse what that refuses.

    Args:
        module: the attention layer.
        query: (row, head, token, width of a head).
        key: (row, key head, token, width).
        value: as key.
        attention_mask: pieces, or what `sdpa` takes.
        dropout: of the weights.
        scaling: of the scores.
        position_bias: added to the scores; the rows are then attended to whole.
        options: for `sdpa`.

    Returns:
        (row, token, head, width), and no weights.

    Raises:
        UserError: the layer wants a softcap, which sdpa lacks.
    """
    if options.get("softcap") is not None:  # the lowest transformers would leave it out
        raise UserError("sdpa has no softcap; set `model.attention` to 'eager', or to 'flex_attention' on a GPU")
    given = {"dropout": dropout, "scaling": scaling}
    if not isinstance(attention_mask, Pieces):
        bias = {} if position_bias is None else {"position_bias": position_bias}
        return sdpa_attention_forward(module, query, key, value, attention_mask, **given, **bias, **options)
    if position_bias is not None:
        mask = attention_mask.dense()
        return sdpa_attention_forward(module, query, key, value, mask, **given, position_bias=position_bias, **options)

    groups = getattr(module, "num_key_value_groups", 1)
    key, value = repeat_kv(key, groups), repeat_kv(value, groups)
    rows = zip(attention_mask.rows, query.split(1), key.split(1), value.split(1), strict=True)
    return torch.cat([_row(*row, dropout=dropout, scaling=scaling) for row in rows]), None


def _row(
    pieces: Sequence[Piece], query: Tensor, key: Tensor, value: Tensor, *, dropout: float, scaling: float | None
) -> Tensor:
    """Return what one row attends to, (1, token, head, width)."""
    sizes = [piece.tokens for piece in pieces]
    queries, keys, values = (part.split(sizes, dim=2) for part in (query, key, value))
    attended = [
        scaled_dot_product_attention(
            queries[index],
            _joined(keys[piece.first : index + 1]),
            _joined(values[piece.first : index + 1]),
            attn_mask=piece.mask,
            dropout_p=dropout,
            is_causal=piece.mask is None,
            scale=scaling,
        )
        for index, piece in enumerate(pieces)
    ]
    return torch.cat([part.transpose(1, 2) for part in attended], dim=1)


def _joined(parts: Sequence[Tensor]) -> Tensor:
    """Return keys or values of consecutive pieces; those of one are no copy."""
    return parts[0] if len(parts) == 1 else torch.cat(list(parts), dim=2)
