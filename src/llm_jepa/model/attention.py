"""How a model is told what each token sees: one mask function for every architecture, in transformers' own registry.

transformers asks the registered function for a mask once for every kind of layer and passes `local_size` in sliding ones,
so that windows survive (a mask given by the caller would be used as it is in every layer, and the window silently lost).
Outside a packed forward the functions answer as transformers' own, so that generation with the same model is untouched.
FlashAttention takes no mask: it is handed the borders of the segments instead (`model/encode.py`).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention.flex_attention import BlockMask
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import eager_mask, sdpa_mask
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from llm_jepa.errors import UserError
from llm_jepa.model.flex import NO_BACKWARD, block_mask, eager_forward, flex_forward
from llm_jepa.model.parts import core
from llm_jepa.model.pieces import Pieces, pieces_forward
from llm_jepa.packing.mask import Visibility
from llm_jepa.packing.rows import Blocks, Cheapest, OneRow, Rows, Segments

IN_PIECES = frozenset({"cpu"})
"""Types of devices on which `sdpa` takes rows in pieces. Cutting them reads values, for which others would be waited for."""


@dataclass(frozen=True, slots=True)
class _Sight:
    """What is seen in one forward, and the masks already made of it: one for each kind of layer, not for each layer."""

    visibility: Visibility
    made: dict[tuple[object, ...], Any] = field(default_factory=dict[tuple[object, ...], Any])

    def once(self, make: Callable[..., Any], *arguments: object) -> Any:
        """Return `make(visibility, *arguments)`, made at the first call."""
        key = (make, *arguments)
        if key not in self.made:
            self.made[key] = make(self.visibility, *arguments)
        return self.made[key]


_sight: ContextVar[_Sight | None] = ContextVar("sight", default=None)


@contextmanager
def seeing(visibility: Visibility) -> Iterator[None]:
    """Make every attention mask that is built inside follow `visibility`."""
    token = _sight.set(_Sight(visibility))
    try:
        yield
    finally:
        _sight.reset(token)


def _dense(visibility: Visibility, window: int | None) -> Tensor:
    return visibility.mask(window)


def _additive(visibility: Visibility, window: int | None, dtype: torch.dtype) -> Tensor:
    mask = visibility.mask(window)
    return torch.zeros((), dtype=dtype, device=mask.device).where(mask, torch.finfo(dtype).min)


def _packed_sdpa_mask(**arguments: Any) -> Tensor | Pieces | None:
    sight = _sight.get()
    if sight is None:
        return sdpa_mask(**arguments)
    device = sight.visibility.segment_start.device.type
    return sight.once(Pieces.of if device in IN_PIECES else _dense, arguments.get("local_size"))


def _packed_eager_mask(**arguments: Any) -> Tensor:
    sight = _sight.get()
    if sight is None:
        return eager_mask(**arguments)
    return sight.once(_additive, arguments.get("local_size"), arguments["dtype"])


def _packed_flex_mask(**arguments: Any) -> Tensor | BlockMask:
    sight = _sight.get()
    return eager_mask(**arguments) if sight is None else sight.once(block_mask, arguments.get("local_size"))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """A kind of attention that can be packed.

    Attributes:
        rows: from the model's width and the device to how samples share rows where the user does not say.
        name: what it is registered as; None where transformers' own is used as it is.
        mask: its mask function.
        forward: its attention.
    """

    rows: Callable[[int, torch.device], Rows]
    name: str | None = None
    mask: Callable[..., Any] = sdpa_mask
    forward: Callable[..., Any] = sdpa_attention_forward


def _dense_or_pieces(width: int, device: torch.device) -> Rows:
    return OneRow() if device.type in IN_PIECES else Cheapest(width)


def _cheapest(width: int, device: torch.device) -> Rows:
    del device
    return Cheapest(width)


def _blocks(width: int, device: torch.device) -> Rows:
    del width, device
    return Blocks()


def _segments(width: int, device: torch.device) -> Rows:
    del width, device
    return Segments()


KINDS = {
    "sdpa": _Kind(name="llm_jepa_sdpa", mask=_packed_sdpa_mask, forward=pieces_forward, rows=_dense_or_pieces),
    "eager": _Kind(name="llm_jepa_eager", mask=_packed_eager_mask, forward=eager_forward, rows=_cheapest),
    "flex_attention": _Kind(name="llm_jepa_flex_attention", mask=_packed_flex_mask, forward=flex_forward, rows=_blocks),
    "flash_attention_2": _Kind(rows=_segments),
    "flash_attention_3": _Kind(rows=_segments),
}
"""By transformers' name. Ours contain it, because transformers looks there for what the architecture supports."""

_REGISTERED = {kind.name: name for name, kind in KINDS.items() if kind.name is not None}


def attention_of(model: nn.Module) -> str:
    """Return transformers' name of the attention of a model, also where ours has taken its place."""
    current: Any = core(model).config._attn_implementation  # transformers has no public name for it
    return _REGISTERED.get(current, str(current))


def use_packed_attention(model: PreTrainedModel) -> None:
    """Let `model` build its masks with the functions of this module; weights and results outside packing do not change.

    Raises:
        UserError: the model's attention implementation is none of `KINDS`, or the architecture builds its masks in its own
            way.
    """
    current = attention_of(model)
    if current not in KINDS:
        raise UserError(
            f"attention '{current}' cannot be packed; set `model.attention` to one of {', '.join(KINDS)}, or "
            "`packing.one_forward: false`, which gives every view a row of its own"
        )
    kind = KINDS[current]
    if kind.name is None:
        return
    AttentionMaskInterface.register(kind.name, kind.mask)
    if kind.name not in ALL_ATTENTION_FUNCTIONS.valid_keys():  # else it may be kept out of graphs
        AttentionInterface.register(kind.name, kind.forward)
    model.set_attn_implementation(kind.name)


def keep_out_of_graphs() -> None:
    """Let layers that are compiled call packed attention as it is, from between two graphs."""
    for kind in KINDS.values():
        if kind.name is not None:
            AttentionMaskInterface.register(kind.name, kind.mask)
            AttentionInterface.register(kind.name, torch.compiler.disable(kind.forward))


def rows_for(model: nn.Module, device: torch.device, count: int | None = None) -> Rows:
    """Return how samples share rows.

    Args:
        model: its attention and width say what pays off.
        device: where it will be trained says so, too.
        count: a fixed number of samples to a row; None for what pays off.
    """
    width: int = core(model).config.get_text_config().hidden_size
    kind = KINDS.get(attention_of(model))
    rows = Cheapest(width) if kind is None else kind.rows(width, device)
    return rows if count is None else rows.counted(count)


def only_16_bit(model: nn.Module) -> bool:
    """Return whether the model's attention computes in 16 bits alone, so that 32-bit weights need autocast."""
    return attention_of(model).startswith("flash_attention")


def check_device(model: nn.Module, device: torch.device) -> None:
    """Check that the model's attention can be trained on a device.

    Raises:
        UserError: it cannot.
    """
    if device.type == "cpu" and attention_of(model) == "flex_attention":
        raise UserError(f"{NO_BACKWARD}; set `model.attention` to 'sdpa' or 'eager', or train on a GPU")
