"""Small trainings that several processes must do as one does: engines, objectives, adapters, accumulation, epochs' ends."""

from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from tests.distributed.cpu_shards import shards_on_cpus
from tests.helpers import conversations, packed_model, train
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from llm_jepa.model.lora import LoRA, with_adapters
from llm_jepa.objective.distances import InfoNCE
from llm_jepa.objective.jepa import JEPA, Scope

TOGETHER = 8
"""Samples of a micro-batch, over all processes."""

ENGINES: dict[str, dict[str, Any]] = {
    "ddp": {},
    "fsdp2": {"fsdp": True, "fsdp_config": {"state_dict_type": "FULL_STATE_DICT"}},
    "fsdp2-sharded-checkpoints": {"fsdp": True, "fsdp_config": {"state_dict_type": "SHARDED_STATE_DICT"}},
}


@dataclass(frozen=True, kw_only=True)
class Case:
    """A training: 3 optimizer steps, or whole epochs.

    Attributes:
        objective: what is minimised.
        accumulation: micro-batches of an optimizer step.
        lora: adapters instead of all weights.
        samples: size of the training set.
        options: more arguments of the training.
        alone: the same case for one process, where it is to be written in another way.
        batch: samples of a micro-batch over all processes.
    """

    objective: JEPA
    accumulation: int = 1
    lora: bool = False
    samples: int = 32
    options: dict[str, Any] = field(default_factory=lambda: {"steps": 3})
    alone: "Case | None" = None
    batch: int = TOGETHER


UNEVEN: dict[str, Any] = {"steps": -1, "num_train_epochs": 2}
OFFICIAL = JEPA(weight=1.0, normalization=Scope.micro_batch)
HALF = Case(objective=JEPA(gamma=0.5, weight=0.5, normalization=Scope.micro_batch), batch=4, accumulation=2)

CASES: dict[str, Case] = {
    "cosine": Case(objective=JEPA(weight=1.0)),
    "accumulation": Case(objective=JEPA(weight=1.0), accumulation=2),
    "infonce": Case(objective=JEPA(weight=0.5, distance=InfoNCE()), accumulation=2),
    "dropout": Case(objective=JEPA(weight=1.0, dropout=0.5), accumulation=2),
    "lora": Case(objective=JEPA(weight=1.0), lora=True),
    "lora-infonce": Case(objective=JEPA(weight=0.5, distance=InfoNCE()), lora=True),
    "uneven": Case(objective=JEPA(weight=1.0), accumulation=2, samples=21, options=UNEVEN),
    "uneven-infonce": Case(objective=JEPA(weight=0.5, distance=InfoNCE()), samples=20, options=UNEVEN),
    "uneven-dropout": Case(objective=JEPA(weight=1.0, dropout=0.5), accumulation=2, samples=20, options=UNEVEN),
    "plain": Case(objective=JEPA(weight=0.0), samples=20, options=UNEVEN),
    "micro-batches": Case(objective=OFFICIAL, alone=HALF),
}

SAVED: dict[str, Any] = {"steps": 5, "save_strategy": "steps", "save_steps": 3}
RESUMED = Case(objective=JEPA(weight=1.0, dropout=0.5), samples=20, accumulation=2, options=SAVED)
"""Two steps an epoch: the checkpoint lies within the second of three."""


@dataclass(frozen=True)
class Outcome:
    """What a training did.

    Attributes:
        weights: every parameter at the end, whole.
        gradients: by "step/parameter", as the optimizer takes them.
        logs: what was logged at every step.
    """

    weights: dict[str, Tensor]
    gradients: dict[str, Tensor]
    logs: list[dict[str, Any]]


def whole(tensor: Tensor) -> Tensor:
    """Return a copy of a tensor that may be sharded."""
    return (tensor.full_tensor() if isinstance(tensor, DTensor) else tensor).detach().clone()


@dataclass
class Gradients(TrainerCallback):
    """Keeps the gradients of every step."""

    kept: dict[str, Tensor] = field(default_factory=dict)

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        del args, control
        model: nn.Module = kwargs["model"]
        for name, parameter in model.named_parameters():
            if parameter.grad is not None:
                self.kept[f"{state.global_step}/{name}"] = whole(parameter.grad)


def run(case: Case, folder: Path, *, engine: str = "ddp", ranks: int = 1, resume: Path | None = None) -> Outcome:
    """Train as one of so many processes."""
    chosen = case.alone or case if ranks == 1 else case
    model: Any = packed_model("llama", k=2, dtype=torch.float64)
    if chosen.lora:
        model = with_adapters(model, LoRA(rank=4), k=2, seed=0)
    gradients = Gradients()
    engine_options = ENGINES[engine]
    with shards_on_cpus() if "fsdp" in engine_options else nullcontext():
        logs = train(
            model,
            conversations(chosen.samples),
            chosen.objective,
            folder=folder,
            batch=chosen.batch // ranks,
            accumulation=chosen.accumulation,
            resume=resume,
            callbacks=[gradients],
            **(engine_options | chosen.options),
        )
        weights = {name: whole(parameter) for name, parameter in model.named_parameters()}
    return Outcome(weights, gradients.kept, logs)
