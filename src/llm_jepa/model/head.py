"""The loss of many label tokens over a large vocabulary in pieces, so that their logits never exist all at once.

The logits of n label tokens are n x vocabulary numbers, several times over: in the model's dtype, in float32, and both as
gradients again. In pieces only one piece's are there, and they are made anew on the way back. What an architecture does to
its logits behind the output layer (a softcap, a factor) happens in its own `forward`, which pieces do not pass; it is read
from the config and checked against the model itself before it is used (`knows_tail`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel

from llm_jepa.model.parts import core, output_layer

LOGITS = 2**27
"""Logits at a time: 512 MiB in float32. Label tokens x vocabulary up to this many are not cut into pieces."""

SPREAD = 2000.0
"""Largest logit that a model is given to see what it makes of it: far above any softcap, also behind a small factor."""


@dataclass(frozen=True, slots=True)
class Tail:
    """What happens to logits behind the output layer.

    Attributes:
        factor: they are multiplied with it (Cohere, Granite).
        softcap: then they become softcap x tanh(logit / softcap) (Gemma 2); None for no cap.
    """

    factor: float = 1.0
    softcap: float | None = None

    def __call__(self, logits: Tensor) -> Tensor:
        """Return the logits as the model gives them."""
        scaled = logits if self.factor == 1.0 else logits * self.factor
        return scaled if self.softcap is None else torch.tanh(scaled / self.softcap) * self.softcap


def tail_of(model: PreTrainedModel) -> Tail:
    """Return the tail that a model's config names, under the names that transformers' architectures use."""
    known: Mapping[str, Any] = model.config.get_text_config().to_dict()
    factor = known.get("logit_scale") or 1.0
    return Tail(factor=factor / (known.get("logits_scaling") or 1.0), softcap=known.get("final_logit_softcapping"))


@torch.no_grad()
def knows_tail(model: nn.Module) -> bool:
    """Return whether `tail_of` is what a model does: the model is given logits, and returns them."""
    inner = core(model)
    layer = output_layer(inner)
    vocabulary = layer.weight.shape[0]

    def give(module: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> Tensor:
        del module, arguments
        return torch.linspace(-SPREAD, SPREAD, vocabulary, device=output.device).to(output.dtype).expand_as(output)

    handle = layer.register_forward_hook(give)
    try:
        found = model(input_ids=torch.zeros(1, 1, dtype=torch.long, device=inner.device), use_cache=False).logits
    finally:
        handle.remove()
    given = torch.linspace(-SPREAD, SPREAD, vocabulary, device=found.device).to(found.dtype)
    expected = tail_of(inner)(given).expand_as(found)
    return torch.allclose(found.float(), expected.float(), rtol=0.01, atol=0.01)


def cross_entropy(logits: Float[Tensor, "label vocab"], label: Int[Tensor, " label"]) -> Float[Tensor, " label"]:
    """Return the negative log-likelihoods, in nats, computed in float32 (float64 for float64 logits)."""
    wide = logits if logits.dtype == torch.float64 else logits.float()
    return functional.cross_entropy(wide, label, reduction="none")


def piecewise_nll(
    layer: nn.Module,
    hidden: Float[Tensor, "label hidden"],
    label: Int[Tensor, " label"],
    *,
    tail: Tail,
    at_once: int,
) -> Float[Tensor, " label"]:
    """Return the negative log-likelihoods of the labels, `at_once` of them at a time, in nats.

    Args:
        layer: the output layer, called once for each piece, and once more on the way back.
        hidden: what it takes in at the labels' places.
        label: the label tokens.
        tail: what happens to its output.
        at_once: labels of a piece.
    """

    def piece(rows: Tensor, labels: Tensor) -> Tensor:
        return cross_entropy(tail(layer(rows)), labels)

    pieces = zip(hidden.split(at_once), label.split(at_once), strict=True)
    return torch.cat([checkpoint(piece, *part, use_reentrant=False) for part in pieces])
