"""The files of the official repository: where they are, and the chat format that the hub's rows are brought into.

A hub row is first made the row that the official file has for it, then read as such; so both give one and the same example.
"""

from collections.abc import Sequence

from llm_jepa.errors import UserError
from llm_jepa.records import ASSISTANT, SYSTEM, USER, Example
from llm_jepa.tasks.columns import MESSAGES, Columns, to_example
from llm_jepa.tasks.task import Download, Row

REPOSITORY = "https://raw.githubusercontent.com/rbalestr-lab/llm-jepa/dd6196630f97016f7a607b0ac74f5e378ddf25db/datasets"


def official_file(name: str, *, sha256: str) -> Download:
    """Return where a data file of the official repository is."""
    return Download(url=f"{REPOSITORY}/{name}", sha256=sha256)


def from_chat(row: Row, name: str) -> Example:
    """Return the example of a row of the official format: "messages" of system, user and assistant.

    Raises:
        UserError: the row is of another format.

    Example:
        >>> from_chat(chat("Answer.", "two and two", "4"), "train.jsonl:1").answer
        '4'
    """
    if MESSAGES not in row:
        raise UserError(f"{name}: the row has no '{MESSAGES}', as the rows of the official file have; give that file")
    return to_example(row, name=name, columns=Columns())


def chat(system: str, question: str, answer: str) -> dict[str, list[dict[str, str]]]:
    """Return a row of the official format."""
    turns = ((SYSTEM, system), (USER, question), (ASSISTANT, answer))
    return {MESSAGES: [{"role": role, "content": content} for role, content in turns]}


def text_column(row: Row, column: str, name: str) -> str:
    """Return the text in a column of a hub row.

    Raises:
        UserError: there is no such column, or it holds no text.
    """
    value = row.get(column)
    if not isinstance(value, str):
        raise UserError(f"{name}: '{column}' holds no text, as the data set on the hub does; read that data set")
    return value


def label_column(row: Row, labels: Sequence[str], name: str) -> str:
    """Return the label that the number in the column "label" of a hub row stands for, counted from 0.

    Raises:
        UserError: the number is missing or stands for no label.
    """
    value = row.get("label")
    if not str(value).isdecimal() or int(str(value)) >= len(labels):
        known = f"a number from 0 to {len(labels) - 1}"
        raise UserError(f"{name}: 'label' is {value!r}, but it is {known}; read a labelled split")
    return labels[int(str(value))]
