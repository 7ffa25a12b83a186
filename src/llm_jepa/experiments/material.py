"""What a run works on: examples read, tokenizer loaded, samples made. Needs no model weights."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from llm_jepa.errors import UserError
from llm_jepa.experiments.experiment import NL_REGEX, Data, Experiment
from llm_jepa.experiments.show import QUIET, Show
from llm_jepa.experiments.tokenizing import tokenized
from llm_jepa.model.load import load_tokenizer
from llm_jepa.model.parts import context_limit
from llm_jepa.records import ASSISTANT, USER, Example
from llm_jepa.tasks.draw import draw
from llm_jepa.tasks.files import fingerprint, read_examples
from llm_jepa.tasks.nl_regex import splits
from llm_jepa.tasks.registry import find_task
from llm_jepa.tasks.row_stream import RowStream
from llm_jepa.tasks.sources import read_task
from llm_jepa.tasks.task import TEST, TRAIN, VALIDATION
from llm_jepa.training.stream import StreamSource
from llm_jepa.views.pairs import shuffle_pairs
from llm_jepa.views.predictor import Predictor, PredictorTokens
from llm_jepa.views.tokenize import Sample, Tokenizer

HEAD = 1000
"""Rows of a stream that are read at the start: tokenizer, template, views and model are checked with them."""

NL_REGEX_SEED = 0
NL_REGEX_SIZES = (8000, 500, 1500)
"""The embedded data: one generation run whatever the run's seed, so that all runs see the same rows."""


@dataclass(frozen=True, slots=True)
class Examples:
    """The three sources of a run; validation and test may be empty.

    Attributes:
        train: the training examples; of a stream its first ones, which everything is checked with.
        validation: the validation examples.
        test: the test examples.
        streamed: whether `train` is the beginning of a stream.
    """

    train: tuple[Example, ...]
    validation: tuple[Example, ...]
    test: tuple[Example, ...]
    streamed: bool = False

    def fingerprints(self) -> dict[str, str]:
        """Return a checksum of every source that is there."""
        sources = {"train_head" if self.streamed else "train": self.train, "validation": self.validation, "test": self.test}
        return {name: fingerprint(examples) for name, examples in sources.items() if examples}


@dataclass(frozen=True, slots=True)
class Material:
    """What is trained on and scored, in tokens.

    Attributes:
        examples: the sources as read.
        tokenizer: renders and tokenises; wraps the Hugging Face tokenizer.
        train: training samples, in order; pairs shuffled if the run is a control.
        validation: validation samples, with true pairs.
        test: test samples, with true pairs.
    """

    examples: Examples
    tokenizer: Tokenizer
    train: list[Sample]
    validation: list[Sample]
    test: list[Sample]


def read_sources(data: Data) -> Examples:
    """Return the examples of a run.

    Raises:
        UserError: a source is missing or malformed.
    """
    if data.stream:
        head = tuple(row_stream(data).examples(HEAD))
        return Examples(head, read_split(data, VALIDATION), read_split(data, TEST), streamed=True)
    if data.train == NL_REGEX:
        if data.validation or data.test:
            raise UserError("data.train: nl_regex makes its own held-out rows; leave data.validation and data.test out")
        train, validation, test = NL_REGEX_SIZES
        held_out = (data.eval_limit or validation, data.eval_limit or test)
        made = splits(train=data.limit or train, validation=held_out[0], test=held_out[1], seed=NL_REGEX_SEED)
        return Examples(made.train, made.validation, made.test)
    return Examples(read_split(data, TRAIN), read_split(data, VALIDATION), read_split(data, TEST))


def row_stream(data: Data) -> RowStream:
    """Return the training rows of a run that streams them.

    Raises:
        UserError: they cannot be read row by row.
    """
    if data.train == NL_REGEX or find_task(data.train) is not None:
        raise UserError(f"data.stream: '{data.train}' is small and read whole; name a file, a folder or a hub data set")
    here = Path(data.train).expanduser().exists()
    return RowStream(source=data.train, columns=data.columns, split=None if here else data.train_split)


def stream_source(experiment: Experiment, tokenizer: Tokenizer, *, limit: int) -> StreamSource | None:
    """Return what a run streams; None for one that reads all of its data at the start."""
    data = experiment.data
    if not data.stream:
        return None
    return StreamSource(
        rows=row_stream(data),
        tokenizer=tokenizer,
        window=data.buffer,
        limit=limit,
        over_length=data.over_length,
        shuffle_pairs=data.shuffle_pairs,
    )


def source_of(data: Data, split: str) -> str | None:
    """Return where a split comes from: what the data name for it, else the training task, which has splits of its own.

    Args:
        data: the sources of a run.
        split: train, validation or test.
    """
    named = {TRAIN: data.train, VALIDATION: data.validation, TEST: data.test}[split]
    if named is not None or data.train == NL_REGEX:
        return NL_REGEX if named is None else named
    task = find_task(data.train)
    return data.train if task is not None and _part(data, split) in (VALIDATION, *task.splits) else None


def _part(data: Data, split: str) -> str:
    """Return what a split is called in a task or a Hugging Face data set."""
    return {TRAIN: data.train_split, VALIDATION: data.validation_split, TEST: data.test_split}[split]


def prepare_material(experiment: Experiment, examples: Examples | None = None, *, show: Show = QUIET) -> Material:
    """Return the material of a run.

    Args:
        experiment: the run.
        examples: the sources, if they have been read already.
        show: told how far tokenising is, and what is cached.

    Raises:
        UserError: a source or the tokenizer cannot be read, or the chat template does not fit the data.
    """
    examples = examples or read_sources(experiment.data)
    loaded = load_tokenizer(
        experiment.model,
        texts=(message.content for example in examples.train for message in example.messages or example.views),
        needs_roles=any(_has_roles(example) for example in examples.train),
    )
    tokenizer = sample_maker(experiment, loaded)
    train = tokenized(tokenizer, examples.train, experiment.data, show)
    _check_views(experiment, train)
    if experiment.data.shuffle_pairs and not examples.streamed:
        train = shuffle_pairs(train, seed=experiment.seed)
    validation = tokenized(tokenizer, examples.validation, experiment.data, show)
    if experiment.training.get("eval_strategy", "no") not in ("no", False) and not validation:
        raise UserError(
            "training.eval_strategy looks at validation rows, and there are none; set data.validation, or leave it out"
        )
    return Material(
        examples,
        tokenizer,
        train,
        validation,
        tokenized(tokenizer, examples.test, experiment.data, show),
    )


def sample_maker(experiment: Experiment, tokenizer: PreTrainedTokenizerBase) -> Tokenizer:
    """Return what turns the examples of a run into samples, as its options say.

    Args:
        experiment: the run.
        tokenizer: from `load_tokenizer`.
    """
    layout, predictor = experiment.layout, None
    if experiment.model.predictor is Predictor.vocabulary and layout.k:
        predictor = PredictorTokens(k=layout.k, prepend=layout.prepend)
    return Tokenizer(
        tokenizer,
        labels=experiment.labels,
        framed=layout.framed,
        predictor=predictor,
        **experiment.model.rendering,
    )


def max_length(experiment: Experiment, model: PreTrainedModel) -> int:
    """Return the longest sample in tokens of context: what the config says, at most what the model allows."""
    limits = [limit for limit in (experiment.data.max_length, context_limit(model)) if limit is not None]
    return min(limits, default=sys.maxsize)


def read_split(data: Data, split: str) -> tuple[Example, ...]:
    """Return the examples of one split of a run; none where it has no source.

    Args:
        data: the sources of a run.
        split: train, validation or test.

    Raises:
        UserError: the source is missing or malformed.
    """
    if data.train == NL_REGEX:
        made = read_sources(data)
        return {TRAIN: made.train, VALIDATION: made.validation, TEST: made.test}[split]
    source, part = source_of(data, split), _part(data, split)
    if source is None:
        return ()
    limit = data.limit if split == TRAIN else data.eval_limit
    task = find_task(source)
    if task is not None:
        size = data.validation_size
        task = task if size is None else replace(task, validation=replace(task.validation, size=size))
        return draw(read_task(task, part, folder=Path(data.folder)), limit)
    # A split names a part of a Hugging Face data set; a file or folder is taken whole.
    return draw(read_examples(source, columns=data.columns, split=None if os.path.exists(source) else part), limit)


def _has_roles(example: Example) -> bool:
    return bool(example.messages) and [message.role for message in example.messages] != [USER, ASSISTANT]


def _check_views(experiment: Experiment, samples: Sequence[Sample]) -> None:
    if experiment.objective.trains_views and not any(len(sample.views) > 1 for sample in samples):
        raise UserError("no training example has two views, so there is no JEPA term; name `data.columns` or set weight 0")
