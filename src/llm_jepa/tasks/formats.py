"""The formats of data files, each read to numbered rows.

JSON, JSON Lines, CSV and TSV are read by the standard library, Parquet by `datasets`. Two reasons: an error must name the
line, which `datasets` does not keep; and its readers change texts. A JSON column of dates ("2018-05-01") becomes time
stamps, a CSV cell "NA" becomes null, and a short CSV row is filled up in silence. (Time is none: 7,473 rows of GSM8K take
0.1 s here and 0.2 s there.) A file is held in memory whole; nothing is written beside the data.
"""

import csv
import glob
import gzip
import io
import json
import re
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import datasets

from llm_jepa.errors import UserError, shown
from llm_jepa.tasks.hub import LIBRARY_ERRORS, quiet_datasets, reason

Rows: TypeAlias = Iterator[tuple[int, Mapping[str, Any]]]
"""Rows by column, each with its line or number, counted from 1."""

JSON_LINES = re.compile(r"\s*\{[^\n]*\}\s*\n\s*\{")  # no comma between two objects: not one JSON text


def kind_of(path: Path) -> str:
    """Return what the name says a file is: its extension in small letters, that of compression left out."""
    return Path(path.name.lower().removesuffix(".gz")).suffix


def _bytes(path: Path) -> bytes:
    """Return what a file holds, decompressed."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error}); check the file and its permissions") from None
    if path.suffix.lower() != ".gz":
        return data
    try:
        return gzip.decompress(data)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        remedy = "download or copy it again, or take '.gz' off its name"
        raise UserError(f"{path}: not a whole gzip file ({reason(error)}); {remedy}") from None


def _text(path: Path) -> str:
    """Return the text of a file, without a byte order mark."""
    data = _bytes(path)
    try:
        return data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        before = data[: error.start].split(b"\n")
        byte = f"byte {len(before[-1]) + 1} of the line (0x{data[error.start]:02x})"
        raise UserError(f"{path.name}:{len(before)}: {byte} is not UTF-8; save the file as UTF-8") from None


def _json_lines(path: Path) -> Rows:
    """Yield the rows of a file with one JSON object a line, blank lines left out."""
    # Not splitlines(): a JSON string may hold U+2028 and other ends of lines as they are.
    for number, line in enumerate(_text(path).split("\n"), start=1):
        if line.strip():
            yield number, _object(_parse(line, path.name, number), f"{path.name}:{number}")


def _json(path: Path) -> Rows:
    """Return the rows of a JSON file: a list of objects, {"data": [...]}, or JSON Lines under another name."""
    text = _text(path)
    if JSON_LINES.match(text):
        return _json_lines(path)
    rows = _parse(text, path.name, 1) if text.strip() else []
    if isinstance(rows, dict):
        rows = rows.get("data")
    if not isinstance(rows, list):
        remedy = "write one of them, or one object a line in a .jsonl file"
        raise UserError(f'{path}: holds neither a list of rows nor {{"data": [...]}}; {remedy}')
    return ((number, _object(row, f"{path.name}:{number}")) for number, row in enumerate(rows, start=1))


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of JSON, whose keys must differ: of two equal ones the library would keep the last without a word."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {shown(twice)!r} is there twice")
    return found


DECODER = json.JSONDecoder(object_pairs_hook=_once)


def _object(row: object, where: str) -> dict[str, Any]:
    """Return a row that must be a JSON object."""
    if not isinstance(row, dict):
        raise UserError(f"{where}: the row is not a JSON object; write {{...}} with the columns")
    return row


def _parse(text: str, name: str, line: int) -> object:
    """Return what a JSON text says that begins on this line of the file of this name."""
    try:
        return DECODER.decode(text)
    except json.JSONDecodeError as error:
        where, problem = f"{name}:{line + error.lineno - 1}", f"{error.msg}, column {error.colno}"
    except (ValueError, RecursionError) as error:
        where, problem = f"{name}:{line}", reason(error)
    raise UserError(f"{where}: not valid JSON ({problem}); correct it")


def json_object(line: str, name: str, number: int) -> dict[str, Any]:
    """Return the row that a line of JSON says, the line of this number in the file of this name.

    Raises:
        UserError: it is not valid JSON, or no object.
    """
    return _object(_parse(line, name, number), f"{name}:{number}")


def _table(path: Path, *, delimiter: str) -> Rows:
    """Yield the rows of a CSV or TSV file."""
    return table_rows(io.StringIO(_text(path), newline=""), path.name, delimiter=delimiter)


def table_rows(text: Iterable[str], name: str, *, delimiter: str) -> Rows:
    """Yield the rows of a table, every cell as a text; a row's line is the one where it begins.

    Args:
        text: its lines, their ends kept.
        name: the file's, for errors.
        delimiter: what stands between two cells.

    Raises:
        UserError: a row is malformed.
    """
    reader = csv.reader(text, delimiter=delimiter, strict=True)
    header, line = [], 1
    try:
        for cells in reader:
            if not header:
                header = _header(cells, f"{name}:{line}")
            elif cells:
                yield line, _row(header, cells, f"{name}:{line}")
            line = reader.line_num + 1
    except csv.Error as error:
        remedy = 'close every quote and write one inside quotes as "", or use a .jsonl file'
        raise UserError(f"{name}:{line}: not a valid table row ({error}); {remedy}") from None


def _header(cells: list[str], where: str) -> list[str]:
    """Return the names of a table's columns, which must differ."""
    names = [cell.strip() for cell in cells]
    if twice := [name for name in names if name and names.count(name) > 1]:
        raise UserError(f"{where}: two columns are named '{shown(twice[0])}'; rename one")
    return names


def _row(header: list[str], cells: list[str], where: str) -> dict[str, str]:
    """Return the row as columns, less those without a name (a saved index)."""
    if len(cells) != len(header):
        problem = f"the row has {len(cells)} cells and the header {len(header)}"
        raise UserError(f"{where}: {problem}; put a cell that holds the delimiter in quotes")
    return {name: cell for name, cell in zip(header, cells, strict=True) if name}


def _parquet(path: Path) -> Rows:
    """Yield the rows of a Parquet file."""
    with tempfile.TemporaryDirectory() as folder, quiet_datasets():
        plain = path
        if path.suffix.lower() == ".gz":
            plain = Path(folder) / "data.parquet"
            plain.write_bytes(_bytes(path))
        at = glob.escape(str(plain.absolute()))
        try:
            # A stream of batches of a fixed size: without either, a file without rows is an error inside `datasets`.
            parts = datasets.load_dataset("parquet", data_files=at, cache_dir=folder, streaming=True, batch_size=1000)
            rows: list[Any] = [row for part in parts.values() for row in part]
        except LIBRARY_ERRORS as error:
            raise UserError(f"{path}: not a readable Parquet file ({reason(error)}); write it again") from None
    yield from enumerate(rows, start=1)


READERS: Mapping[str, Callable[[Path], Rows]] = {
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".json": _json,
    ".csv": partial(_table, delimiter=","),
    ".tsv": partial(_table, delimiter="\t"),
    ".parquet": _parquet,
}
KNOWN = ", ".join(READERS)
