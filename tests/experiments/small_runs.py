"""Tiny base models, data and runs on disk, for the tests of what is done with a run afterwards."""

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datasets
import pytest
import torch
from tests.helpers import word_tokenizer
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.utils import logging as transformers_logging

from llm_jepa.evaluation.generate import generate
from llm_jepa.experiments import run as running
from llm_jepa.experiments.experiment import Data, Evaluation, Experiment
from llm_jepa.experiments.files import RunFolder
from llm_jepa.experiments.interruption import Interrupted
from llm_jepa.model.load import ModelConfig
from llm_jepa.model.parts import core
from llm_jepa.objective.jepa import JEPA
from llm_jepa.packing.layout import Layout
from llm_jepa.training.deadline import UNFINISHED, Deadline

ROWS = [
    {"text": "lines with a number", "code": ". * [ 0 - 9 ] . *"},
    {"text": "lines with a vowel", "code": "( . * ) | dog"},
    {"text": "lines before dog", "code": "~ ( dog )"},
    {"text": "lines with the word dog", "code": ". * dog . *"},
]
SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 256,
    "initializer_range": 0.2,
}
STEPS = 24


def write_rows(path: Path, rows: list[dict[str, str]] = ROWS) -> Path:
    """Write a JSON Lines file."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def write_base(folder: Path, *, tied: bool = False, template: bool = True) -> Path:
    """Write a tiny Llama with random weights; its stop token is not the one that closes a turn in its chat template."""
    tokenizer = word_tokenizer()
    tokenizer.add_special_tokens({"eos_token": "<|endoftext|>"})
    if not template:
        tokenizer.chat_template = None
    tokens = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id, "bos_token_id": None}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), tie_word_embeddings=tied, **tokens, **SIZES))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def experiment(output: Path, rows: Path, model: ModelConfig, *, k: int = 1, **training: Any) -> Experiment:
    """Return a run of 24 steps on four rows, enough to know them by heart, with a checkpoint in the middle."""
    settings = {"learning_rate": 1e-2, "max_steps": STEPS, "save_strategy": "steps", "save_steps": STEPS // 2}
    return Experiment(
        output=str(output),
        model=model,
        data=Data(train=str(rows), test=str(rows)),
        layout=Layout(k=k),
        objective=JEPA(weight=0.1),
        training=settings | {"per_device_train_batch_size": 4, "use_cpu": True} | training,
        evaluation=Evaluation(max_new_tokens=16, batch_size=4),
    )


@contextmanager
def restored_logging() -> Iterator[None]:
    """Put back what a command sets for the whole process: log handlers, verbosity, progress bars."""
    logger = logging.getLogger("llm_jepa")
    handlers, propagate, verbosity = list(logger.handlers), logger.propagate, transformers_logging.get_verbosity()
    try:
        yield
    finally:
        logger.handlers, logger.propagate = handlers, propagate
        transformers_logging.set_verbosity(verbosity)
        transformers_logging.enable_progress_bar()
        datasets.enable_progress_bars()


@dataclass
class Watch(TrainerCallback):
    """Keeps what the model in memory says at every checkpoint.

    Attributes:
        ids: a prompt.
        stops: tokens that end its answer.
        logits: the prompt's logits by optimizer step.
        answers: the prompt's greedy answer, stop token excluded, by optimizer step.
    """

    ids: list[int]
    stops: list[int]
    logits: dict[int, Tensor] = field(default_factory=dict)
    answers: dict[int, list[int]] = field(default_factory=dict)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Ask the model."""
        del args, control
        model: nn.Module = core(kwargs["model"])
        training = model.training
        model.eval()
        with torch.no_grad():
            self.logits[state.global_step] = model(input_ids=torch.tensor([self.ids])).logits[0].clone()
        options: dict[str, Any] = {"stop_ids": self.stops, "pad_id": 0, "max_new_tokens": 16, "batch_size": 1}
        self.answers[state.global_step] = list(next(generate(model, [self.ids], **options))[1].tokens)
        model.train(training)


def run_with(described: Experiment, callback: TrainerCallback) -> RunFolder:
    """Run an experiment with one more callback."""
    make: Callable[..., Any] = running.make_trainer

    def with_callback(*arguments: Any, **options: Any) -> Any:
        trainer, stop = make(*arguments, **options)
        trainer.add_callback(callback)
        return trainer, stop

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running, "make_trainer", with_callback)
        return running.run_experiment(described)


def run_in_pieces(described: Experiment) -> tuple[RunFolder, int]:
    """Call until the run is finished, each time with no time left; return it, and how often it was interrupted."""
    for interruptions in range(100):
        try:
            return running.run_experiment(described, deadline=Deadline(0.0)), interruptions
        except Interrupted as interrupted:
            if interrupted.exit_code != UNFINISHED:
                raise
    raise AssertionError("the run makes no progress")
