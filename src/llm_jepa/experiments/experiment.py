"""`Experiment`: one frozen tree that describes a run completely."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from accelerate.utils import parse_flag_from_env
from transformers import TrainingArguments

from llm_jepa.errors import UserError, nearest, shown
from llm_jepa.experiments.training_values import check_training
from llm_jepa.model.load import ModelConfig
from llm_jepa.objective.jepa import JEPA
from llm_jepa.packing.collate import OverLength
from llm_jepa.packing.layout import Layout
from llm_jepa.ranks import launch_precision, launched
from llm_jepa.scoring.scorer import Scorer
from llm_jepa.tasks.columns import Columns
from llm_jepa.training.nonfinite import OnNan
from llm_jepa.views.tokenize import Labels

NL_REGEX = "nl_regex"
"""As `data.train`: the embedded generator instead of a file."""

TRAINING_DEFAULTS: Mapping[str, Any] = {
    "num_train_epochs": 4,  # paper, section 4.1
    "learning_rate": 2e-5,  # paper, Table 12, Llama
    "per_device_train_batch_size": 8,
    "logging_steps": 10,
    "save_strategy": "epoch",
    "save_total_limit": 2,
    "report_to": "none",
}
"""What `training:` starts from; everything else is transformers' own default."""

LARGEST_SEED = 2**32
"""Seeds are below it: numpy's generator, which transformers seeds too, takes no others."""

STREAM_DEFAULTS: Mapping[str, Any] = {"save_strategy": "steps", "save_steps": 500}
"""What differs for a stream, which has no epochs."""

_OWNED = {
    "output_dir": "`output`",
    "seed": "`seed`",
    "remove_unused_columns": "nothing: packed batches need every column",
    "label_names": "`labels`",
    "hub_token": "`hf auth login` or the variable HF_TOKEN: a config and a checkpoint are files that others may read",
}


@dataclass(frozen=True, kw_only=True)
class Data:
    """Where examples come from.

    Attributes:
        train: a task's name, which also gives validation and test where those are not named; a file (JSONL, JSON, CSV, TSV,
            Parquet, also .gz), a folder of such files, a Hugging Face data set, or "nl_regex" for the embedded generator. A
            task's name wins over a file or folder of that name; write ./gsm8k for those.
        validation: a held-out source on which choices are made; of a task its validation split.
        test: a held-out source that is only scored; of a task its test split.
        folder: where the files of tasks lie; what is not there comes from the hub.
        train_split: split of a task or a Hugging Face data set for training.
        validation_split: its split for validation.
        test_split: its split for testing.
        columns: which columns are what; detected when not named.
        validation_size: rows that a training task holds out for validation; None: as the task says; 0: none, which is the
            paper's protocol.
        limit: use only so many examples of the training source, a fixed draw from all over it.
        eval_limit: use only so many examples of each held-out source, drawn likewise.
        max_length: longest sample, in tokens of context; None: what the model allows.
        over_length: what happens to a longer one; nothing is ever cut.
        shuffle_pairs: give every sample another sample's Code as its second view: the control.
        stream: read, tokenise and pack the training rows while training, so that they need not fit into memory.
        buffer: rows of a stream that are shuffled together.
        cache: keep tokenised samples on disk for later runs, in the folder that the variable LLM_JEPA_CACHE names.
        workers: processes that tokenise; None: one a core where that saves time.
    """

    train: str
    validation: str | None = None
    test: str | None = None
    folder: str = "data"
    train_split: str = "train"
    validation_split: str = "validation"
    test_split: str = "test"
    columns: Columns = field(default_factory=Columns)
    validation_size: int | None = None
    limit: int | None = None
    eval_limit: int | None = None
    max_length: int | None = None
    over_length: OverLength = OverLength.drop
    shuffle_pairs: bool = False
    stream: bool = False
    buffer: int = 10_000
    cache: bool = True
    workers: int | None = 1

    def __post_init__(self) -> None:
        """Check the values."""
        if self.stream and self.limit is not None:
            raise UserError("data.limit draws from all over the data, which a stream never reads whole; leave it out")
        if self.buffer < 1:
            raise ValueError(f"data.buffer is {self.buffer}, but it is at least 1 row")
        counts = {"limit": self.limit, "eval_limit": self.eval_limit, "max_length": self.max_length, "workers": self.workers}
        for name, value in counts.items():
            if value is not None and value < 1:
                raise ValueError(f"data.{name} is {value}, but it is at least 1")
        if self.validation_size is not None and self.validation_size < 0:
            raise ValueError(f"data.validation_size is {self.validation_size}, but it is 0 or more")


@dataclass(frozen=True, kw_only=True)
class Packing:
    """How samples become rows.

    Attributes:
        samples_per_row: how many samples share a row; None: as many as pay off with the model's attention.
        one_forward: pack all views into the one forward; false gives every segment a row of its own.
    """

    samples_per_row: int | None = None
    one_forward: bool = True

    def __post_init__(self) -> None:
        """Check the values."""
        if self.samples_per_row is not None and self.samples_per_row < 1:
            raise ValueError(f"packing.samples_per_row is {self.samples_per_row}, but it is at least 1")


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """How answers are made for scoring, and judged.

    Attributes:
        max_new_tokens: limit of an answer, in tokens; None: the task's, and 128 for other data.
        batch_size: answers made at a time.
        scorer: what judges the answers; None: the task's scorer, and equality of text for other data.
        each_epoch: answer and score the validation split (the test split, where there is none) after every epoch too.
    """

    max_new_tokens: int | None = None
    batch_size: int = 32
    scorer: Scorer | None = None
    each_epoch: bool = False

    def __post_init__(self) -> None:
        """Check the values."""
        if self.batch_size < 1 or (self.max_new_tokens is not None and self.max_new_tokens < 1):
            raise ValueError("evaluation.max_new_tokens and evaluation.batch_size are at least 1")


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """A run.

    Attributes:
        output: the run's folder; the same command given again continues there.
        model: which model.
        data: where examples come from.
        layout: how views become segments: k, direction, shared or separate.
        labels: which tokens carry next-token loss.
        objective: gamma, weight (lambda), distance, loss dropout.
        packing: how samples become rows.
        training: plain `TrainingArguments` of transformers, over `TRAINING_DEFAULTS`.
        samples_per_step: samples of an optimizer step over all processes, however many there are:
            `training.gradient_accumulation_steps` follows from it. None: that says how many micro-batches a step has.
        max_flops: train for so many floating-point operations, however many epochs that is, instead of
            `training.num_train_epochs`: ends with the step that reaches them, and the learning rate's schedule ends there.
        on_nan: what a step does whose loss or gradient is not finite.
        evaluation: how answers are generated.
        seed: of everything drawn: data order, random weights, slots, loss dropout, shuffled pairs.
    """

    output: str
    model: ModelConfig
    data: Data
    layout: Layout = field(default_factory=Layout)
    labels: Labels = Labels.answer
    objective: JEPA = field(default_factory=JEPA)
    packing: Packing = field(default_factory=Packing)
    training: Mapping[str, Any] = field(default_factory=dict[str, Any])
    samples_per_step: int | None = None
    max_flops: float | None = None
    on_nan: OnNan = OnNan.stop
    evaluation: Evaluation = field(default_factory=Evaluation)
    seed: int = 82

    def __post_init__(self) -> None:
        """Check `training`, whose fields are transformers', and what ends it."""
        if not 0 <= self.seed < LARGEST_SEED:
            raise UserError(f"seed is {self.seed}, but a seed is 0 to {LARGEST_SEED - 1}")
        if self.max_flops is not None and not 0 < self.max_flops < math.inf:
            raise ValueError(f"max_flops is {self.max_flops}, but a training takes a finite number of operations above 0")
        if self.max_flops is not None and "max_steps" in self.training:
            raise UserError("max_flops and training.max_steps both say when training ends; give one of them")
        if self.data.stream:
            self._check_stream()
        if self.samples_per_step is not None and "gradient_accumulation_steps" in self.training:
            raise UserError("samples_per_step and training.gradient_accumulation_steps both size a step; give one of them")
        known = TrainingArguments.__dataclass_fields__
        for name in self.training:
            if name in _OWNED:
                raise UserError(f"training.{name} is not set here; use {_OWNED[name]}")
            if name not in known:
                raise UserError(f"training.{shown(name)} is no field of TrainingArguments{nearest(name, known)}")
        check_training(self.training)

    def _check_stream(self) -> None:
        """Check that nothing is asked for that needs the number of rows."""
        if self.max_flops is not None:
            raise UserError("max_flops needs the number of training rows, and a stream tells none; use training.max_steps")
        if not self.training.get("max_steps", 0) > 0:
            raise UserError("data.stream: a stream has no end, so say how many steps to train; set training.max_steps")
        if self.evaluation.each_epoch:
            raise UserError("evaluation.each_epoch: a stream has no epochs; use training.eval_strategy: steps")

    def training_arguments(self, folder: str) -> TrainingArguments:
        """Return the arguments of transformers' Trainer.

        Raises:
            UserError: transformers refuses a value.
        """
        # Several processes on CPUs find each other only when they are told that there is nothing else.
        alone = not torch.accelerator.is_available() and not parse_flag_from_env("ACCELERATE_USE_DEEPSPEED")
        defaults = {**TRAINING_DEFAULTS, **STREAM_DEFAULTS} if self.data.stream else TRAINING_DEFAULTS
        chosen = {
            **defaults,
            "use_cpu": alone,
            **self._precision(),
            **self.training,
            "output_dir": folder,
            "seed": self.seed,
        }
        # YAML 1.1 reads a bare `no`, which is a value of the strategies, as false.
        chosen |= {name: "no" for name, value in chosen.items() if value is False and name.endswith("_strategy")}
        if self.samples_per_step is not None:
            chosen["gradient_accumulation_steps"] = self._micro_batches(chosen["per_device_train_batch_size"])
        try:
            return TrainingArguments(**chosen, remove_unused_columns=False)
        except (ValueError, TypeError, ImportError, OSError) as error:
            raise UserError(f"training: transformers refuses these arguments: {' '.join(str(error).split())}") from error

    def _precision(self) -> dict[str, bool]:
        """Return the arithmetic that the launch asks for, as an argument of Trainer, which has to know of it, too."""
        asked = launch_precision()
        if asked is None:
            return {}
        for name in ("bf16", "fp16"):
            said = self.training.get(name)
            contradicts = said is False if name == asked else bool(said)
            if contradicts:
                there = f"training.{name}: {str(said).lower()}"
                raise UserError(f"{there}, but the launch computes in {asked} (mixed_precision); change one of them")
        return {asked: True}

    def _micro_batches(self, batch: int) -> int:
        """Return the micro-batches of each process in an optimizer step of `samples_per_step` samples."""
        at_a_time, wanted = batch * launched(), self.samples_per_step or 0
        if wanted < 1 or wanted % at_a_time:
            raise UserError(
                f"samples_per_step is {wanted}, but {launched()} process(es) with training.per_device_train_batch_size "
                f"{batch} take {at_a_time} at a time; give a multiple of that"
            )
        return wanted // at_a_time
