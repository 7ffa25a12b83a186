"""What a task is: a data set of the paper with its splits, views and scorer. One file a task defines one `Task`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from llm_jepa.records import Example
from llm_jepa.scoring.scorer import Scorer

TRAIN, VALIDATION, TEST = "train", "validation", "test"
SPLITS = (TRAIN, VALIDATION, TEST)

Reader: TypeAlias = Callable[[Mapping[str, Any], str], Example]
"""A row and its name, such as "gsm8k_train.jsonl:12" -> its example. Pure. Raises `UserError` that begins with the name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HubSplit:
    """A split on the Hugging Face hub.

    Attributes:
        dataset: its public id, such as "openai/gsm8k".
        config: its configuration there; None for the only one.
        split: its name there.
        revision: the commit.
    """

    dataset: str
    config: str | None = None
    split: str
    revision: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """A file in a public repository, at a fixed commit.

    Attributes:
        url: where.
        sha256: of the file's bytes, hexadecimal; a file with another is refused.
    """

    url: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Where one split comes from: the first of these that is there.

    Attributes:
        file: its file in the official format, `<file>` or `<file>.gz`, in the folder of data.
        hub: on the hub; None where the hub does not hold the paper's split.
        download: in a public repository, where the hub does not hold it.
    """

    file: str
    hub: HubSplit | None = None
    download: Download | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """The validation split: rows taken out of train, so that nothing is ever chosen on test.

    Attributes:
        size: how many rows.
        seed: of the draw.
    """

    size: int
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A data set and how it is used.

    Attributes:
        name: what it is called in configs and on the command line.
        title: what tables call it.
        source: the paper and the public home of the data.
        licence: of the data.
        splits: train and test; test may be missing.
        validation: how it is cut from train.
        from_file: row of the official file format -> example.
        from_hub: row with the hub's columns -> example.
        scorer: makes the scorer from the folder of data, where a task keeps what its scorer needs (Spider's databases).
        max_new_tokens: room for the longest gold answer.
        traps: what one must know before trusting a number on it, a sentence each.
    """

    name: str
    title: str
    source: str
    licence: str
    splits: Mapping[str, Split]
    validation: Cut
    from_file: Reader
    from_hub: Reader
    scorer: Callable[[Path], Scorer]
    max_new_tokens: int = 128
    traps: tuple[str, ...] = ()
