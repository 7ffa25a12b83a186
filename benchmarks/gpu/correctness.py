"""FlexAttention = dense masks = separate forwards: losses, embeddings and gradients, in float32 and in bfloat16.

The reference is separate forwards with dense attention in float64 where the device has it. Every kind is held against it; in
bfloat16 FlexAttention may be as far off as twice what dense masks are, since nothing is exact there.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.gpu.shapes import EXACT, Shape
from llm_jepa.model.encode import encode
from llm_jepa.objective.jepa import JEPA, Totals
from llm_jepa.packing.batch import PackedBatch
from llm_jepa.packing.collate import pack, spread
from llm_jepa.packing.layout import Layout
from llm_jepa.packing.rows import Blocks
from llm_jepa.views.tokenize import Sample

LIMIT = {torch.float32: 1e-4, torch.bfloat16: 5e-2}
"""Largest ||x - reference|| / ||reference||; float32 products are not rounded to TF32 unless asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How far one kind of attention is from the reference.

    Attributes:
        name: family, dtype, kind.
        forward: relative error of losses and embeddings.
        backward: the largest of any parameter's gradient; NaN where the device has no backward.
        passed: both are below their limit.
    """

    name: str
    forward: float
    backward: float
    passed: bool


Values = tuple[dict[str, Tensor], dict[str, Tensor]]


def check(samples: Sequence[Sample], *, device: str, family: str) -> list[Verdict]:
    """Return the verdicts of a family.

    Args:
        samples: with token ids below 512.
        device: "cuda" or "cpu", which has no backward of FlexAttention.
        family: of `EXACT`.
    """
    shape, dense = EXACT[family]
    forests = [Layout(k=1).forest(sample) for sample in samples]
    apart = spread(forests, pad=0)
    row = pack(forests, pad=0, samples_per_row=len(forests), row_length=Blocks().length)
    reference = _values(shape, dense, apart, device=device, dtype=torch.float64, packed=False)
    found: list[Verdict] = []
    for dtype, limit in LIMIT.items():
        plain = _values(shape, dense, apart, device=device, dtype=dtype, packed=False)
        masked = _values(shape, dense, row, device=device, dtype=dtype)
        flex = _values(shape, "flex_attention", row, device=device, dtype=dtype, backward=device != "cpu")
        name = f"{family}, {str(dtype).removeprefix('torch.')}"
        allowed = max(limit, 2 * _worst(masked, reference)) if dtype is torch.bfloat16 else limit
        for kind, values in (("separate", plain), (dense, masked), ("flex", flex)):
            found.append(_verdict(f"{name}, {kind}", values, reference, limit=allowed))
    return found


def _values(
    shape: Shape,
    attention: str,
    batch: PackedBatch,
    *,
    device: str,
    dtype: torch.dtype,
    packed: bool = True,
    backward: bool = True,
) -> Values:
    """Return losses and embeddings, and gradients by name."""
    model = shape.model(attention, device=device)
    for part in model.parameters():  # not the buffers: what rotates queries and keys stays in float32
        part.data = part.data.to(dtype)
    moved = PackedBatch.from_tensors({name: item.to(device) for name, item in batch.tensors().items()})
    with torch.set_grad_enabled(backward):
        encoded = encode(model, moved, one_forward=packed)
    forward = {name: getattr(encoded, name).detach() for name in ("label_nll", "predicted", "target")}
    if not backward:
        return forward, {}
    JEPA(weight=1.0)(encoded, Totals(labels=len(moved.label), pairs=len(moved.predicted))).loss.backward()
    return forward, {name: item.grad for name, item in model.named_parameters() if item.grad is not None}


def _error(found: Tensor, expected: Tensor) -> float:
    return float((found.double() - expected.double()).norm() / expected.double().norm().clamp(min=1e-12))


def _errors(found: dict[str, Tensor], expected: dict[str, Tensor]) -> float:
    """Return the largest relative error; NaN if one is, or if nothing is compared."""
    errors = [_error(values, expected[name]) for name, values in found.items()]
    return float("nan") if not errors or any(math.isnan(error) for error in errors) else max(errors)


def _worst(found: Values, reference: Values) -> float:
    return max(_errors(found[side], reference[side]) for side in (0, 1))


def _verdict(name: str, found: Values, reference: Values, *, limit: float) -> Verdict:
    forward, backward = (_errors(found[side], reference[side]) for side in (0, 1))
    complete = found[1].keys() in (reference[1].keys(), set())
    passed = complete and forward <= limit and (not found[1] or backward <= limit)
    return Verdict(name=name, forward=forward, backward=backward, passed=passed)
