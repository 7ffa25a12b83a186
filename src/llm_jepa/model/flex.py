"""FlexAttention for packed rows: only the blocks of a row in which anything is visible are computed.

On a GPU mask and attention are compiled, once for few shapes (`packing.rows.Blocks`). On a CPU they are traced and run
operation by operation, which is exact and slow, and torch has no backward there: training on a CPU is refused. Outside a
packed forward the model uses sdpa, or its own eager attention where sdpa lacks what it needs.
"""

import sys
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from llm_jepa.errors import UserError
from llm_jepa.packing.mask import Visibility

NO_BACKWARD = "FlexAttention has no backward on a CPU"


def block_mask(visibility: Visibility, window: int | None) -> BlockMask:
    """Return which blocks of 128 x 128 are empty, full or mixed, and the formula for the mixed ones.

    Args:
        visibility: on the device of the model.
        window: the sliding window of the layers that the mask is for, in tokens; None for full attention.
    """
    rows, tokens = visibility.segment_start.shape
    short = {name: getattr(visibility, name).to(torch.int32) for name in visibility.__slots__}
    return create_block_mask(
        Visibility(**short).sees(window),
        B=rows,
        H=None,
        Q_LEN=tokens,
        KV_LEN=tokens,
        device=visibility.segment_start.device,
        _compile=visibility.segment_start.device.type != "cpu",
    )


@cache
def _attend(device: str) -> Any:
    """Return FlexAttention for a type of device: compiled, or on a CPU traced and run operation by operation."""
    return torch.compile(flex_attention, backend="eager" if device == "cpu" else "inductor")


def eager_forward(module: nn.Module, *arguments: Any, **options: Any) -> Any:
    """Call the eager attention of the architecture's own file: softcaps, sinks and scalings differ between them."""
    return vars(sys.modules[type(module).__module__])["eager_attention_forward"](module, *arguments, **options)


def flex_forward(  # noqa: PLR0913 - what transformers hands to every attention
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: BlockMask | Tensor | None,
    *,
    scaling: float | None = None,
    dropout: float = 0.0,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    **options: Any,
) -> tuple[Tensor, Tensor | None]:
    """Attend as transformers' attention functions do.

    Args:
        module: the attention layer.
        query: (row, head, token, width of a head).
        key: (row, key head, token, width); query heads share key heads in groups.
        value: as key.
        attention_mask: of `block_mask` in a packed forward; anything else outside it.
        scaling: factor of the scores.
        dropout: of the weights.
        softcap: scores become softcap x tanh(score / softcap) (Gemma 2).
        s_aux: attention sinks.
        options: what other implementations take.

    Returns:
        (row, token, head, width), and no weights in a packed forward.

    Raises:
        UserError: the layer wants what FlexAttention lacks: dropout, sinks, or a backward on a CPU.
    """
    if not isinstance(attention_mask, BlockMask):
        own = {"scaling": scaling, "dropout": dropout, "softcap": softcap, "s_aux": s_aux}
        given = {name: item for name, item in own.items() if item is not None}
        plain = sdpa_attention_forward if softcap is None and s_aux is None else eager_forward
        return plain(module, query, key, value, attention_mask, **given, **options)
    _check(query, dropout=dropout, sinks=s_aux is not None)

    dtype = value.dtype  # under autocast, rotary embeddings leave queries and keys in float32
    attended = _attend(query.device.type)(
        query.to(dtype),
        key.to(dtype),
        value,
        score_mod=_capped(softcap),
        block_mask=attention_mask,
        scale=scaling,
        enable_gqa=query.shape[1] != key.shape[1],
    )
    return attended.transpose(1, 2).contiguous(), None


def _capped(softcap: float | None) -> Any:
    """Return what FlexAttention does to scores; a bare lambda, as in `packing.mask`."""
    if softcap is None:
        return None
    return lambda score, row, head, query, key: softcap * torch.tanh(score / softcap)  # noqa: ARG005


def _check(query: Tensor, *, dropout: float, sinks: bool) -> None:
    advice = "set `model.attention` to 'sdpa' or 'eager'"
    if dropout > 0:
        raise UserError(
            f"FlexAttention has no dropout, but the model's is {dropout}; {advice}, or its attention dropout to 0"
        )
    if sinks:
        raise UserError(f"FlexAttention is not used with attention sinks here; {advice}")
    if query.device.type == "cpu" and torch.is_grad_enabled() and query.requires_grad:
        raise UserError(f"{NO_BACKWARD}; {advice}")
