"""`verdicts.jsonl`: what the task's scorer said on every answer, beside `predictions.jsonl` and in its order.

One JSON object a line: `name`, the example's name, and by the name of every measure its value for that example, null where
the measure leaves the example out. Two runs are compared example by example with it.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from llm_jepa.durable import write
from llm_jepa.errors import UserError
from llm_jepa.experiments.json_files import json_object
from llm_jepa.records import Prediction
from llm_jepa.scoring.scorer import Verdicts

VERDICTS = "verdicts.jsonl"
_NAME = "name"


def write_verdicts(folder: Path, predictions: Sequence[Prediction], found: Sequence[Verdicts]) -> None:
    """Write the verdicts on predictions, whole or not at all.

    Args:
        folder: the folder of the predictions.
        predictions: the answers.
        found: the scorer's verdict on each.
    """
    lines = [json.dumps({_NAME: each.name, **verdict}) for each, verdict in zip(predictions, found, strict=True)]
    write(folder / VERDICTS, "".join(line + "\n" for line in lines))


def read_verdicts(folder: Path, measure: str) -> Mapping[str, float | None] | None:
    """Return the values of one measure by the example's name; None where the folder has no such file.

    Raises:
        UserError: a line is no verdict, or lacks the measure; the message begins with file and line.
    """
    path = folder / VERDICTS
    if not path.exists():
        return None
    result: dict[str, float | None] = {}
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        row = json_object(line, f"{path}:{number}")
        value = row.get(measure, "")
        known = value is None or (isinstance(value, int | float) and not isinstance(value, bool))
        if not isinstance(row.get(_NAME), str) or not known:
            raise UserError(
                f"{path}:{number}: a verdict has 'name' and a number or null as '{measure}'; score the run again"
            )
        result[row[_NAME]] = value
    return result
