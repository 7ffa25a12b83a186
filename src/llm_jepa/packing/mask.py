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

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Visibility:
    """What each token of a packed batch sees; indices count from the start of the row, positions along the path.

    A pad is a segment of its own: it sees itself, so no row of a mask is ever empty (a row of -inf alone gives NaN).
    """

    segment_start: Int[Tensor, "row token"]
    prefix_start: Int[Tensor, "row token"]
    prefix_end: Int[Tensor, "row token"]
    position: Int[Tensor, "row token"]

    def mask(self, window: int | None = None) -> Bool[Tensor, "row 1 token token"]:
        """Return the mask as (row, head, query, key), True where the query sees the key.

        Args:
            window: the sliding window in tokens, counted in positions along the path; None for full attention.
        """
        tokens = self.segment_start.shape[1]
        key = torch.arange(tokens, device=self.segment_start.device)
        query = key[:, None]
        own = key >= self.segment_start[..., None]
        prefix = (key >= self.prefix_start[..., None]) & (key < self.prefix_end[..., None])
        visible = (key <= query) & (own | prefix)
        if window is not None:
            visible &= self.position[..., :, None] - self.position[..., None, :] < window
        return visible[:, None]
