"""Steps whose loss or gradient is not finite: they are named with their samples, and never reach the weights.

The check stands between the gradient and the optimizer. The norm of the gradient is there already, for clipping, and the
same on all processes; the losses are not, so that the processes agree by a reduction of one number. Reading that number is
the only point of a step where the host waits for the device.
"""

import logging
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from math import isfinite
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, distributed, nn
from torch.distributed.tensor import DTensor
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from llm_jepa.errors import UserError
from llm_jepa.views.tokenize import Sample

logger = logging.getLogger(__name__)

SAMPLES = "samples"
"""Under this key a batch carries the samples that it was made of."""
_NAMED = 8


class OnNan(Enum):
    """What a step does whose loss or gradient is not finite.

    Members:
        stop: it ends the run, with the weights of the step before saved.
        skip: its update is left out, and counted.
    """

    stop = "stop"
    skip = "skip"


@dataclass(frozen=True, slots=True)
class WithSamples:
    """A collator whose batches also carry the samples, to name them.

    Attributes:
        collate: makes a batch of `[{"sample": Sample, ...}, ...]`.
    """

    collate: Callable[[Sequence[dict[str, Any]]], dict[str, Any]]

    def __call__(self, features: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Return the batch and its samples."""
        samples = tuple(feature["sample"] for feature in features if feature["sample"] is not None)  # None is a blank
        return self.collate(features) | {SAMPLES: samples}


class Training(Protocol):
    """What a guard needs of a trainer."""

    def wind_back(self) -> None:
        """Put the sums and counts back to what they were before the step."""
        ...

    def leave_out(self) -> int:
        """Count the step as left out, and its sums as not made; return how many there were so far."""
        ...

    def save_once(self) -> None:
        """Save a checkpoint, unless there is one of this step."""
        ...

    def faulty(self, samples: Sequence[Sample]) -> list[str]:
        """Return the names of the samples that have no finite loss or gradient by themselves."""
        ...


class Guard(TrainerCallback):
    """Keeps updates that are not finite from the weights.

    Args:
        training: the trainer.
        policy: what happens to such a step.
        own_steps: the trainer calls the optimizer itself; an engine that does so before it is asked can only be stopped.

    Raises:
        UserError: steps are to be left out, and an engine takes them by itself.
    """

    def __init__(self, training: Training, policy: OnNan, *, own_steps: bool = True) -> None:
        if policy is OnNan.skip and not own_steps:
            raise UserError("on_nan: skip does not work with DeepSpeed, which takes its steps by itself; set on_nan: stop")
        self._training, self._policy, self._own_steps = training, policy, own_steps
        self._losses: list[Tensor] = []
        self._samples: list[Sequence[Sample]] = []
        self._norm: Tensor | None = None
        self._random: Mapping[str, Any] = {}
        self._fresh = True

    def watched(self, clip: Callable[..., Tensor | None]) -> Callable[..., Tensor | None]:
        """Return `clip`, which clips gradients and returns their norm, as a function that also keeps it here."""

        def clip_and_keep(*given: Any, **options: Any) -> Tensor | None:
            self._norm = clip(*given, **options)
            return self._norm

        return clip_and_keep

    def add(self, loss: Tensor, samples: Sequence[Sample]) -> None:
        """Add a micro-batch of the step."""
        self._losses.append(loss.detach())
        self._samples.append(samples)

    def on_epoch_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Keep the generators as a checkpoint at the end of an epoch has them: the next one draws its order first."""
        del args, state, control, kwargs
        self._random, self._fresh = _generators(), True

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Keep the generators as they are before the step."""
        del args, state, control, kwargs
        if not self._fresh:
            self._random = _generators()
        self._fresh = False
        self._losses, self._samples, self._norm = [], [], None

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Stop, or leave the update out, where it is not finite.

        Raises:
            UserError: it is not finite, and the policy is to stop.
        """
        del control
        scaled = args.fp16 and args.device.type != "cpu"  # then infinite gradients are how the scale of the loss is found
        if self._finite(kwargs["model"], losses_alone=scaled):
            return
        kwargs["optimizer"].zero_grad(set_to_none=True)  # without gradients, an optimizer passes over weights and moments
        found = self._described(state.global_step + 1)
        if self._policy is OnNan.skip:
            count = self._training.leave_out()
            if state.is_world_process_zero:
                logger.warning("%s; its update is left out (so far: %d)", found, count)
            return
        raise UserError(
            f"{found}. {self._saved(state.global_step)}; a smaller training.learning_rate may help, and "
            "`--on_nan skip` leaves the updates of such steps out and continues from there"
        )

    def _finite(self, model: nn.Module, *, losses_alone: bool) -> bool:
        flag = torch.stack(self._losses).isfinite().all()
        if not losses_alone:
            flag = flag & _whole(gradient_norm(model) if self._norm is None else self._norm).isfinite().to(flag.device)
        flag = flag.int()
        if _ranks() > 1:
            distributed.all_reduce(flag, op=distributed.ReduceOp.MIN)
        return bool(flag)

    def _described(self, step: int) -> str:
        """Return what was found in which samples, those of all processes."""
        losses = [float(loss) for loss in self._losses]
        wrong = [loss for loss in losses if not isfinite(loss)]
        suspects = [
            sample
            for loss, samples in zip(losses, self._samples, strict=True)
            if not (wrong and isfinite(loss))
            for sample in samples
        ]
        names = self._training.faulty(suspects) or [sample.name for sample in suspects]
        found: list[tuple[list[float], list[str]]] = [(wrong, names)]
        if _ranks() > 1:
            gathered: list[Any] = [None] * _ranks()
            distributed.all_gather_object(gathered, found[0])
            found = gathered
        wrong = [loss for losses, _ in found for loss in losses]
        names = [name for losses, names in found if losses or not wrong for name in names]
        what = f"the loss is {wrong[0]}" if wrong else "the loss is finite and its gradient is not"
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        return f"step {step}: {what}, in {', '.join(names[:_NAMED])}{more}"

    def _saved(self, step: int) -> str:
        if not self._own_steps:
            return "Nothing of this step is saved; the checkpoint before it is"
        self._training.wind_back()
        _restore(self._random)
        self._training.save_once()
        return (
            f"The weights are those after step {step}, and saved" if step else "It is the first step, and nothing is saved"
        )


def gradient_norm(model: nn.Module) -> Tensor:
    """Return the norm of all gradients of a model."""
    return torch.nn.utils.get_total_norm([part.grad for part in model.parameters() if part.grad is not None])


def descends(loss: Tensor, model: nn.Module) -> bool:
    """Return whether a loss and its gradient are finite; no gradient is kept."""
    weights = [part for part in model.parameters() if part.requires_grad]
    gradients = torch.autograd.grad(loss, weights, allow_unused=True)
    return all(bool(part.isfinite().all()) for part in (loss, *gradients) if part is not None)


def finite_logs(logs: Mapping[str, float]) -> dict[str, float]:
    """Return the entries of a log that are finite; JSON has no others."""
    return {name: value for name, value in logs.items() if isfinite(value)}


def finite_weights(model: nn.Module) -> bool:
    """Return whether all trained weights are finite, on all processes."""
    parts = [part for part in model.parameters() if part.requires_grad]
    flags = [(part.to_local() if isinstance(part, DTensor) else part).isfinite().all() for part in parts]
    flag = torch.stack(flags).all().int() if flags else torch.ones((), dtype=torch.int)
    if _ranks() > 1:
        distributed.all_reduce(flag, op=distributed.ReduceOp.MIN)
    return bool(flag)


def _ranks() -> int:
    return distributed.get_world_size() if distributed.is_initialized() else 1


def _whole(norm: Tensor | float) -> Tensor:
    return norm.full_tensor() if isinstance(norm, DTensor) else torch.as_tensor(norm)


def _generators() -> Mapping[str, Any]:
    kept = {"python": random.getstate(), "numpy": np.random.get_state(), "torch": torch.get_rng_state()}
    return kept | ({"cuda": torch.cuda.get_rng_state_all()} if torch.cuda.is_initialized() else {})


def _restore(kept: Mapping[str, Any]) -> None:
    random.setstate(kept["python"])
    np.random.set_state(kept["numpy"])
    torch.set_rng_state(kept["torch"])
    if "cuda" in kept:
        torch.cuda.set_rng_state_all(kept["cuda"])
