"""Read a user's own data: a file, a folder of files, or a data set of the Hugging Face hub."""

import hashlib
import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import datasets
from datasets.packaged_modules import _PACKAGED_DATASETS_MODULES

from llm_jepa.errors import UserError, nearest
from llm_jepa.records import Example
from llm_jepa.tasks.columns import Columns, to_example
from llm_jepa.tasks.formats import KNOWN, READERS, Rows, kind_of
from llm_jepa.tasks.hub import LIBRARY_ERRORS, quiet_datasets, reason

DETECTED = Columns()
HUB_NAME = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")


def read_examples(source: str, *, columns: Columns = DETECTED, split: str | None = None) -> list[Example]:
    """Return the examples of a data set, in order.

    Args:
        source: a file (.jsonl, .ndjson, .json, .csv, .tsv or .parquet, each also as .gz); a folder, all of whose such
            files are read in the order of their paths, inner folders too, hidden ones left out; or else the name of a
            data set on the Hugging Face hub, such as "org/name".
        columns: the names of the columns, where they are not to be detected.
        split: the split of a data set on the hub, such as "train" or "train[:100]"; may be left out if there is one.

    Returns:
        Examples named "<file>:<line>", lines counted from 1; a file inside a folder is named with its path below it. In
        .json and .parquet files and on the hub, where rows have no lines, the number is the row's.

    Raises:
        UserError: there is no such data, it cannot be read, or a row is not of a known format.
    """
    if not source.strip():
        raise UserError("the data source is empty; give a file, a folder or the name of a Hugging Face data set")
    path = Path(os.path.expanduser(source))
    if not os.path.exists(path):
        return _hub_examples(source, columns, split)
    if split is not None:
        raise UserError(f"{source}: a split ('{split}') is for Hugging Face data sets, not for files; leave it out")
    files = data_files(path) if path.is_dir() else [path]
    root = path if path.is_dir() else path.parent
    return [example for file in files for example in _file_examples(file, columns, root)]


def fingerprint(examples: Iterable[Example]) -> str:
    """Return the SHA-256 (hexadecimal) of what the examples hold, in their order; their names do not count.

    Example:
        >>> fingerprint([])
        'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'
    """
    digest = hashlib.sha256()
    for example in examples:
        content = [
            [[message.role, message.content] for message in example.messages],
            [[view.role, view.content, view.message] for view in example.views],
            dict(example.extra),
        ]
        digest.update(json.dumps(content, sort_keys=True).encode())
    return digest.hexdigest()


def _file_examples(path: Path, columns: Columns, root: Path) -> list[Example]:
    """Return the examples of one file, named by its place below `root`."""
    kind = kind_of(path)
    if kind not in READERS:
        raise UserError(f"{path}: unknown file type '{kind}'; use {KNOWN}, each also as .gz")
    return _examples(READERS[kind](path), str(path), columns, at=path.relative_to(root).as_posix())


def _examples(rows: Rows, source: str, columns: Columns, *, at: str) -> list[Example]:
    """Return the examples of numbered rows, named `at` and their number."""
    examples = [to_example(row, name=f"{at}:{number}", columns=columns) for number, row in rows]
    if not examples:
        raise UserError(f"{source}: there are no rows; give data that has some")
    return examples


def data_files(folder: Path) -> list[Path]:
    """Return the data files in a folder and the folders inside it, in the order of their paths.

    Raises:
        UserError: there are none.
    """
    shown = [path for path in folder.rglob("*") if "/." not in f"/{path.relative_to(folder).as_posix()}"]
    found = sorted(path for path in shown if kind_of(path) in READERS and path.is_file())
    if not found:
        raise UserError(f"{folder}: the folder has no data file; put {KNOWN} files there, each also as .gz")
    return found


def _hub_examples(source: str, columns: Columns, split: str | None) -> list[Example]:
    """Return the examples of a data set on the hub; its files stay in the user's own Hugging Face cache."""
    # The name of a reader, such as "json", would make `datasets` read whatever lies in the working folder.
    reader = source in _PACKAGED_DATASETS_MODULES
    if reader or kind_of(Path(source)) in READERS or not HUB_NAME.fullmatch(source):
        raise UserError(f"{source}: no such file or folder{_nearest_file(source) or '; check the path'}")
    try:
        with quiet_datasets():
            rows: list[Any] = list(datasets.load_dataset(source, split=split or _only_split(source)))
    except LIBRARY_ERRORS as error:
        here = f"no such file or folder{_nearest_file(source)}"
        hub = f"and the data set (split: {split or 'any'}) could not be loaded from the Hugging Face hub"
        remedy = "check the name and the network, or give a local file instead"
        raise UserError(f"{source}: {here}; {hub} ({reason(error)}); {remedy}") from None
    return _examples(enumerate(rows, start=1), source, columns, at=Path(source).name)


def _only_split(source: str) -> str:
    """Return the one split of a data set on the hub."""
    first, *others = datasets.get_dataset_split_names(source)
    if others:
        raise UserError(f"{source}: choose a split with `split`; there are {', '.join([first, *others])}")
    return first


def _nearest_file(source: str) -> str:
    """Return a hint for a path that does not exist: the nearest name in its folder, if there is one."""
    path = Path(os.path.expanduser(source))
    if os.path.islink(path):
        return ": it is a link to what is not there"
    return nearest(path.name, sorted(other.name for other in path.parent.glob("*")))
