"""What the tests of several tasks share: the rows of a real file, and how a row of the hub is written as an official one."""

import gzip
import json
from pathlib import Path
from typing import Any

from llm_jepa.records import Example
from llm_jepa.tasks.task import Reader


def all_rows(shared: Path, name: str) -> list[dict[str, Any]]:
    """Return every row of a file of the shared data."""
    with gzip.open(shared / "data" / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def contents(row: dict[str, Any]) -> tuple[str, str]:
    """Return an official row's question and answer."""
    return row["messages"][1]["content"], row["messages"][2]["content"]


def same(reader: Reader, row: dict[str, Any], other: Reader, official: dict[str, Any]) -> bool:
    """Return whether both rows give one and the same example."""
    mine: Example = reader(row, "row:1")
    return mine == other(official, "row:1")
