"""What a task is: a data set of the paper with its splits, views and scorer. One file a task defines one `Task`."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from llm_jepa.records import Example
from llm_jepa.scoring.scorer import Scorer

TRAIN, VALIDATION, TEST = "train", "validation", "test"

Row: TypeAlias = Mapping[str, Any]
Reader: TypeAlias = Callable[[Row, str], Example]
"""A row and its name, such as "gsm8k_train.jsonl:12" -> its example. Pure. Raises `UserError` that begins with the name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HubSplit:
    """A split on the Hugging Face hub.

    Attributes:
        dataset: its public id, such as "openai/gsm8k".
        config: its configuration there; None for the only one.
        split: its name there.
        revision: the commit, 40 hexadecimal digits.
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
    """Where one split comes from: the first of these that can be read.

    Attributes:
        files: names of its file in the official format, any of them, each also as `.gz`, in the folder of data.
        hub: on the hub; None where the hub does not hold the split.
        download: in a public repository.
        note: what it is, in a sentence, where it is not the paper's split.
    """

    files: tuple[str, ...] = ()
    hub: HubSplit | None = None
    download: Download | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """The validation split: rows taken out of train, so that nothing is ever chosen on test.

    The paper has none: it trained on all rows and chose on test. Size 0 is that protocol.

    Attributes:
        size: how many rows.
        seed: of the draw.
    """

    size: int
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A data set and how it is used. Nothing is read before `llm_jepa.tasks.sources.read_task` is asked for a split.

    Attributes:
        name: what it is called in configs and on the command line.
        title: what tables call it.
        source: the paper and the public home of the data.
        licence: of the data.
        splits: by name; "train" and "test" are the paper's, others are public data that the paper did not use.
        validation: how it is cut from train.
        from_file: row of the official file format -> example.
        from_hub: row with the hub's columns -> the same example; None where no split is on the hub.
        gather: the hub's rows -> the rows that `from_hub` takes; None where they are the same.
        scorer: makes the scorer from the folder of data, where a task keeps what its scorer needs (Spider's databases).
        max_new_tokens: room for the longest gold answer in tokens, by the tokenizers of Llama, Gemma and Qwen.
        traps: what one must know before trusting a number on it, a sentence each.
    """

    name: str
    title: str
    source: str
    licence: str
    splits: Mapping[str, Split]
    validation: Cut
    from_file: Reader
    scorer: Callable[[Path], Scorer]
    from_hub: Reader | None = None
    gather: Callable[[Iterable[Row]], Iterable[Row]] | None = None
    max_new_tokens: int = 128
    traps: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.from_hub is None and any(split.hub is not None for split in self.splits.values()):
            raise ValueError(f"task {self.name}: from_hub is missing, and a split is on the hub; say how its rows are read")
