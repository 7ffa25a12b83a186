"""Rows of a corpus that is larger than memory, read one after the other and parsed only when they are wanted.

JSON Lines, CSV and TSV (each also as .gz) are read line by line, Parquet batch by batch, a data set of the hub by `datasets`
in its streaming mode. A row that is passed over costs the reading of its line, and no parsing.
"""

import gzip
import os
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any, TypeAlias

import datasets
import pyarrow
from pyarrow import parquet

from llm_jepa.errors import UserError
from llm_jepa.records import Example
from llm_jepa.tasks import files, formats
from llm_jepa.tasks.columns import Columns, to_example
from llm_jepa.tasks.hub import LIBRARY_ERRORS, quiet_datasets, reason

RawRow: TypeAlias = tuple[str, str | Mapping[str, Any]]
"""A row's name, such as "train.jsonl:12", and a line of JSON or the columns."""

STREAMED = (".jsonl", ".ndjson", ".csv", ".tsv", ".parquet")
"""What can be read without reading all of it first."""

_READ = 1000
"""Rows of a Parquet file that are read at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowStream:
    """The rows of a file, a folder of files, or a data set of the hub, in order, as often as they are asked for.

    Attributes:
        source: as in `read_examples`, but .json files and compressed Parquet.
        columns: the names of the columns, where they are not to be detected.
        split: the split of a data set on the hub.

    Raises:
        UserError: there is no such data, or it cannot be read row by row.
    """

    source: str
    columns: Columns = files.DETECTED
    split: str | None = None

    def __post_init__(self) -> None:
        """Check that all files can be read row by row."""
        for path in self._files():
            kind = formats.kind_of(path)
            packed = kind == ".parquet" and path.suffix.lower() == ".gz"
            if kind not in STREAMED or packed:
                remedy = "unpack it" if packed else f"write {', '.join(STREAMED[:-1])} (also as .gz) or .parquet instead"
                raise UserError(f"{path}: cannot be read row by row, as `data.stream` does; {remedy}")

    def rows(self) -> Iterator[RawRow]:
        """Yield every row, unparsed."""
        paths = self._files()
        if not paths:
            yield from _hub_rows(self.source, self.split)
        root = Path(os.path.expanduser(self.source))
        root = root if root.is_dir() else root.parent
        for path in paths:
            kind, at = formats.kind_of(path), path.relative_to(root).as_posix()
            if kind == ".parquet":
                yield from _parquet_rows(path, at)
            elif kind in (".csv", ".tsv"):
                yield from _table_rows(path, at, "," if kind == ".csv" else "\t")
            else:
                yield from _lines(path, at)

    def examples(self, count: int) -> Iterator[Example]:
        """Yield the first `count` examples.

        Raises:
            UserError: there are no rows, or one is not of a known format.
        """
        rows = islice(self.rows(), count)
        first = next(rows, None)
        if first is None:
            raise UserError(f"{self.source}: there are no rows; give data that has some")
        yield from map(self.example, chain([first], rows))

    def example(self, row: RawRow) -> Example:
        """Return the example that a row holds.

        Raises:
            UserError: it is not of a known format.
        """
        name, content = row
        if isinstance(content, str):
            file, _, line = name.rpartition(":")
            content = formats.json_object(content, file, int(line))
        return to_example(content, name=name, columns=self.columns)

    def _files(self) -> list[Path]:
        path = Path(os.path.expanduser(self.source))
        if path.is_dir():
            return files.data_files(path)
        return [path] if path.exists() else []


@contextmanager
def _opened(path: Path) -> Iterator[IO[str]]:
    """Open a text file, compressed or not; what goes wrong while it is read becomes one sentence."""
    try:
        opened = gzip.open if path.suffix.lower() == ".gz" else open
        with opened(path, "rt", encoding="utf-8-sig", newline="") as text:
            yield text
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 (byte 0x{error.object[error.start]:02x}); save the file as UTF-8") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        remedy = "download or copy it again, or take '.gz' off its name"
        raise UserError(f"{path}: not a whole gzip file ({reason(error)}); {remedy}") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error}); check the file and its permissions") from None


def _lines(path: Path, at: str) -> Iterator[RawRow]:
    with _opened(path) as text:
        for number, line in enumerate(text, start=1):
            if not line.isspace():
                yield f"{at}:{number}", line.rstrip("\r\n")


def _table_rows(path: Path, at: str, delimiter: str) -> Iterator[RawRow]:
    with _opened(path) as text:
        for number, row in formats.table_rows(text, path.name, delimiter=delimiter):
            yield f"{at}:{number}", row


def _parquet_rows(path: Path, at: str) -> Iterator[RawRow]:
    number = 0
    try:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=_READ):
                for row in batch.to_pylist():
                    number += 1
                    yield f"{at}:{number}", row
    except (pyarrow.ArrowException, OSError) as error:
        raise UserError(f"{path}: not a readable Parquet file ({reason(error)}); write it again") from None


def _hub_rows(source: str, split: str | None) -> Iterator[RawRow]:
    at = Path(source).name
    try:
        with quiet_datasets():
            found: Any = datasets.load_dataset(source, split=split or "train", streaming=True)
            for number, row in enumerate(found, start=1):
                yield f"{at}:{number}", row
    except LIBRARY_ERRORS as error:
        problem = f"no such file, and no stream from the Hugging Face hub ({reason(error)})"
        remedy = "check the name and the network, or give a local file instead"
        raise UserError(f"{source}: {problem}; {remedy}") from None
