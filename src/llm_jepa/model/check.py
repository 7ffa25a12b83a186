"""The start-up self-check: packed must equal separate, with the very model that is about to be trained.

Some architectures would be silently wrong when packed: those that count distances by place in the row (ALiBi), or carry
state along it (convolutions, recurrences). One tiny batch tells.
"""

from collections.abc import Sequence

import torch
from torch import nn

from llm_jepa.errors import UserError
from llm_jepa.model.encode import forward
from llm_jepa.model.parts import core
from llm_jepa.packing.collate import pack, spread
from llm_jepa.packing.layout import Forest
from llm_jepa.packing.rows import ONE_EACH, Rows

TOLERANCE = {torch.float64: 1e-5, torch.float32: 1e-3, torch.bfloat16: 0.15, torch.float16: 0.03}
"""Largest accepted difference of an embedding, relative to the length of embeddings. Relative to their coordinates it would
say little: in pretrained models a few coordinates are a hundred times as large as the others, and so is their rounding."""

ADVICE = "set `packing.one_forward: false`, which gives every view a row of its own (slower, and right for any causal model)"


@torch.no_grad()
def packing_error(model: nn.Module, forests: Sequence[Forest], *, pad: int, rows: Rows = ONE_EACH) -> float:
    """Return the length of the largest difference of any embedding between packed and separate forwards.

    It is relative to the root mean square of the embeddings' lengths.
    """
    training = model.training
    model.eval()
    packed = rows.finish(pack(forests, pad=pad, samples_per_row=len(forests), row_length=rows.length))
    device = core(model).device
    results = []
    for batch, one_forward in ((packed, True), (spread(forests, pad=pad), False)):
        moved = type(batch).from_tensors({name: value.to(device) for name, value in batch.tensors().items()})
        hidden = forward(model, moved, kept=moved.label_at[:0], one_forward=one_forward).hidden.flatten(0, 1)
        results.append(hidden[torch.cat([moved.label_at, moved.predicted, moved.target])].float())
    model.train(training)
    scale = results[1].square().sum(1).mean().sqrt()
    return float((results[0] - results[1]).norm(dim=1).max() / scale)


def check_packing(
    model: nn.Module,
    forests: Sequence[Forest],
    *,
    pad: int,
    rows: Rows = ONE_EACH,
    precision: torch.dtype | None = None,
) -> float:
    """Return `packing_error`.

    Args:
        model: the model as it is trained, wrapped or not.
        forests: what is packed, all in one row.
        pad: a valid token id.
        rows: gives the row's length, and what else the attention is told.
        precision: what products are rounded to, which decides the tolerance; None: the model's dtype.

    Raises:
        UserError: it is above the tolerance of that dtype, or the model cannot be called on a packed batch at all.
    """
    name, dtype = type(core(model)).__name__, precision or core(model).dtype
    try:
        error = packing_error(model, forests, pad=pad, rows=rows)
    except (TypeError, ValueError, RuntimeError, NotImplementedError, AttributeError) as problem:
        raise UserError(f"{name} cannot be run on packed rows ({problem}); {ADVICE}") from problem
    if not error <= TOLERANCE[dtype]:
        raise UserError(
            f"{name} gives other embeddings when packed (relative difference {error:.2g}, tolerance "
            f"{TOLERANCE[dtype]:.2g}), as models with ALiBi, convolutions or recurrence do; {ADVICE}"
        )
    return error
