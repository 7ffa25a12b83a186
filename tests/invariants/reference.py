"""What packed training must equal, written without the library: every path as a row of its own, and a plain training loop.

A path is a sequence of token ids; -1, -2, ... stand for the predictor slots. Each is run alone and unpadded through the model as
transformers makes it; cross-entropy and cosine are computed by hand.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from llm_jepa.views.tokenize import Sample
from tests.helpers import PAD

Path = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Separate:
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
    return [((*one, *pred), other) for one, other in zip(read, read[1:], strict=False)]


def run_separately(
    model: nn.Module, slots: Tensor, samples: Sequence[Sample], pairs: Sequence[tuple[Path, Path]], *, weight: float
) -> Separate:
    """Return mean cross-entropy of the label tokens + `weight` x mean (1 - cosine) of the pairs, and its gradients."""
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
    loss = torch.stack(costs).mean() + weight * (1 - cosine).mean()
    loss.backward()
    gradients = {name: item.grad for name, item in model.named_parameters() if item.grad is not None}
    if slots.grad is not None:
        gradients["slots"] = slots.grad
    return Separate(loss.detach(), predicted.detach(), target.detach(), gradients)


def _costs(run, sequence) -> list[Tensor]:
    logits = run(sequence.ids)[0]
    chances = logits - logits.exp().sum(1, keepdim=True).log()
    places = [index for index, trained in enumerate(sequence.trained) if trained]
    return [-chances[place - 1, sequence.ids[place]] for place in places]


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
        losses.append(float(loss))
    return losses
