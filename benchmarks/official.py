"""The arithmetic of the official code, and of the obvious way to write the method, as our own rewrites.

Official (docs/fidelity.md): a sample is three rows of 512 tokens (messages, Text, Code), or two with an additive mask that
keeps Text and Code apart in one row; logits for every row, all layers' hidden states, transformers' own loss inside the
model. What is rewritten is what is computed, on our samples with our labels; its tokenisation, search for labels and padding
in Python are left out, which favours it. The obvious way: three forwards with dynamic padding, the views without the output
layer.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedModel

from benchmarks.steps import IGNORED
from benchmarks.timing import Cost
from llm_jepa.model.flops import CostModel
from llm_jepa.views.tokenize import Sample

LENGTH = 512
"""Tokens of every row of the official code."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Right-padded rows of transformers' usual kind; `last` is the last token of each that is no pad."""

    ids: Tensor
    seen: Tensor
    labels: Tensor
    last: Tensor


def _rows(rows: Sequence[Sequence[int]], *, pad: int, length: int, trained: Sequence[Sequence[bool]] = ()) -> Rows:
    ids = torch.full((len(rows), length), pad)
    labels = torch.full((len(rows), length), IGNORED)
    for index, row in enumerate(rows):
        ids[index, : len(row)] = torch.tensor(row)
        if index < len(trained):
            marked = zip(row, trained[index], strict=True)
            labels[index, : len(row)] = torch.tensor([token if on else IGNORED for token, on in marked])
    last = torch.tensor([len(row) for row in rows]) - 1
    return Rows(ids=ids, seen=(torch.arange(length) <= last[:, None]).long(), labels=labels, last=last)


def _distance(text: Tensor, code: Tensor) -> Tensor:
    return (1 - functional.cosine_similarity(text, code, dim=-1)).mean()


def _cost(costs: CostModel, parts: Sequence[tuple[Rows, bool]], samples: int) -> Cost:
    """Return the cost of several forwards, each with logits everywhere or none."""
    shapes = [(rows.ids.shape[0], rows.ids.shape[1], everywhere) for rows, everywhere in parts]
    logits = [count * length * everywhere for count, length, everywhere in shapes]
    return Cost(
        samples=samples,
        labels=sum(int((rows.labels[:, 1:] != IGNORED).sum()) for rows, _ in parts),
        tokens=sum(int(rows.last.sum()) + len(rows.last) for rows, _ in parts),
        positions=sum(count * length for count, length, _ in shapes),
        logits=sum(logits),
        flops=sum(
            costs.step(tokens=count * length, seen=count * length * (length + 1) // 2, labels=labels)
            for (count, length, _), labels in zip(shapes, logits, strict=True)
        ),
    )


def three_rows(model: PreTrainedModel, sample: Sample, *, pad: int) -> tuple[Callable[[], Tensor], Cost]:
    """Return forward and backward over three rows of 512, and its cost; k = 1 with a pad token in the place of [PRED]."""
    sequence, (text, code) = sample.sequences[0], sample.views
    rows = _rows([sequence.ids, (*text.framed, pad), code.framed], pad=pad, length=LENGTH, trained=[sequence.trained])

    def run() -> Tensor:
        output = model(
            input_ids=rows.ids,
            attention_mask=rows.seen,
            labels=rows.labels,
            output_hidden_states=True,
            use_cache=False,
        )
        hidden = output.hidden_states[-1]
        loss = output.loss + _distance(hidden[1:2, rows.last[1]], hidden[2:3, rows.last[2]])
        loss.backward()
        return loss.detach()

    return run, _cost(CostModel.of(model), [(rows, True)], 1)


def two_rows(model: PreTrainedModel, sample: Sample, *, pad: int) -> tuple[Callable[[], Tensor], Cost]:
    """Return forward and backward over two rows of 512, Text and Code apart by an additive mask, and its cost."""
    sequence, (text, code) = sample.sequences[0], sample.views
    first = len(text.framed) + 1
    rows = _rows([sequence.ids, (*text.framed, pad, *code.framed)], pad=pad, length=LENGTH, trained=[sequence.trained])
    key = torch.arange(LENGTH)
    visible = ((key <= key[:, None]) & (rows.seen[:, None] > 0)) | (key == key[:, None])
    visible[1] &= (key >= first) == (key[:, None] >= first)
    mask = torch.zeros(2, 1, LENGTH, LENGTH).masked_fill(~visible[:, None], torch.finfo(torch.float32).min)

    def run() -> Tensor:
        output = model(
            input_ids=rows.ids, attention_mask=mask, labels=rows.labels, output_hidden_states=True, use_cache=False
        )
        hidden = output.hidden_states[-1][1]
        loss = output.loss + _distance(hidden[first - 1], hidden[rows.last[1]])
        loss.backward()
        return loss.detach()

    return run, _cost(CostModel.of(model), [(rows, True)], 1)


def three_forwards(model: PreTrainedModel, samples: Sequence[Sample], *, pad: int) -> tuple[Callable[[], Tensor], Cost]:
    """Return forward and backward of three forwards, each padded to its own longest row, and its cost."""

    def padded(rows: Sequence[Sequence[int]], trained: Sequence[Sequence[bool]] = ()) -> Rows:
        return _rows(rows, pad=pad, length=max(len(row) for row in rows), trained=trained)

    sequences = [sample.sequences[0] for sample in samples]
    messages = padded([sequence.ids for sequence in sequences], [sequence.trained for sequence in sequences])
    text = padded([(*sample.views[0].framed, pad) for sample in samples])
    code = padded([sample.views[1].framed for sample in samples])
    body = model.base_model

    def embedding(rows: Rows) -> Tensor:
        hidden = body(input_ids=rows.ids, attention_mask=rows.seen, use_cache=False).last_hidden_state
        return hidden[torch.arange(len(rows.last)), rows.last]

    def run() -> Tensor:
        output = model(input_ids=messages.ids, attention_mask=messages.seen, labels=messages.labels, use_cache=False)
        loss = output.loss + _distance(embedding(text), embedding(code))
        loss.backward()
        return loss.detach()

    parts = [(messages, True), (text, False), (code, False)]
    return run, _cost(CostModel.of(model), parts, len(samples))
