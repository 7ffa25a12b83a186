"""Packed batch -> one model call -> what the objective reads.

Exactly one `model(...)` per micro-batch, through whatever wraps it (DDP, FSDP2, peft, a compiler): calling base model and
head by hand would bypass DDP's and FSDP's own hooks. Two hooks live for the length of the call: one puts the predictor
slots in where embeddings are looked up; one keeps the last hidden state where the output layer takes it in, and passes on
only the positions that carry labels, so that logits are made for them alone.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel

from llm_jepa.errors import UserError
from llm_jepa.model.attention import seeing
from llm_jepa.model.parts import core, input_embedding, output_layer
from llm_jepa.model.slots import NAME
from llm_jepa.packing.batch import Encoded, PackedBatch


@dataclass(slots=True)
class _Captured:
    hidden: Tensor | None = None


@contextmanager
def _hooks(model: PreTrainedModel, slot: Int[Tensor, "row token"], kept: Int[Tensor, " kept"]) -> Iterator[_Captured]:
    captured = _Captured()
    predictor = dict(model.named_children()).get(NAME)

    def put_slots(module: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> Tensor:
        del module, arguments
        return output if predictor is None else predictor(output, slot)

    def keep_labels(module: nn.Module, arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        del module
        captured.hidden = arguments[0]
        return (arguments[0].flatten(0, 1)[kept][None], *arguments[1:])

    handles = (
        input_embedding(model).register_forward_hook(put_slots),
        output_layer(model).register_forward_pre_hook(keep_labels),
    )
    try:
        yield captured
    finally:
        for handle in handles:
            handle.remove()


@dataclass(frozen=True, slots=True, kw_only=True)
class Forward:
    """One forward: the logits at the kept positions, and all last hidden states."""

    logits: Float[Tensor, "kept vocab"]
    hidden: Float[Tensor, "row token hidden"]


def forward(model: nn.Module, batch: PackedBatch, *, kept: Int[Tensor, " kept"], one_forward: bool = True) -> Forward:
    """Call the model once over a packed batch.

    Args:
        model: the model as it is trained, wrapped or not.
        batch: the packed rows.
        kept: positions whose logits are wanted, as indices into the flattened (row token).
        one_forward: the batch is packed; else every row is plain causal (`packing.collate.spread`).

    Raises:
        UserError: the model's output layer was never called (a fused head, for instance).
    """
    inner = core(model)
    sight = seeing(batch.visibility) if one_forward else nullcontext()
    positions = {"position_ids": batch.visibility.position} if one_forward else {}
    with sight, _hooks(inner, batch.slot, kept) as captured:
        output = model(input_ids=batch.input_ids, use_cache=False, **positions)
    if captured.hidden is None:
        raise UserError(f"{type(inner).__name__} does not call its output layer, so its hidden states cannot be read")
    return Forward(logits=output.logits.flatten(0, -2), hidden=captured.hidden)


def encode(model: nn.Module, batch: PackedBatch, *, one_forward: bool = True) -> Encoded:
    """Return what the objective reads: label log-likelihoods, predicted and target embeddings, hidden states.

    The embedding of a view is the last layer's hidden state at its last token (paper, section 3.1), after the final norm, as
    `hidden_states[-1]` in transformers. Cross-entropy is computed in float32 (float64 for a float64 model).
    """
    result = forward(model, batch, kept=batch.label_at, one_forward=one_forward)
    logits = result.logits if result.logits.dtype == torch.float64 else result.logits.float()
    flat = result.hidden.flatten(0, 1)
    target = flat[batch.target]
    return Encoded(
        label_nll=functional.cross_entropy(logits, batch.label, reduction="none"),
        predicted=flat[batch.predicted],
        target=target,
        candidates=target,
        first_candidate=0,
        hidden=result.hidden,
        sequence=batch.sequence,
    )
