"""What a run works on: examples read, tokenizer loaded, samples made. Needs no model weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from llm_jepa.errors import UserError
from llm_jepa.experiments.experiment import NL_REGEX, Data, Experiment
from llm_jepa.model.load import load_tokenizer
from llm_jepa.records import ASSISTANT, USER, Example
from llm_jepa.tasks.files import fingerprint, read_examples
from llm_jepa.tasks.nl_regex import splits
from llm_jepa.views.pairs import shuffle_pairs
from llm_jepa.views.tokenize import Sample, Tokenizer

NL_REGEX_SEED = 0
NL_REGEX_SIZES = (8000, 500, 1500)
"""The embedded data: one generation run whatever the run's seed, so that all runs see the same rows."""


@dataclass(frozen=True, slots=True)
class Examples:
    """The three sources of a run; validation and test may be empty."""

    train: tuple[Example, ...]
    validation: tuple[Example, ...]
    test: tuple[Example, ...]

    def fingerprints(self) -> dict[str, str]:
        """Return a checksum of every source that is there."""
        sources = {"train": self.train, "validation": self.validation, "test": self.test}
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
    if data.train == NL_REGEX:
        if data.validation or data.test:
            raise UserError("data.train: nl_regex makes its own held-out rows; leave data.validation and data.test out")
        train, validation, test = NL_REGEX_SIZES
        held_out = (data.eval_limit or validation, data.eval_limit or test)
        made = splits(train=data.limit or train, validation=held_out[0], test=held_out[1], seed=NL_REGEX_SEED)
        return Examples(made.train, made.validation, made.test)
    return Examples(
        _read(data, data.train, data.train_split, data.limit),
        _read(data, data.validation, data.validation_split, data.eval_limit),
        _read(data, data.test, data.test_split, data.eval_limit),
    )


def prepare_material(experiment: Experiment, examples: Examples | None = None) -> Material:
    """Return the material of a run.

    Args:
        experiment: the run.
        examples: the sources, if they have been read already.

    Raises:
        UserError: a source or the tokenizer cannot be read, or the chat template does not fit the data.
    """
    examples = examples or read_sources(experiment.data)
    tokenizer = Tokenizer(
        load_tokenizer(
            experiment.model,
            texts=(message.content for example in examples.train for message in example.messages or example.views),
            needs_roles=any(_has_roles(example) for example in examples.train),
        ),
        labels=experiment.labels,
        arguments=experiment.model.template_arguments,
        framed=experiment.layout.framed,
    )
    train = list(tokenizer.samples(examples.train))
    _check_views(experiment, train)
    if experiment.data.shuffle_pairs:
        train = shuffle_pairs(train, seed=experiment.seed)
    return Material(
        examples,
        tokenizer,
        train,
        list(tokenizer.samples(examples.validation)),
        list(tokenizer.samples(examples.test)),
    )


def _read(data: Data, source: str | None, split: str, limit: int | None) -> tuple[Example, ...]:
    if source is None:
        return ()
    # A split names a part of a Hugging Face data set; a file or folder is taken whole.
    return tuple(read_examples(source, columns=data.columns, split=None if Path(source).exists() else split)[:limit])


def _has_roles(example: Example) -> bool:
    return bool(example.messages) and [message.role for message in example.messages] != [USER, ASSISTANT]


def _check_views(experiment: Experiment, samples: Sequence[Sample]) -> None:
    if experiment.objective.trains_views and not any(len(sample.views) > 1 for sample in samples):
        raise UserError("no training example has two views, so there is no JEPA term; name `data.columns` or set weight 0")
