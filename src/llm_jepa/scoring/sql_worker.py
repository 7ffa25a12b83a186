"""The child process in which SQL that a model wrote runs: one query at a time, on a private copy, within hard limits.

`sql_execution` starts this file by its path, without the package and without site-packages, and may kill it at any time.
A request is a line of JSON (`query`, `rows`, `seconds`, `size`) and `size` bytes of a database file; the answer is a line
of JSON, `{"columns": n, "rows": [...]}` or `{"error": "..."}`. A blob travels as `{"blob": "<hexadecimal>"}`.

What keeps a query from doing harm, outermost first:

- The process dies with its parent's pipe, and the parent kills it when it overruns its time.
- SQLite never sees a file: each query gets a fresh in-memory database made from the bytes, thrown away after it.
- An authorizer allows SELECT, reading columns, recursion and the functions in `FUNCTIONS`. Everything else is refused:
  every write, ATTACH, PRAGMA (the pragma_ tables too), transactions, and any function not known to be harmless.
- Limits on time, rows, bytes of the result, heap, and the size of values, texts, expressions and programs.
"""

import json
import re
import sqlite3
import sys
import time
from typing import Any

HEAP_BYTES = 256 * 1024 * 1024
"""What SQLite may allocate in this process, the database included; Spider's largest is 30 MB."""

RESULT_BYTES = 16 * 1024 * 1024
"""Of the texts and blobs of one result; the largest of a Spider gold query has 0.08 MB."""

LIMITS = {
    sqlite3.SQLITE_LIMIT_LENGTH: 100_000,  # bytes of a value or a row; Spider's longest row has 284
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: 10_000,  # bytes of the query; Spider's longest has 523
    sqlite3.SQLITE_LIMIT_COLUMN: 200,  # Spider's widest table has 26 among those of its test split
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 100,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 20,
    sqlite3.SQLITE_LIMIT_VDBE_OP: 100_000,  # instructions of a compiled query
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 200,
    sqlite3.SQLITE_LIMIT_FUNCTION_ARG: 50,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER: 0,
    sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH: 0,
    sqlite3.SQLITE_LIMIT_WORKER_THREADS: 0,
}

_NUMBERS = """abs acos acosh asin asinh atan atan2 atanh ceil ceiling cos cosh degrees exp floor ln log log10 log2 mod pi
pow power radians round sign sin sinh sqrt tan tanh trunc"""
_TEXTS = """char concat concat_ws format glob hex instr length like lower ltrim octet_length printf quote replace rtrim
soundex substr substring trim unicode upper"""
_CHOICES = "coalesce ifnull iif likelihood likely max min nullif typeof unlikely"
_GROUPS = """avg count group_concat string_agg sum total cume_dist dense_rank first_value lag last_value lead nth_value ntile
percent_rank rank row_number"""
_OTHERS = """date datetime julianday strftime time timediff unixepoch json json_array json_array_length json_extract
json_group_array json_group_object json_object json_quote json_type json_valid -> ->>"""
FUNCTIONS = frozenset(" ".join((_NUMBERS, _TEXTS, _CHOICES, _GROUPS, _OTHERS)).split())
"""Functions that only compute. Left out on purpose: load_extension, fts3_tokenizer and the like, which reach beyond the
database, and random, randomblob and changes, whose values say nothing about it."""

ACTIONS = (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE)

READING = re.compile(r"(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/)*+(?:SELECT|WITH|VALUES)\b", re.IGNORECASE | re.DOTALL)
"""How a query begins. The authorizer refuses all that writes; this also refuses EXPLAIN, which tells no result."""

WAL, ROLLBACK = b"\x02\x02", b"\x01\x01"
"""Bytes 18 and 19 of a database file: its journal. No file in WAL mode is deserialized (sqlite.org/c3ref/deserialize)."""


def answer(database: bytes, *, query: str, rows: int, seconds: float) -> dict[str, Any]:
    """Run one query on a private copy of a database.

    Args:
        database: the bytes of an SQLite file.
        query: one statement that reads.
        rows: how many the result may have; one more is an error.
        seconds: of wall-clock time; checked every thousand instructions, so one long instruction can overrun it.

    Returns:
        `columns` and `rows`, or `error`.
    """
    connection = sqlite3.connect(":memory:", isolation_level=None)
    try:
        if not READING.match(query):
            raise sqlite3.ProgrammingError("not a query that reads")
        _load(connection, database)
        deadline = time.monotonic() + seconds
        connection.set_progress_handler(lambda: time.monotonic() > deadline, 1000)
        return _fetch(connection.execute(query), rows)
    except (sqlite3.Error, sqlite3.Warning, UnicodeError, MemoryError) as error:  # Warning: two statements, before 3.12
        return {"error": f"{type(error).__name__}: {error}"}
    finally:
        connection.close()


def _load(connection: sqlite3.Connection, database: bytes) -> None:
    """Fill the connection with the database, then lock it."""
    journal = slice(18, 20)
    if database[journal] == WAL:
        database = database[: journal.start] + ROLLBACK + database[journal.stop :]
    connection.deserialize(database)
    for pragma in ("query_only=ON", "temp_store=MEMORY", "trusted_schema=OFF", "cell_size_check=ON"):
        connection.execute(f"PRAGMA {pragma}")
    connection.text_factory = lambda raw: raw.decode(errors="ignore")
    for limit, value in LIMITS.items():
        connection.setlimit(limit, value)
    connection.set_authorizer(_authorize)


def _authorize(action: int, _first: str | None, second: str | None, *_rest: str | None) -> int:
    """Allow what reads; for a function `second` is its name."""
    harmless = action in ACTIONS or (action == sqlite3.SQLITE_FUNCTION and (second or "").lower() in FUNCTIONS)
    return sqlite3.SQLITE_OK if harmless else sqlite3.SQLITE_DENY


def _fetch(cursor: sqlite3.Cursor, most: int) -> dict[str, Any]:
    """Read the result as far as the limits allow."""
    found: list[list[Any]] = []
    size = 0
    for row in cursor:
        size += sum(len(value) for value in row if isinstance(value, str | bytes))
        if len(found) == most or size > RESULT_BYTES:
            raise sqlite3.DataError("the result is larger than allowed")
        found.append([{"blob": value.hex()} if isinstance(value, bytes) else value for value in row])
    return {"columns": len(cursor.description), "rows": found}


def main() -> None:
    """Answer requests until the parent closes the pipe."""
    with sqlite3.connect(":memory:") as connection:
        connection.execute(f"PRAGMA hard_heap_limit={HEAP_BYTES}")  # of the whole process, for good
    connection.close()
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    answers.write(b"ready\n")
    answers.flush()
    while line := requests.readline():
        request = json.loads(line)
        database = requests.read(request.pop("size"))
        answers.write(json.dumps(answer(database, **request)).encode() + b"\n")
        answers.flush()


if __name__ == "__main__":
    main()
