"""Read a split of a task: from the folder of data, else from the Hugging Face hub, else from the official repository.

The hub comes before the repository, and holds only splits that are the paper's, where the task says so. Wherever a row comes
from, its example is the same but for the name. Validation is cut from train by a fixed draw.
"""

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

from llm_jepa.errors import UserError, nearest
from llm_jepa.records import Example
from llm_jepa.tasks.download import DownloadError, fetch
from llm_jepa.tasks.formats import READERS
from llm_jepa.tasks.hub import LIBRARY_ERRORS, hub_rows, reason
from llm_jepa.tasks.task import TRAIN, VALIDATION, HubSplit, Reader, Split, Task


def split_names(task: Task) -> tuple[str, ...]:
    """Return the splits that `read_task` knows: train, what is cut from it, and the others."""
    others = tuple(name for name in task.splits if name != TRAIN)
    return (TRAIN, VALIDATION, *others)


def read_task(task: Task, split: str, *, folder: Path) -> tuple[Example, ...]:
    """Return the examples of one split, in the order of its source.

    "train" leaves out the rows of "validation", which are drawn from it. The paper trained on all of them: with
    `replace(task, validation=Cut(size=0))` so does "train", and "validation" is empty.

    Args:
        task: one of `llm_jepa.tasks.registry.TASKS`.
        split: one of `split_names(task)`.
        folder: the folder of data; need not be there.

    Returns:
        Examples named "<file>:<line>", or "<data set>/<split>:<row>" from the hub, counted from 1.

    Raises:
        UserError: there is no such split, no source of it can be read, or a row is not of its format.
    """
    if split not in split_names(task):
        known = ", ".join(split_names(task))
        raise UserError(f"{task.name} has no split '{split}'{nearest(split, split_names(task))}; there are {known}")
    if split not in (TRAIN, VALIDATION):
        return _read(task, task.splits[split], folder)
    if split == VALIDATION and not task.validation.size:
        return ()
    train, validation = cut_validation(task, _read(task, task.splits[TRAIN], folder))
    return validation if split == VALIDATION else train


def cut_validation(task: Task, rows: Sequence[Example]) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    """Return all rows of train as (train, validation), both in their order.

    Raises:
        UserError: there are too few.
    """
    size = task.validation.size
    if size >= len(rows):
        remedy = "give more rows or a smaller cut"
        raise UserError(f"{task.name}: validation takes {size:,} rows, but train has {len(rows):,}; {remedy}")
    drawn = frozenset(random.Random(task.validation.seed).sample(range(len(rows)), size))
    train = tuple(row for index, row in enumerate(rows) if index not in drawn)
    return train, tuple(rows[index] for index in sorted(drawn))


def _read(task: Task, split: Split, folder: Path) -> tuple[Example, ...]:
    """Return all rows of the first source that can be read."""
    if (path := local_file(split, folder)) is not None:
        return _from_file(task, path)
    reasons: list[str] = []
    if split.hub is not None and task.from_hub is not None:
        try:
            return tuple(_from_hub(task, split.hub, task.from_hub))
        except LIBRARY_ERRORS as error:
            reasons.append(f"the Hugging Face hub ({reason(error)})")
    if split.download is not None:
        try:
            return _from_file(task, fetch(split.download))
        except DownloadError as error:
            reasons.append(f"the official repository ({error})")
    raise UserError(f"{task.name}: {_unreadable(split, folder, reasons)}")


def local_file(split: Split, folder: Path) -> Path | None:
    """Return the split's file in the folder of data, None where there is none."""
    places = (folder / f"{name}{suffix}" for name in split.files for suffix in ("", ".gz"))
    return next((place for place in places if place.is_file()), None)


def _from_file(task: Task, path: Path) -> tuple[Example, ...]:
    examples = tuple(task.from_file(row, f"{path.name}:{line}") for line, row in READERS[".jsonl"](path))
    if not examples:
        raise UserError(f"{path}: there are no rows; replace the file, or remove it to have it read from elsewhere")
    return examples


def _from_hub(task: Task, source: HubSplit, reader: Reader) -> Iterator[Example]:
    """Yield the examples of a split on the hub."""
    rows = hub_rows(source)
    for number, row in enumerate(rows if task.gather is None else task.gather(rows), start=1):
        yield reader(row, f"{source.dataset}/{source.split}:{number}")


def _unreadable(split: Split, folder: Path, reasons: list[str]) -> str:
    """Return what is missing, why the other sources did not help, and what to place where."""
    remedy = "or name another folder"
    if not split.files:
        return f"{reasons[0]} could not be read; try again with a network"
    place = f"place {split.files[0]}[.gz] in '{folder}', {remedy}"
    if not reasons:
        return f"there is no '{folder / split.files[0]}'; {place}"
    return f"neither '{folder / split.files[0]}' nor {' nor '.join(reasons)} could be read; {place}"
