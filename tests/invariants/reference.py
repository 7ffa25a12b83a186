"""What packed training must equal, written without the library: every path as a row of its own, and a plain training loop.

A path is a sequence of token ids; -1, -2, ... stand for the predictor slots. Each is run alone and unpadded through the
model as transformers makes it; cross-entropy and cosine are computed by hand. Only `run_packed` calls the library.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from tests.helpers import PAD
from torch import Tensor, nn
from transformers import PreTrainedModel

from llm_jepa.model.encode import encode
from llm_jepa.objective.jepa import JEPA, Totals
from llm_jepa.packing.collate import pack, spread
from llm_jepa.packing.layout import Forest
from llm_jepa.views.tokenize import Sample, TokenSequence

WEIGHT = 0.7
"""lambda of every comparison."""

Path = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Loss, embeddings of all pairs, and the gradient of every parameter; the slots' under the name `slots`."""

    loss: Tensor
    predicted: Tensor
    target: Tensor
    gradients: dict[str, Tensor]


def shared(sample: Sample, pred: Path) -> list[tuple[Path, Path]]:
    """Text is read behind whatever precedes it in the sequence, Code alone."""
    text, code = sample.views
    return [((*sample.sequences[0].ids[: text.end], *pred), code.ids)]


def separate(sample: Sample, pred: Path) -> list[tuple[Path, Path]]:
    """Both views alone."""
    text, code = sample.views
    return [((*text.ids, *pred), code.ids)]


def framed(sample: Sample, pred: Path) -> list[tuple[Path, Path]]:
    """Both views alone, as the chat template renders them."""
    text, code = sample.views
    return [((*text.framed, *pred), code.framed)]


def prepended(sample: Sample, pred: Path) -> list[tuple[Path, Path]]:
    """The slots stand before Text, and the prediction is read at the end of Text."""
    text, code = sample.views
    before = sample.sequences[0].ids[: text.start]
    return [((*before, *pred, *text.ids), code.ids)]


def code_to_text(sample: Sample, pred: Path) -> list[tuple[Path, Path]]:
    """Code alone predicts Text."""
    text, code = sample.views
    return [((*code.ids, *pred), sample.sequences[0].ids[: text.end])]


def paraphrases(sample: Sample, pred: Path) -> list[tuple[Path, Path]]:
    """Every view predicts the next; each is read where its own sequence ends."""
    read = [(1, *view.ids) for view in sample.views]
    return [((*one, *pred), other) for one, other in pairwise(read)]


def run_separately(
    model: PreTrainedModel, slots: Tensor, samples: Sequence[Sample], pairs: Sequence[tuple[Path, Path]]
) -> Outcome:
    """Return mean cross-entropy of the label tokens + WEIGHT x mean (1 - cosine) of the pairs, and its gradients."""
    slots = slots.detach().clone().requires_grad_()
    table = model.get_input_embeddings()

    def run(path: Path) -> tuple[Tensor, Tensor]:
        rows = [table(torch.tensor([[token]]))[0, 0] if token >= 0 else slots[-token - 1] for token in path]
        output = model(inputs_embeds=torch.stack(rows)[None], output_hidden_states=True, use_cache=False)
        return output.logits[0], output.hidden_states[-1][0]

    costs = [cost for sample in samples for sequence in sample.sequences for cost in _costs(run, sequence)]
    predicted = torch.stack([run(path)[1][-1] for path, _ in pairs])
    target = torch.stack([run(path)[1][-1] for _, path in pairs])
    cosine = (predicted * target).sum(1) / (predicted.square().sum(1).sqrt() * target.square().sum(1).sqrt())
    loss = torch.stack(costs).mean() + WEIGHT * (1 - cosine).mean()
    loss.backward()
    gradients = _gradients(model)
    if slots.grad is not None:
        gradients["slots"] = slots.grad
    return Outcome(loss.detach(), predicted.detach(), target.detach(), gradients)


def _costs(run: Callable[[Path], tuple[Tensor, Tensor]], sequence: TokenSequence) -> list[Tensor]:
    logits = run(sequence.ids)[0]
    chances = logits - logits.exp().sum(1, keepdim=True).log()
    places = [index for index, trained in enumerate(sequence.trained) if trained]
    return [-chances[place - 1, sequence.ids[place]] for place in places]


def _gradients(model: nn.Module) -> dict[str, Tensor]:
    return {name: item.grad for name, item in model.named_parameters() if item.grad is not None}


def run_packed(
    model: nn.Module, forests: Sequence[Forest], *, samples_per_row: int = 1, pad: int = PAD, one_forward: bool = True
) -> Outcome:
    """Return the same from the library: one call over packed rows, or over rows of one path each."""
    batch = pack(forests, pad=pad, samples_per_row=samples_per_row) if one_forward else spread(forests, pad=pad)
    encoded = encode(model, batch, one_forward=one_forward)
    loss = JEPA(weight=WEIGHT)(encoded, Totals(labels=len(batch.label), pairs=len(batch.predicted))).loss
    loss.backward()
    gradients = {name.replace("jepa_predictor.weight", "slots"): item for name, item in _gradients(model).items()}
    return Outcome(loss.detach(), encoded.predicted.detach(), encoded.target.detach(), gradients)


def assert_same(found: Outcome, expected: Outcome, tolerance: tuple[float, float, float]) -> None:
    """Compare loss, embeddings, gradients with one absolute tolerance each, in this order."""
    loss, embeddings, gradients = tolerance
    torch.testing.assert_close(found.loss, expected.loss, atol=loss, rtol=0)
    torch.testing.assert_close(found.predicted, expected.predicted, atol=embeddings, rtol=0)
    torch.testing.assert_close(found.target, expected.target, atol=embeddings, rtol=0)
    assert found.gradients.keys() == expected.gradients.keys()
    for name, values in expected.gradients.items():
        torch.testing.assert_close(
            found.gradients[name], values, atol=gradients, rtol=0, msg=lambda text, name=name: f"{name}: {text}"
        )


def train_plainly(
    model: nn.Module, samples: Sequence[Sample], *, batch: int, steps: int, learning_rate: float, clip: float
) -> list[float]:
    """Train in place with torch alone: AdamW, linear decay to 0, samples in order; return the losses."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=0.0)
    losses: list[float] = []
    for step in range(steps):
        chosen = [samples[(step * batch + index) % len(samples)] for index in range(batch)]
        length = max(len(sample.sequences[0].ids) for sample in chosen)
        rows = [[*sample.sequences[0].ids, *[PAD] * (length - len(sample.sequences[0].ids))] for sample in chosen]
        logits = model(input_ids=torch.tensor(rows), use_cache=False).logits
        chances = torch.log_softmax(logits, dim=-1)
        costs = [
            -chances[row, place - 1, sample.sequences[0].ids[place]]
            for row, sample in enumerate(chosen)
            for place, trained in enumerate(sample.sequences[0].trained)
            if trained
        ]
        loss = torch.stack(costs).mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), clip)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * (1 - step / steps)
        optimizer.step()
        losses.append(loss.item())
    return losses
