"""Segments -> what each token sees, from three integers a token; no L x L data is ever collated.

With `segment_start`, `prefix_start`, `prefix_end` of the query q, a key k is visible when

    k <= q  and  (k >= segment_start[q]  or  prefix_start[q] <= k < prefix_end[q])

and, in a layer with a sliding window w, position[q] - position[k] < w. For `[t t | c]  <- [p]  [c]` (Text t, Code c, one
slot p that sees the Text, Code alone):

        t t c p c
    t   1
    t   1 1
    c   1 1 1
    p   1 1 . 1
    c   . . . . 1

The same formula is FlexAttention's mask function.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from jaxtyping import Bool, Int
from torch import Tensor

Sees: TypeAlias = Callable[[Tensor, Tensor | None, Tensor, Tensor], Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Visibility:
    """What each token of a packed batch sees; indices count from the start of the row, positions along the path.

    A pad is a segment of its own: it sees itself, so no row of a mask is ever empty (a row of -inf alone gives NaN).
    """

    segment_start: Int[Tensor, "row token"]
    prefix_start: Int[Tensor, "row token"]
    prefix_end: Int[Tensor, "row token"]
    position: Int[Tensor, "row token"]

    def sees(self, window: int | None = None) -> Sees:
        """Return the formula as a function of (row, head, query, key): whether that query sees that key.

        It is a mask function of FlexAttention: the arguments are tensors of indices of any shapes that broadcast.

        Args:
            window: the sliding window in tokens, counted in positions along the path; None for full attention.
        """
        start, begin, end, position = self.segment_start, self.prefix_start, self.prefix_end, self.position
        # Lambdas, because the shape checks of the tests wrap functions, and FlexAttention must be given bare ones.
        visible: Sees = lambda row, head, query, key: (  # noqa: E731, ARG005
            (key <= query) & ((key >= start[row, query]) | ((key >= begin[row, query]) & (key < end[row, query])))
        )
        if window is None:
            return visible
        width = window
        return lambda row, head, query, key: (
            visible(row, head, query, key) & (position[row, query] - position[row, key] < width)
        )

    def mask(self, window: int | None = None) -> Bool[Tensor, "row 1 token token"]:
        """Return the mask as (row, head, query, key), True where the query sees the key.

        Args:
            window: as above.
        """
        rows, tokens = self.segment_start.shape
        row = torch.arange(rows, device=self.segment_start.device)[:, None, None]
        key = torch.arange(tokens, device=self.segment_start.device)
        return self.sees(window)(row, None, key[:, None], key)[:, None]
