"""Packed batch -> one model call -> what the objective reads.

Exactly one `model(...)` per micro-batch, through whatever wraps it (DDP, FSDP2, peft, a compiler): calling base model and
head by hand would bypass DDP's and FSDP's own hooks. Two hooks live for the length of the call: one puts the predictor
slots in where embeddings are looked up; one keeps the last hidden state where the output layer takes it in, and passes on
only the positions that carry labels, so that logits are made for them alone. Nothing here reads a value of a tensor, so that
a GPU is never waited for.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import PreTrainedModel

from llm_jepa.errors import UserError
from llm_jepa.model.attention import seeing
from llm_jepa.model.head import cross_entropy, piecewise_nll, tail_of
from llm_jepa.model.parts import core, input_embedding, output_layer
from llm_jepa.model.slots import NAME
from llm_jepa.packing.batch import Encoded, PackedBatch

Loss = Callable[[nn.Module, Tensor], Tensor]
"""From the output layer and what it takes in at the kept positions to something made of it, inside the model call."""


@dataclass(slots=True)
class _Captured:
    hidden: Tensor | None = None
    made: Tensor | None = None


@contextmanager
def _hooks(
    model: PreTrainedModel, slot: Int[Tensor, "row token"], kept: Int[Tensor, " kept"], make: Loss | None
) -> Iterator[_Captured]:
    captured = _Captured()
    predictor = dict(model.named_children()).get(NAME)

    def put_slots(module: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> Tensor:
        del module, arguments
        return output if predictor is None else predictor(output, slot)

    def keep_labels(module: nn.Module, arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        if captured.hidden is not None:  # the layer is called by `make`
            return None
        captured.hidden = arguments[0]
        rows = arguments[0].flatten(0, 1)[kept]
        if make is None:
            return (rows[None], *arguments[1:])
        captured.made = make(module, rows)
        return (rows[None, :0], *arguments[1:])

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
    """One forward: the logits at the kept positions, and all last hidden states.

    Attributes:
        logits: none where something else was made of them.
        hidden: the last hidden states.
        made: what was made instead.
    """

    logits: Float[Tensor, "kept vocab"]
    hidden: Float[Tensor, "row token hidden"]
    made: Tensor | None = None


def forward(
    model: nn.Module,
    batch: PackedBatch,
    *,
    kept: Int[Tensor, " kept"],
    one_forward: bool = True,
    make: Loss | None = None,
) -> Forward:
    """Call the model once over a packed batch.

    Args:
        model: the model as it is trained, wrapped or not.
        batch: the packed rows.
        kept: positions whose logits are wanted, as indices into the flattened (row token).
        one_forward: the batch is packed; else every row is plain causal (`packing.collate.spread`).
        make: what to make inside the model call instead of all those logits.

    Raises:
        UserError: the model's output layer was never called (a fused head, for instance).
    """
    inner = core(model)
    sight = seeing(batch.visibility) if one_forward and batch.borders is None else nullcontext()
    with sight, _hooks(inner, batch.slot, kept, make) as captured:
        output = model(input_ids=batch.input_ids, use_cache=False, **_told(batch, one_forward=one_forward))
    if captured.hidden is None:
        raise UserError(f"{type(inner).__name__} does not call its output layer, so its hidden states cannot be read")
    return Forward(logits=output.logits.flatten(0, -2), hidden=captured.hidden, made=captured.made)


def _told(batch: PackedBatch, *, one_forward: bool) -> dict[str, Any]:
    """Return what the model is told beside the tokens."""
    if not one_forward:
        return {}
    position = batch.visibility.position
    if batch.borders is None:
        # Without a mask of its own, transformers would look for packed rows in the positions, and wait for the GPU.
        return {"position_ids": position, "attention_mask": torch.ones_like(batch.input_ids)}
    # FlashAttentionKwargs of transformers. The longest segment is not known without waiting; a row is no shorter.
    longest = batch.input_ids.shape[1]
    borders = {"cu_seq_lens_q": batch.borders, "cu_seq_lens_k": batch.borders}
    return {"position_ids": position, **borders, "max_length_q": longest, "max_length_k": longest}


def encode(model: nn.Module, batch: PackedBatch, *, one_forward: bool = True, logits_at_once: int | None = None) -> Encoded:
    """Return what the objective reads: label log-likelihoods, predicted and target embeddings, hidden states.

    The embedding of a view is the last layer's hidden state at its last token (paper, section 3.1), after the final norm, as
    `hidden_states[-1]` in transformers. Cross-entropy is computed in float32 (float64 for a float64 model).

    Args:
        model: the model as it is trained, wrapped or not.
        batch: the packed rows.
        one_forward: the batch is packed.
        logits_at_once: most logits that exist at a time (`model.head`); None for all of them.
    """
    make = _pieces(core(model), batch.label, logits_at_once)
    result = forward(model, batch, kept=batch.label_at, one_forward=one_forward, make=make)
    flat = result.hidden.flatten(0, 1)
    target = flat[batch.target]
    return Encoded(
        label_nll=cross_entropy(result.logits, batch.label) if result.made is None else result.made,
        predicted=flat[batch.predicted],
        target=target,
        candidates=target,
        first_candidate=0,
        hidden=result.hidden,
        sequence=batch.sequence,
    )


def _pieces(model: PreTrainedModel, label: Int[Tensor, " label"], logits_at_once: int | None) -> Loss | None:
    """Return what makes the loss in pieces, or None where all logits fit."""
    vocabulary = output_layer(model).weight.shape[0]
    if logits_at_once is None or label.numel() * vocabulary <= logits_at_once:
        return None
    tail, at_once = tail_of(model), max(1, logits_at_once // vocabulary)
    return lambda layer, rows: piecewise_nll(layer, rows, label, tail=tail, at_once=at_once)
