"""`JEPATrainer`: transformers' Trainer with one model call and one objective call per micro-batch.

Overridden hooks of Trainer, and why: the data loaders give every sample once, however many ranks there are;
`get_batch_samples` counts label tokens and pairs of the whole optimizer step over all ranks, which every term is divided by;
`compute_loss` makes the call; `log` adds the named terms and the monitors; `evaluation_loop` does the same over a held-out
set; `floating_point_ops` counts what is computed; `_save_checkpoint` has the first process know the sums of all.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import TrainingArguments
from transformers.trainer_utils import EvalLoopOutput

from llm_jepa.model.attention import rows_for
from llm_jepa.model.encode import encode
from llm_jepa.model.flops import CostModel
from llm_jepa.model.head import LOGITS, knows_tail
from llm_jepa.model.parts import core
from llm_jepa.model.slots import train_slots
from llm_jepa.objective.jepa import Objective, Totals
from llm_jepa.packing.batch import Encoded, PackedBatch
from llm_jepa.packing.collate import SEEN, Collator
from llm_jepa.packing.layout import Layout
from llm_jepa.training.even import evened
from llm_jepa.training.gather import gather_candidates
from llm_jepa.training.meters import EvaluationMeter, StepMeter
from llm_jepa.training.nonfinite import SAMPLES, Guard, OnNan, WithSamples, descends, finite_logs
from llm_jepa.training.safe import SafeTrainer
from llm_jepa.training.samples import Samples, packed_arguments
from llm_jepa.training.sharded import check_shardable, is_sharded, whole
from llm_jepa.training.start import check_arguments, check_start, compile_by_layers, shortest
from llm_jepa.training.stream import FAILURE, PassOver, Stream, StreamSource
from llm_jepa.views.tokenize import Sample


class JEPATrainer(SafeTrainer):
    """Trains a causal language model with an objective over views.

    The model must have been prepared by `llm_jepa.model.load.prepare` (attention, predictor slots).

    Args:
        model: the prepared model, or a peft model around it.
        args: plain `TrainingArguments`; `remove_unused_columns` is without effect.
        objective: what is minimised.
        layout: how samples become segments; its k must be the model's.
        samples: the tokenised training set.
        eval_samples: a held-out set for `evaluate`.
        stream: train on this instead of `samples`, which are then only what the model is checked with.
        samples_per_row: how many samples share a row; None: as many as pay off with the model's attention.
        one_forward: pack; else every segment gets a row of its own.
        on_nan: what a step does whose loss or gradient is not finite.
        options: more arguments of `Trainer`, such as `processing_class` or `callbacks`.

    Raises:
        UserError: the model cannot be packed, or its layers not be compiled, or there are several devices without a
            distributed launch (DataParallel splits packed rows wrongly).
    """

    def __init__(  # noqa: PLR0913 - Trainer's, and one for each stage before it
        self,
        *,
        model: nn.Module,
        args: TrainingArguments,
        objective: Objective,
        layout: Layout,
        samples: Sequence[Sample],
        eval_samples: Sequence[Sample] | None = None,
        stream: StreamSource | None = None,
        samples_per_row: int | None = None,
        one_forward: bool = True,
        on_nan: OnNan = OnNan.stop,
        **options: Any,
    ) -> None:
        check_arguments(args, model)
        train_slots(model, trained=objective.trains_views)
        self.objective, self.layout, self.one_forward = objective, layout, one_forward
        self._meter = StepMeter()
        rows = rows_for(model, args.device, samples_per_row)
        collate = WithSamples(
            Collator(layout=layout, pad=0, rows=rows, one_forward=one_forward, plain=not objective.always_uses_views)
        )
        if args.dataloader_num_workers:  # workers are forks, of which the tokenizers library would warn
            os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        self._samples = samples
        self._stream = None if stream is None else Stream.of_process(stream, collate, layout, args)
        super().__init__(
            model=model,
            args=packed_arguments(args),
            train_dataset=self._stream or Samples(samples),
            eval_dataset=None if eval_samples is None else Samples(eval_samples),
            data_collator=collate,
            **options,
        )
        if self._stream is not None:
            self.add_callback(PassOver(self._stream))
        compile_by_layers(args, model, self.accelerator)
        check_shardable(self.accelerator, model)
        # The loss is divided by the totals of the whole step here, so Trainer must not divide it again.
        self.model_accepts_loss_kwargs = True
        self._cost = CostModel.of(core(model))
        self.add_callback(self._meter)
        self._guard = Guard(self, on_nan, own_steps=not self.is_deepspeed_enabled)
        self._flops = (0.0, 0.0)
        self.accelerator.clip_grad_norm_ = self._guard.watched(self.accelerator.clip_grad_norm_)  # Trainer tells no callback
        self.add_callback(self._guard)
        with self.compute_loss_context_manager():
            self._logits_at_once = LOGITS if knows_tail(self.trained) else None
        if one_forward:
            check_start(self, [layout.forest(sample) for sample in shortest(samples)], rows=rows)

    @property
    def streams(self) -> bool:
        """Whether the training set is a stream, which has no length."""
        return self._stream is not None

    def leave_stream(self) -> None:
        """Go on with the samples that the model was checked with, which have a length: for a training that is at its end."""
        self._stream, self.train_dataset = None, Samples(self._samples)

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Return the loader of the training set; a stream shares itself between processes and workers."""
        if self._stream is None:
            return evened(super().get_train_dataloader(), ranks=self.accelerator.num_processes)
        return self._stream.loader(workers=self.args.dataloader_num_workers, pin_memory=self.args.dataloader_pin_memory)

    @property
    def trained(self) -> nn.Module:
        """The model that is trained, without Trainer's wrappers."""
        found: Any = self.accelerator.unwrap_model(self.model)
        return found

    def flops(self) -> float:
        """Return the operations done so far by all ranks, resumed parts included."""
        self.store_flos()
        return self.state.total_flos

    @property
    def sharded(self) -> bool:
        """Whether the weights are spread over the processes, so that all have to call the model alike."""
        return is_sharded(self.accelerator)

    def whole(self, build: Callable[[], nn.Module]) -> nn.Module:
        """Return, in the first process, the trained model with all of its weights (`training.sharded.whole`)."""
        wrapped: Any = self.model_wrapped
        return whole(self.accelerator, wrapped, trained=self.trained, build=build)

    def totals(self) -> dict[str, float]:
        """Return what training has cost so far, resumed parts included: `tokens` and `flops` of all ranks, and `seconds`."""
        return self._meter.totals(self.accelerator) | {"flops": self.flops()}

    @property
    def left_out(self) -> int:
        """Optimizer steps whose update was left out, because it was not finite."""
        return self._meter.left_out

    def paused(self) -> AbstractContextManager[None]:
        """Return a context whose duration is no part of the seconds of training."""
        return self._meter.paused()

    def get_eval_dataloader(self, eval_dataset: Any = None) -> DataLoader[Any]:
        """Return the batches of this rank, blanks in the last ones where the ranks cannot divide the samples."""
        return evened(super().get_eval_dataloader(eval_dataset), ranks=self.accelerator.num_processes)

    def get_batch_samples(self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device) -> Any:
        """Return the micro-batches of one optimizer step, and the totals of all of them on all ranks."""
        self._meter.mark()
        self._flops = (self.current_flos, self.state.total_flos)
        batches, _ = super().get_batch_samples(epoch_iterator, num_batches, device)
        for index, batch in enumerate(batches):
            if FAILURE in batch:
                raise batch[FAILURE]
            batch["micro_batch"] = index
        labels = sum(batch["full"]["label"].numel() for batch in batches)
        pairs = sum(batch["full"]["predicted"].numel() for batch in batches)
        if self.accelerator.num_processes == 1:
            return batches, Totals(labels=labels, pairs=pairs)
        counts = torch.tensor([labels, pairs]).to(device, non_blocking=True)
        summed: Any = self.accelerator.reduce(counts, reduction="sum")
        return batches, Totals(labels=summed[0], pairs=summed[1], ranks=self.accelerator.num_processes)

    def compute_loss(
        self,
        model: nn.Module,
        inputs: Any,
        return_outputs: bool = False,  # noqa: FBT001, FBT002 - Trainer's signature
        num_items_in_batch: Any = None,
    ) -> Any:
        """Return the micro-batch's share of the step's loss, times the number of ranks that DDP averages over."""
        step, totals = self.state.global_step, num_items_in_batch
        uses_views = self._uses_views(inputs)
        batch = PackedBatch.from_tensors(inputs["full" if uses_views else "plain"])
        encoded = self._encode(model, batch)
        terms = self.objective(encoded, totals)
        self._meter.add(step, terms, batch)
        if uses_views:
            self._meter.watch(step, terms, encoded, viewed=totals.share_of_pairs(batch.predicted.numel()))
        elif self._is_logged(step):
            self._monitor(model, inputs["full"], totals)
        self._guard.add(terms.loss, inputs[SAMPLES])
        loss = terms.loss * self.accelerator.num_processes
        return (loss, encoded) if return_outputs else loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log, with the named terms, the monitors and the costs so far beside the training loss."""
        if "loss" in logs:
            logs = finite_logs(logs | self._meter.read(self.accelerator) | self.totals())
        super().log(logs, start_time)

    def wind_back(self) -> None:
        """Put the sums and counts back to what they were before the step at work."""
        self._meter.wind_back()
        self.current_flos, self.state.total_flos = self._flops

    def leave_out(self) -> int:
        """Count the step at work as left out, and its sums as not made; return how many there were so far."""
        self._meter.wind_back()
        self._meter.left_out += 1
        return self._meter.left_out

    def faulty(self, samples: Sequence[Sample]) -> list[str]:
        """Return the names of the samples without a finite loss or gradient of their own; none where weights are sharded."""
        if self.is_fsdp_enabled or self.is_deepspeed_enabled:
            return []
        model, names = self.trained, list[str]()
        model.eval()
        for sample in samples:
            inputs: Any = self._prepare_inputs(self.data_collator([{"sample": sample}]) | {"micro_batch": 0})
            batch = PackedBatch.from_tensors(inputs["full" if self._uses_views(inputs) else "plain"])
            with self.compute_loss_context_manager():
                loss = self.objective(self._alone(model, batch), Totals(labels=1, pairs=1)).loss
            if not descends(loss, model):
                names.append(sample.name)
        model.train()
        return names

    def evaluation_loop(
        self,
        dataloader: DataLoader[Any],
        description: str,
        prediction_loss_only: bool | None = None,  # noqa: FBT001 - Trainer's signature
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> EvalLoopOutput:
        """Return both losses and the monitors over a held-out set; nothing is trained."""
        del description, prediction_loss_only, ignore_keys
        model: nn.Module = self.model_wrapped  # pyright: ignore[reportAssignmentType] - never None after __init__
        model.eval()
        meter = EvaluationMeter()
        with torch.no_grad(), self.compute_loss_context_manager():
            for inputs in dataloader:
                moved: Any = self._prepare_inputs(inputs)
                encoded = self._encode(model, PackedBatch.from_tensors(moved["full"]))
                meter.add(self.objective(encoded, Totals(labels=1, pairs=1)), encoded)
        metrics = meter.read(self.accelerator, self.objective.combine, prefix=metric_key_prefix)
        samples = self.num_examples(dataloader)
        return EvalLoopOutput(predictions=np.empty(0), label_ids=None, metrics=metrics, num_samples=samples)

    def floating_point_ops(self, inputs: Any) -> int:
        """Return the operations of a micro-batch: of its tokens, pads included, and of all that they see."""
        name = "full" if self._uses_views(inputs) else "plain"
        batch = inputs[name]
        return self._cost.step(tokens=batch["input_ids"].numel(), seen=inputs[SEEN][name], labels=batch["label"].numel())

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        self._meter.collect(self.accelerator)
        super()._save_checkpoint(model, trial)

    def _uses_views(self, inputs: Any) -> bool:
        place = {"step": self.state.global_step, "micro_batch": inputs["micro_batch"]}
        return self.objective.uses_views(seed=self.args.seed, **place)

    def _alone(self, model: nn.Module, batch: PackedBatch) -> Encoded:
        return encode(model, batch, one_forward=self.one_forward, logits_at_once=self._logits_at_once)

    def _encode(self, model: nn.Module, batch: PackedBatch) -> Encoded:
        encoded = self._alone(model, batch)
        return gather_candidates(encoded) if self.objective.gathers else encoded

    def _is_logged(self, step: int) -> bool:
        return step == 0 or (step + 1) % self.state.logging_steps == 0

    def _monitor(self, model: nn.Module, inputs: dict[str, Tensor], totals: Totals) -> None:
        """Look at the views without a gradient, where the step does not train them; no random number is drawn.

        Nothing reads the next-token loss of this forward, so it makes no logits.
        """
        model.eval()
        with torch.no_grad():
            batch = PackedBatch.from_tensors(inputs | {name: inputs[name][:0] for name in ("label", "label_at")})
            encoded = self._encode(model, batch)
            viewed = totals.share_of_pairs(batch.predicted.numel())
            self._meter.watch(self.state.global_step, self.objective(encoded, totals), encoded, viewed=viewed)
        model.train()
