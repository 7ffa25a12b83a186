"""The examples that a command line names beside a run or a model."""

from pathlib import Path

from llm_jepa.errors import UserError, nearest
from llm_jepa.experiments.experiment import NL_REGEX, Data
from llm_jepa.experiments.material import read_split
from llm_jepa.records import Example
from llm_jepa.tasks.files import read_examples
from llm_jepa.tasks.registry import find_task
from llm_jepa.tasks.sources import read_task
from llm_jepa.tasks.task import TEST, TRAIN, VALIDATION


def read_named(source: str, split: str | None, *, data: Data, folder: Path) -> tuple[Example, ...]:
    """Return all examples of a source.

    Args:
        source: a task, "nl_regex", a file, a folder, or a data set on the hub.
        split: a split of it; None: test, or the only one.
        data: the sources of a run, which name columns, and which part of "nl_regex" was trained on.
        folder: where the files of tasks lie.

    Raises:
        UserError: the source or the split is missing, or malformed.
    """
    if source == NL_REGEX:
        splits = (TRAIN, VALIDATION, TEST)
        if split is not None and split not in splits:
            raise UserError(f"{source} has the splits {', '.join(splits)}, and no '{split}'{nearest(split, splits)}")
        return read_split(data if data.train == NL_REGEX else Data(train=NL_REGEX), split or TEST)
    task = find_task(source)
    if task is not None:
        return read_task(task, split or TEST, folder=folder)
    return tuple(read_examples(source, columns=data.columns, split=split))
