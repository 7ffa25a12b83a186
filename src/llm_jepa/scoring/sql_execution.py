"""Running SQL that a model wrote, in the child process `sql_worker`, which holds no file; and comparing results.

Not covered: a fault of SQLite or Python itself that lets a query run code of its own would run it in the child process,
with the user's rights. A query that kills the child, or overruns its time, counts as one that fails.
"""

import contextlib
import json
import math
import subprocess
import sys
import threading
import weakref
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from llm_jepa.errors import UserError

Value: TypeAlias = int | float | str | bytes | None
Row: TypeAlias = tuple[Value, ...]

TOLERANCE = 1e-9
"""How far numbers may differ, relative and absolute: room for sums in another order, none for another answer."""

_WORKER = Path(__file__).with_name("sql_worker.py")
_GRACE = 1.0  # seconds after the time limit until the child is killed: time to stop by itself and to send its answer


class QueryError(Exception):
    """The query is no single query that reads, or is invalid, too slow or too large."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much one query may take; `sql_worker` has the fixed limits besides.

    Attributes:
        seconds: of wall-clock time, above 0. The slowest gold query of Spider's test split takes 0.25.
        rows: of a result, at least 1. The longest result of those gold queries has 3,158.
    """

    seconds: float = 5.0
    rows: int = 50_000

    def __post_init__(self) -> None:
        if not 0 < self.seconds < math.inf:
            raise UserError(f"limits.seconds is {self.seconds}; give a number of seconds above 0")
        if self.rows < 1:
            raise UserError(f"limits.rows is {self.rows}; give a whole number from 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a query returns: the number of columns, whose names do not count, and the rows in order."""

    columns: int
    rows: tuple[Row, ...]


class Executor:
    """Runs queries in a child process, which it starts at the first one and again whenever it had to kill it."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._stop: weakref.finalize[..., Any] | None = None

    def __call__(self, database: bytes, query: str, *, rows: int | None = None) -> Result:
        """Return the result of one query on a private copy of a database.

        Args:
            database: the bytes of an SQLite file.
            query: one statement that reads.
            rows: how many the result may have, if fewer than `limits.rows`.

        Raises:
            QueryError: there is no result within the limits.
        """
        most = self.limits.rows if rows is None else min(rows, self.limits.rows)
        request = {"query": query, "rows": most, "seconds": self.limits.seconds, "size": len(database)}
        with self._lock:
            answer = json.loads(self._ask(json.dumps(request).encode() + b"\n" + database) or '{"error": "killed"}')
        if "error" in answer:
            raise QueryError(answer["error"])
        return Result(columns=answer["columns"], rows=tuple(tuple(map(_value, row)) for row in answer["rows"]))

    def close(self) -> None:
        """End the child process; the next query starts another. Happens by itself when the executor is dropped."""
        if self._stop is not None:
            self._stop()
        self._process = self._stop = None

    def _ask(self, request: bytes) -> bytes:
        """Return the line that answers the request, or nothing when the child had to be killed or died."""
        if self._process is None or self._process.poll() is not None:
            self.close()
            self._process = _start()
            self._stop = weakref.finalize(self, _end, self._process)
        process, line, first = self._process, b"", threading.Lock()  # the answer or the timer: who takes the lock was first
        timer = threading.Timer(self.limits.seconds + _GRACE, lambda: first.acquire(blocking=False) and process.kill())
        timer.start()
        with contextlib.suppress(OSError):  # a broken pipe: the child is gone
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(request)
            process.stdin.flush()
            line = process.stdout.readline()
        timer.cancel()
        if not first.acquire(blocking=False) or not line.endswith(b"\n"):
            self.close()
            return b""
        return line


def _start() -> subprocess.Popen[bytes]:
    """Start the child and wait until it listens, so that its start takes nothing from a query's time."""
    command = [sys.executable, "-I", "-S", str(_WORKER)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    if process.stdout.readline() != b"ready\n":
        _end(process)
        raise UserError(f"SQL cannot run: {_WORKER} does not start under {sys.executable}; it needs Python's sqlite3 module")
    return process


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        assert pipe is not None
        with contextlib.suppress(OSError):  # what was not yet sent cannot be
            pipe.close()


def _value(value: Any) -> Value:
    return bytes.fromhex(value["blob"]) if isinstance(value, dict) else value


def same_result(expected: Result, found: Result, *, ordered: bool) -> bool:
    """Return whether two results are equal.

    Both must have the same number of columns, in the same order; their names do not count. Rows are compared as a
    multiset, or one by one when `ordered`. 1 equals 1.0, and a number equals another within `TOLERANCE` unless both are
    whole; a text never equals a number, texts are compared character by character, and NULL equals NULL.

    Example:
        >>> one = Result(columns=2, rows=((1, "a"), (0.3, None)))
        >>> two = Result(columns=2, rows=((0.1 + 0.2, None), (1.0, "a")))
        >>> same_result(one, two, ordered=False), same_result(one, two, ordered=True)
        (True, False)
    """
    if expected.columns != found.columns or len(expected.rows) != len(found.rows):
        return False
    same = _representatives(value for result in (expected, found) for row in result.rows for value in row)
    one, two = ([tuple(same.get(value, value) for value in row) for row in result.rows] for result in (expected, found))
    return one == two if ordered else Counter(one) == Counter(two)


def _representatives(values: Iterable[Value]) -> dict[Value, Value]:
    """Return for each number the one that stands for it: the smallest of those that are chained by nearness.

    Rows with representatives are simply equal or not, which no order of sorting and no edge of rounding can upset.
    """
    same: dict[Value, Value] = {}
    last: int | float | None = None
    for number in sorted({value for value in values if isinstance(value, int | float)}):
        near = last is not None and _near(last, number)
        same[number] = same[last] if near else number
        last = number
    return same


def _near(one: float, two: float) -> bool:
    whole = isinstance(one, int) and isinstance(two, int)
    return not whole and math.isclose(one, two, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
