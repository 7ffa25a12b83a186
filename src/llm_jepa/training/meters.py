"""Running sums between two logs, and over an evaluation: terms, alignment, tokens."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from itertools import zip_longest
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import ExportableState

from llm_jepa.objective.jepa import Terms
from llm_jepa.objective.monitors import alignment
from llm_jepa.packing.batch import Encoded, PackedBatch

RETRIEVAL_CANDIDATES = 1000
"""An evaluation measures alignment on at most this many pairs, the first ones, so that retrieval stays comparable."""


@dataclass(slots=True)
class _Sums:
    """Sums over the optimizer steps since the last log; each micro-batch adds its share of its step.

    `viewed` is the share of the pairs that `jepa` is over: 1 for a step, less for one with pairs that nobody looked at.
    """

    loss: float | Tensor = 0.0
    next_token: float | Tensor = 0.0
    jepa: float | Tensor = 0.0
    viewed: float | Tensor = 0.0
    steps: int = 0


@dataclass(slots=True)
class _Pairs:
    """Embeddings of the pairs of one optimizer step, over its micro-batches."""

    step: int = -1
    predicted: list[Tensor] = field(default_factory=list[Tensor])
    target: list[Tensor] = field(default_factory=list[Tensor])

    def add(self, step: int, encoded: Encoded) -> None:
        if step != self.step:
            self.step, self.predicted, self.target = step, [], []
        self.predicted.append(encoded.predicted.detach())
        self.target.append(encoded.target.detach())


class StepMeter(TrainerCallback, ExportableState):
    """Sums the terms of the steps since the last log; travels with checkpoints, so that resumed logs are the same.

    Attributes:
        left_out: optimizer steps whose update was left out.
    """

    def __init__(self) -> None:
        self._sums = _Sums()
        self._pairs = _Pairs()
        self._last = -1
        self._tokens: float | Tensor = 0.0
        self._seconds = 0.0
        self._began: float | None = None
        self._marked = (self._sums, self._pairs, self._last, self._tokens)
        self.left_out = 0

    def mark(self) -> None:
        """Remember the sums as they are before an optimizer step."""
        self._marked = (replace(self._sums), replace(self._pairs), self._last, self._tokens)

    def wind_back(self) -> None:
        """Take the sums up as they were before the step."""
        sums, pairs, self._last, self._tokens = self._marked
        self._sums, self._pairs = replace(sums), replace(pairs)

    def add(self, step: int, terms: Terms, batch: PackedBatch) -> None:
        """Add one micro-batch of an optimizer step, without its JEPA term."""
        sums = self._sums
        sums.loss = sums.loss + terms.loss.detach()
        sums.next_token = sums.next_token + terms.next_token
        self._tokens = self._tokens + batch.tokens
        sums.steps += step != self._last
        self._last = step

    def watch(self, step: int, terms: Terms, encoded: Encoded, *, viewed: float | Tensor) -> None:
        """Add the JEPA term and the embeddings of one micro-batch, trained or only looked at.

        Args:
            step: the optimizer step.
            terms: of the micro-batch.
            encoded: its pairs.
            viewed: the share of the step's pairs that they are.
        """
        self._sums.jepa = self._sums.jepa + terms.jepa
        self._sums.viewed = self._sums.viewed + viewed
        self._pairs.add(step, encoded)

    def read(self, accelerator: Accelerator) -> dict[str, float]:
        """Return the means over the steps since the last reading, summed over ranks, and begin anew."""
        sums, self._sums = self._sums, _Sums()
        self._last = -1
        parts = torch.tensor(
            [float(part) for part in (sums.loss, sums.next_token, sums.jepa, sums.viewed)], dtype=torch.float64
        )
        loss, next_token, jepa, viewed = _over_ranks(accelerator, parts).tolist()
        if not sums.steps:
            return {"loss": math.nan}  # every step since the last reading was left out
        logs = {"loss": loss / sums.steps, "next_token": next_token / sums.steps}
        if viewed:
            logs["jepa"] = jepa / viewed
            logs |= _alignment(accelerator, self._pairs.predicted, self._pairs.target)
        return logs

    def totals(self, accelerator: Accelerator) -> dict[str, float]:
        """Return the tokens of all ranks and the seconds of training, resumed parts included and pauses left out."""
        self._count_seconds()
        tokens = _over_ranks(accelerator, torch.tensor([float(self._tokens)], dtype=torch.float64))
        return {"tokens": float(tokens), "seconds": self._seconds}

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Stop the clock."""
        del args, state, control, kwargs
        self._count_seconds()
        self._began = None

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Stop the clock for as long as something else is done."""
        self._count_seconds()
        was_running, self._began = self._began is not None, None
        try:
            yield
        finally:
            self._began = time.monotonic() if was_running else None

    def _count_seconds(self) -> None:
        if self._began is not None:
            now = time.monotonic()
            self._seconds, self._began = self._seconds + now - self._began, now

    def collect(self, accelerator: Accelerator) -> None:
        """Give the first process the sums of all, which it alone writes into checkpoints; the others begin anew."""
        if accelerator.num_processes == 1:
            return
        sums = self._sums
        own = [float(part) for part in (sums.loss, sums.next_token, sums.jepa, sums.viewed, self._tokens)]
        whole = _over_ranks(accelerator, torch.tensor(own, dtype=torch.float64))
        loss, next_token, jepa, viewed, self._tokens = (whole * accelerator.is_main_process).tolist()
        self._sums = _Sums(loss=loss, next_token=next_token, jepa=jepa, viewed=viewed, steps=sums.steps)

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        self._count_seconds()
        sums = {name: value if isinstance(value, int) else float(value) for name, value in asdict(self._sums).items()}
        kept = {"sums": sums, "tokens": float(self._tokens), "seconds": self._seconds, "left_out": self.left_out}
        return {"args": {}, "attributes": kept}

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Take up the sums of the checkpoint that training resumes from."""
        del args, control, kwargs
        stored: Any = state.stateful_callbacks
        saved = stored.get(type(self).__name__)
        if state.global_step > 0 and isinstance(saved, Mapping):
            kept = saved["attributes"]
            self._sums, self._tokens, self._seconds = _Sums(**kept["sums"]), kept["tokens"], kept["seconds"]
            self.left_out = kept["left_out"]
            if not state.is_world_process_zero:  # the sums are those of all processes
                self._sums, self._tokens = _Sums(steps=self._sums.steps), 0.0
        self._began = time.monotonic()


class EvaluationMeter:
    """Sums over a held-out set, where every label and every pair counts the same."""

    def __init__(self) -> None:
        self._sums = torch.zeros(4, dtype=torch.float64)
        self._pairs = _Pairs(step=0)

    def add(self, terms: Terms, encoded: Encoded) -> None:
        """Add one batch, whose terms were divided by 1."""
        counts = (encoded.label_nll.numel(), encoded.predicted.shape[0])
        values = [float(terms.next_token), float(terms.jepa), *counts]
        self._sums += torch.tensor(values, dtype=torch.float64)
        if sum(part.shape[0] for part in self._pairs.target) < RETRIEVAL_CANDIDATES:
            self._pairs.add(0, encoded)

    def read(self, accelerator: Accelerator, combine: Callable[[float, float], float], *, prefix: str) -> dict[str, float]:
        """Return the losses and the alignment, with `prefix` before their names."""
        next_token, jepa, labels, pairs = _over_ranks(accelerator, self._sums).tolist()
        next_token, jepa = next_token / max(labels, 1), jepa / max(pairs, 1)
        metrics = {"loss": combine(next_token, jepa), "next_token": next_token}
        if pairs:
            metrics |= {"jepa": jepa} | _alignment(accelerator, self._pairs.predicted, self._pairs.target)
        return {f"{prefix}_{name}": value for name, value in metrics.items()}


def _over_ranks(accelerator: Accelerator, values: Tensor) -> Tensor:
    if accelerator.num_processes == 1:
        return values
    return torch.as_tensor(accelerator.reduce(values.to(accelerator.device), reduction="sum"))


def _alignment(accelerator: Accelerator, predicted: list[Tensor], target: list[Tensor]) -> dict[str, float]:
    """Return the alignment of the pairs of all ranks as log entries; empty for fewer than two.

    The pairs come in the order that one rank would see them in: batch by batch, and in each the ranks in theirs.
    """
    parts = [(one.float().cpu(), other.float().cpu()) for one, other in zip(predicted, target, strict=True)]
    if accelerator.num_processes > 1:
        ranks = gather_object([parts])
        parts = [part for batch in zip_longest(*ranks) for part in batch if part is not None]
    if sum(part[1].shape[0] for part in parts) < 2:
        return {}
    both = [torch.cat([part[side] for part in parts])[:RETRIEVAL_CANDIDATES] for side in (0, 1)]
    found = asdict(alignment(*both))
    return {name: value for name, value in found.items() if name != "pairs"} | {"pairs": found["pairs"]}
