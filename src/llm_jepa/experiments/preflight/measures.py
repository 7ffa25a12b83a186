"""What a probe measures on a model: the gradients of the two terms, the memory of a step, the time of a batch of answers."""

import math
import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeGuard

import psutil
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from llm_jepa.experiments.answers import Limits, answer_limit, answerer, scorer_of, stops
from llm_jepa.experiments.experiment import Experiment
from llm_jepa.experiments.material import Material, source_of
from llm_jepa.model.encode import encode
from llm_jepa.model.parts import core
from llm_jepa.objective.jepa import JEPA, Scope, Totals
from llm_jepa.packing.batch import PackedBatch
from llm_jepa.tasks.task import TEST, VALIDATION
from llm_jepa.training.trainer import JEPATrainer
from llm_jepa.views.tokenize import Sample

ANSWER_TOKENS = 16
"""Tokens of the answers whose time is measured; longer ones are reckoned from it."""

_LIMIT = Path("/sys/fs/cgroup/memory.max")
"""What Linux lets the processes of a container have, in bytes, or "max"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gradients:
    """The gradients of the two terms on one model, over the weights that both reach.

    Attributes:
        next_token: norm of the gradient of the mean negative log-likelihood.
        jepa: norm of the gradient of the mean distance.
        cosine: between the two; below 0 they pull against each other.
    """

    next_token: float
    jepa: float
    cosine: float

    def equal_weight(self, gamma: float) -> float | None:
        """Return the weight at which both terms move the model alike; None where the JEPA term does not move it."""
        return None if self.jepa == 0 else gamma * self.next_token / self.jepa


def gradients(trainer: JEPATrainer, objective: JEPA, samples: Sequence[Sample]) -> Gradients:
    """Return the gradients of both terms over some samples, taken together as one optimizer step.

    Args:
        trainer: gives model, packing and the size of a micro-batch, on which a contrastive distance depends.
        objective: gives the distance.
        samples: each with two views.
    """
    size, model = trainer.args.per_device_train_batch_size, trainer.trained
    batches = [_packed(trainer, samples[start : start + size]) for start in range(0, len(samples), size)]
    totals = Totals(
        labels=sum(batch.label.numel() for batch in batches), pairs=sum(batch.predicted.numel() for batch in batches)
    )
    step = replace(objective, normalization=Scope.step)
    terms = (replace(step, gamma=1.0, weight=0.0), replace(step, gamma=0.0, weight=1.0, dropout=0.0))
    trained = [part for part in model.parameters() if part.requires_grad]
    sums: tuple[list[Tensor | None], ...] = ([None] * len(trained), [None] * len(trained))
    training = model.training
    model.eval()
    for batch in batches:
        with trainer.accelerator.autocast():
            encoded = encode(model, batch, one_forward=trainer.one_forward)
            losses = [term(encoded, totals).loss for term in terms]
        for loss, into in zip(losses, sums, strict=True):
            found = torch.autograd.grad(loss, trained, retain_graph=loss is losses[0], allow_unused=True)
            into[:] = [_plus(old, new) for old, new in zip(into, found, strict=True)]
    model.train(training)
    return _compared(*sums)


def _packed(trainer: JEPATrainer, samples: Sequence[Sample]) -> PackedBatch:
    collate: Any = trainer.data_collator
    tensors = collate([{"sample": sample} for sample in samples])["full"]
    return PackedBatch.from_tensors({name: item.to(trainer.args.device) for name, item in tensors.items()})


def _plus(old: Tensor | None, new: Tensor | None) -> Tensor | None:
    if old is None or new is None:
        return new if old is None else old
    return old + new


def _compared(one: Sequence[Tensor | None], other: Sequence[Tensor | None]) -> Gradients:
    pairs = [(a.float(), b.float()) for a, b in zip(one, other, strict=True) if _reaches(a) and _reaches(b)]
    products = [sum(float((a * b).sum()) for a, b in chosen) for chosen in _squares(pairs)]
    next_token, jepa, across = math.sqrt(products[0]), math.sqrt(products[1]), products[2]
    cosine = across / (next_token * jepa) if next_token * jepa else 0.0
    return Gradients(next_token=next_token, jepa=jepa, cosine=cosine)


def _reaches(gradient: Tensor | None) -> TypeGuard[Tensor]:
    """Return whether a term depends on a weight: the output layer serves one of them alone, and the slots the other."""
    return gradient is not None and bool(gradient.any())


def _squares(pairs: Sequence[tuple[Tensor, Tensor]]) -> tuple[list[tuple[Tensor, Tensor]], ...]:
    return [(a, a) for a, _ in pairs], [(b, b) for _, b in pairs], list(pairs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Where the memory of the device goes, in bytes.

    Attributes:
        weights: all of them.
        gradients: of the trained ones.
        optimizer: its states.
        activations: what one micro-batch of the longest samples keeps for the backward pass.
        peak: the most that was held in the probing steps: of the device, or on a CPU of the whole process.
        available: what there is in all.
    """

    weights: int
    gradients: int
    optimizer: int
    activations: int
    peak: int
    available: int

    @property
    def needed(self) -> int:
        """The sum of the parts, or the measured peak if that is more."""
        return max(self.weights + self.gradients + self.optimizer + self.activations, self.peak)


def weight_bytes(model: nn.Module) -> tuple[int, int]:
    """Return the bytes of all weights, and of those that are trained."""
    sizes = [(part.numel() * part.element_size(), part.requires_grad) for part in model.parameters()]
    return sum(size for size, _ in sizes), sum(size for size, trained in sizes if trained)


def available_memory(device: torch.device) -> int:
    """Return what the device has in all, in bytes; on a CPU what the container or the machine lets a process have."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    machine = psutil.virtual_memory().total
    limit = _LIMIT.read_text(encoding="ascii").strip() if _LIMIT.is_file() else ""
    return min(machine, int(limit)) if limit.isdecimal() else machine


def peak_memory(device: torch.device) -> int:
    """Return the most that was held so far, in bytes."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def memory(trainer: JEPATrainer, samples: Sequence[Sample]) -> Memory:
    """Return where the memory goes, behind some steps of the trainer.

    Args:
        trainer: has taken a step, so its optimizer has states and checkpointing of gradients is on if it was asked for.
        samples: all training samples.
    """
    device, model = trainer.args.device, trainer.trained
    peak = peak_memory(device)
    optimizer: Any = trainer.optimizer
    states = [item for state in optimizer.state.values() for item in state.values() if isinstance(item, Tensor)]
    weights, trained = weight_bytes(model)
    longest = sorted(samples, key=lambda sample: trainer.layout.forest(sample).tokens, reverse=True)
    batch = _packed(trainer, longest[: trainer.args.per_device_train_batch_size])
    return Memory(
        weights=weights,
        gradients=trained,
        optimizer=sum(item.numel() * item.element_size() for item in states),
        activations=_kept_bytes(trainer, batch),
        peak=peak,
        available=available_memory(device),
    )


def _kept_bytes(trainer: JEPATrainer, batch: PackedBatch) -> int:
    """Return the bytes that one forward keeps for its backward pass, weights apart."""
    model = trainer.trained
    own = {part.untyped_storage().data_ptr() for part in model.parameters()}
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    training = model.training
    model.train()
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor), trainer.accelerator.autocast():
        encoded = encode(model, batch, one_forward=trainer.one_forward)
        totals = Totals(labels=batch.label.numel(), pairs=batch.predicted.numel())
        loss = trainer.objective(encoded, totals).loss
    model.train(training)
    del loss
    return sum(kept.values())


def scoring_seconds(experiment: Experiment, material: Material, model: PreTrainedModel) -> float | None:
    """Return the most that answering all held-out examples once can take, in seconds; None where there are none.

    One batch is answered, of a few tokens; every answer is taken to be as long as it may be.
    """
    held_out = {TEST: material.examples.test, VALIDATION: material.examples.validation}
    split = next((name for name, examples in held_out.items() if examples and examples[0].messages), None)
    if split is None:
        return None
    examples = held_out[split][: experiment.evaluation.batch_size]
    source = source_of(experiment.data, split) or experiment.data.train
    limit = answer_limit(source, experiment.evaluation)
    limits = Limits(
        stop_ids=stops(model, material.tokenizer, material.train[:100]),
        max_new_tokens=min(limit, ANSWER_TOKENS),
        batch_size=len(examples),
    )
    scorer = scorer_of(source, experiment.evaluation, folder=Path(experiment.data.folder))
    answers = answerer(core(model), material.tokenizer, scorer, limits)
    items = answers.items(material.tokenizer, examples)
    answers.check(items)
    began = time.monotonic()
    made = answers.answer(items)
    seconds = time.monotonic() - began
    tokens = max((prediction.tokens for prediction in made), default=0)
    longer = limit / tokens if tokens and not any(prediction.likelihoods for prediction in made) else 1.0
    total = sum(len(found) for found in held_out.values())
    return seconds * longer * total / len(examples)
