"""JSON that a run or an evaluation left behind, read back: what is damaged is one sentence with file and line."""

import json
from pathlib import Path
from typing import Any

from llm_jepa.errors import UserError

AGAIN = "remove it, or make it again by running the run again"


def json_object(data: bytes | str, where: str, *, remedy: str = AGAIN) -> dict[str, Any]:
    """Return the JSON object in a file or line.

    Args:
        data: its bytes, which are UTF-8, or its text.
        where: the file, with the line where it has lines; opens the sentence.
        remedy: what to do; closes it.

    Raises:
        UserError: it is no JSON object.
    """
    try:
        row = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where}: no JSON ({error}); {remedy}") from None
    if not isinstance(row, dict):
        raise UserError(f"{where}: a JSON object is wanted, this is a {type(row).__name__}; {remedy}")
    return row


def read_object(path: Path, *, remedy: str = AGAIN) -> dict[str, Any]:
    """Return the JSON object that a file holds.

    Raises:
        UserError: it holds none; the sentence begins with its path.
        OSError: it is not there, or cannot be read.
    """
    return json_object(path.read_bytes(), str(path), remedy=remedy)
