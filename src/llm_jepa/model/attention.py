"""How a model is told what each token sees: one mask function for every architecture, in transformers' own registry.

transformers asks the registered function for a mask once for every kind of layer and passes `local_size` in sliding ones,
so that windows survive (a mask given by the caller would be used as it is in every layer, and the window silently lost).
Outside a packed forward the functions answer as transformers' own, so that generation with the same model is untouched.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import eager_mask, sdpa_mask

from llm_jepa.errors import UserError
from llm_jepa.model.parts import core
from llm_jepa.packing.mask import Visibility
from llm_jepa.packing.rows import Cheapest, Rows

SDPA, EAGER = "llm_jepa_sdpa", "llm_jepa_eager"

_visibility: ContextVar[Visibility | None] = ContextVar("visibility", default=None)


@contextmanager
def seeing(visibility: Visibility) -> Iterator[None]:
    """Make every attention mask that is built inside follow `visibility`."""
    token = _visibility.set(visibility)
    try:
        yield
    finally:
        _visibility.reset(token)


def _packed_sdpa_mask(**arguments: Any) -> Tensor | None:
    visibility = _visibility.get()
    return sdpa_mask(**arguments) if visibility is None else visibility.mask(arguments.get("local_size"))


def _packed_eager_mask(**arguments: Any) -> Tensor:
    visibility = _visibility.get()
    if visibility is None:
        return eager_mask(**arguments)
    dtype: torch.dtype = arguments["dtype"]
    mask = visibility.mask(arguments.get("local_size"))
    return torch.zeros((), dtype=dtype, device=mask.device).where(mask, torch.finfo(dtype).min)


def _eager_forward(module: nn.Module, *arguments: Any, **options: Any) -> Any:
    """Call the eager attention of the architecture's own file: softcaps, sinks and scalings differ between them."""
    return vars(sys.modules[type(module).__module__])["eager_attention_forward"](module, *arguments, **options)


def use_packed_attention(model: PreTrainedModel) -> None:
    """Let `model` build its masks with the functions of this module; weights and results outside packing do not change.

    Raises:
        UserError: the model's attention implementation is neither sdpa nor eager, or the architecture builds its masks
            in its own way.
    """
    current = model.config._attn_implementation  # transformers has no public name for it
    names = {"sdpa": SDPA, "eager": EAGER, SDPA: SDPA, EAGER: EAGER}
    if current not in names:
        raise UserError(
            f"attention '{current}' cannot be packed; set `model.attention` to 'sdpa' or 'eager', or "
            "`packing.one_forward: false`, which gives every view a row of its own"
        )
    AttentionMaskInterface.register(SDPA, _packed_sdpa_mask)
    AttentionMaskInterface.register(EAGER, _packed_eager_mask)
    AttentionInterface.register(SDPA, sdpa_attention_forward)
    AttentionInterface.register(EAGER, _eager_forward)
    model.set_attn_implementation(names[current])


def rows_for(model: nn.Module) -> Rows:
    """Return how samples share rows where the user does not say: what pays off with the model's attention and width."""
    return Cheapest(core(model).config.get_text_config().hidden_size)
