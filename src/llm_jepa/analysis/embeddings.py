"""Enc(Text), Pred(Enc(Text)) and Enc(Code) of many examples, read exactly as in training: same layout, same packing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from llm_jepa.errors import UserError
from llm_jepa.model.encode import forward
from llm_jepa.model.parts import core
from llm_jepa.packing.batch import PackedBatch
from llm_jepa.packing.collate import pack, spread
from llm_jepa.packing.layout import Forest, Layout
from llm_jepa.views.tokenize import Sample


@dataclass(frozen=True, slots=True, kw_only=True)
class Embeddings:
    """The embeddings of a set of pairs, one row a pair, on the CPU, in float32 or wider.

    Attributes:
        text: Enc of the predicting view (Text, unless the direction is the other one), at its last token, without [PRED].
        predicted: Pred(Enc) of the predicting view; `text` itself where k is 0.
        code: Enc of the predicted view, with which `predicted` is compared.
    """

    text: Float[Tensor, "pair hidden"]
    predicted: Float[Tensor, "pair hidden"]
    code: Float[Tensor, "pair hidden"]


def embed(
    model: nn.Module,
    samples: Sequence[Sample],
    layout: Layout,
    *,
    batch_size: int = 16,
    one_forward: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> Embeddings:
    """Return the embeddings of all pairs of the samples, in order.

    Args:
        model: prepared by `llm_jepa.model.load.prepare` with the layout's k; its mode is restored at the end.
        samples: tokenised examples; those without a second view give nothing.
        layout: as in training.
        batch_size: samples a forward.
        one_forward: rows are packed; else every segment has a row of its own.
        progress: called with the numbers of embedded and of all samples.

    Raises:
        UserError: no sample has two views.
    """
    paired = [sample for sample in samples if len(sample.views) > 1]
    if not paired:
        raise UserError("no example has two views, so there is nothing to compare; name the columns with `data.columns`")
    # Slots stand after or before a view and change what is read; where there are none, Pred is the identity.
    bare = replace(layout, k=0)
    training = model.training
    model.eval()
    parts: list[tuple[Tensor, Tensor, Tensor]] = []
    try:
        for start in range(0, len(paired), batch_size):
            chunk = paired[start : start + batch_size]
            predicted, code = _read(model, [layout.forest(sample) for sample in chunk], one_forward=one_forward)
            text = predicted
            if layout.k:
                text, _ = _read(model, [bare.forest(sample) for sample in chunk], one_forward=one_forward)
            parts.append((text, predicted, code))
            if progress is not None:
                progress(min(start + batch_size, len(paired)), len(paired))
    finally:
        model.train(training)
    text, predicted, code = (torch.cat(column) for column in zip(*parts, strict=True))
    return Embeddings(text=text, predicted=predicted, code=code)


@torch.no_grad()
def _read(model: nn.Module, forests: Sequence[Forest], *, one_forward: bool) -> tuple[Tensor, Tensor]:
    packed = pack(forests, pad=0) if one_forward else spread(forests, pad=0)
    device = core(model).device
    batch = PackedBatch.from_tensors({name: tensor.to(device) for name, tensor in packed.tensors().items()})
    # No logits are needed, and a vocabulary is wide.
    hidden = forward(model, batch, kept=batch.label_at[:0], one_forward=one_forward).hidden.flatten(0, 1)
    return _kept(hidden[batch.predicted]), _kept(hidden[batch.target])


def _kept(tensor: Tensor) -> Tensor:
    wide = tensor if tensor.dtype == torch.float64 else tensor.float()
    return wide.cpu()
