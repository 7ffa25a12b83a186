"""From one row of a user's own data to an `Example`: which column is the Text, which the Code, and which are views.

Nothing is read and nothing is guessed from contents here: the names of the columns decide, in this order.

1. The column named by `Columns.views`: two or more texts that say the same, without a conversation.
2. `messages`: a conversation whose last message is the answer. Text is the last user message, Code the last message;
   with the columns `text` and `code` beside it (as in HellaSwag), those are the views, and are not trained on.
3. The columns named by `Columns.text` and `Columns.code`, else `prompt` and `completion`, else `text` and `code`: each
   a text, or a list of messages.
4. `views`, else `paraphrases`, as in 1.

A null counts as an absent column. Contents are kept as they are, white space at the ends included. Every other column
that holds a text or a number becomes an entry of `Example.extra`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llm_jepa.errors import UserError, nearest, shown
from llm_jepa.records import ASSISTANT, SYSTEM, USER, Example, Message, View

ROLES = (SYSTEM, USER, ASSISTANT)
MESSAGES = "messages"
PAIRS = (("prompt", "completion"), ("text", "code"))
GROUPS = ("views", "paraphrases")
MOST_NAMED = 12
"""Columns, and characters of a name, that an error tells."""


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Which columns of the user's data are read; what is left out is detected.

    Attributes:
        text: name of the column with the Text.
        code: name of the column with the Code.
        views: name of the column with a list of texts that say the same; excludes the two above.
        system: a system message put before rows of Text and Code columns that have none. Rows that lack one and cannot
            take it are errors: `messages` without a system message, and lists of views.
    """

    text: str | None = None
    code: str | None = None
    views: str | None = None
    system: str | None = None

    def __post_init__(self) -> None:
        for field, value in (("text", self.text), ("code", self.code), ("views", self.views), ("system", self.system)):
            if value is not None and not value.strip():
                raise UserError(f"columns.{field} is empty; fill it or leave it out")
        if self.views is not None and (self.text is not None or self.code is not None):
            raise UserError("columns.views excludes columns.text and columns.code; name either the list or the two")
        if self.pair is not None and self.pair[0] == self.pair[1]:
            raise UserError(f"columns.text and columns.code are both '{self.pair[0]}'; name two different columns")

    @property
    def pair(self) -> tuple[str, str] | None:
        """The names of the Text and the Code column when the user named at least one of them."""
        if self.text is None and self.code is None:
            return None
        return self.text or "text", self.code or "code"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Turn:
    """A message and where in the row it stands, such as "messages[2].content"."""

    field: str
    message: Message


def to_example(row: Mapping[str, Any], *, name: str, columns: Columns) -> Example:
    """Return the example that a row holds.

    Args:
        row: the row's columns.
        name: where the row comes from, such as "train.jsonl:12"; opens every error message.
        columns: the names of the columns, as far as the user gave them.

    Raises:
        UserError: the row is not of one of the formats, or its Text or Code is empty.

    Example:
        >>> example = to_example({"text": "a digit", "code": "[0-9]"}, name="train.jsonl:1", columns=Columns())
        >>> [view.content for view in example.views]
        ['a digit', '[0-9]']
    """
    try:
        used = _detect(row, columns)
        messages, views = _read(row, used, columns.system)
    except UserError as error:
        raise UserError(f"{name}: {error}") from None
    return Example(name=name, messages=messages, views=views, extra=_extra(row, used))


def _detect(row: Mapping[str, Any], columns: Columns) -> tuple[str, ...]:
    """Return the columns to read: a list of views; `messages`, maybe with two views beside it; or Text and Code."""
    given = {column for column, value in row.items() if value is not None}
    if columns.views is not None:
        return (columns.views,)
    if MESSAGES in given:
        beside = columns.pair or PAIRS[1]
        return (MESSAGES, *beside) if columns.pair or given.issuperset(beside) else (MESSAGES,)
    if columns.pair is not None:
        return columns.pair
    for pair in PAIRS:
        if given.issuperset(pair):
            return pair
    for group in GROUPS:
        if group in given:
            return (group,)
    return _nearest_format(row, given)


def _nearest_format(row: Mapping[str, Any], given: set[str]) -> tuple[str, ...]:
    """Return the format that an incomplete row comes nearest to: the column it misses makes the better error."""
    for pair in PAIRS:
        if given.intersection(pair):
            return pair
    for known in ((MESSAGES,), *PAIRS, *((group,) for group in GROUPS)):
        if known[0] in row:
            return known
    raise UserError(
        f"no known columns ({_present(row)}); a row has 'messages', 'prompt' and 'completion', 'text' and 'code', or "
        "'views': rename your columns, or name them with columns.text and columns.code"
    )


def _read(row: Mapping[str, Any], used: Sequence[str], system: str | None) -> tuple[tuple[Message, ...], tuple[View, ...]]:
    """Return the messages and the views that the columns `used` hold."""
    if used[0] == MESSAGES:
        turns = _turns(row, MESSAGES, role=None)
        views = _conversation(turns, prompt=MESSAGES, answer=MESSAGES)
        if system is not None and all(turn.message.role != SYSTEM for turn in turns):
            raise UserError("'messages' has no system message; put it there, columns.system is for Text and Code columns")
        if len(used) > 1:
            views = _beside(row, used[1], USER), _beside(row, used[2], ASSISTANT)
    elif len(used) == 1:
        if system is not None:
            raise UserError(f"'{used[0]}' is a list of views, which take no system message; leave columns.system out")
        turns, views = [], _group(row, used[0])
    else:
        turns = [*_turns(row, used[0], role=USER), *_turns(row, used[1], role=ASSISTANT)]
        if system is not None and all(turn.message.role != SYSTEM for turn in turns):
            turns.insert(0, _Turn(field="columns.system", message=Message(role=SYSTEM, content=system)))
        views = _conversation(turns, prompt=used[0], answer=used[1])
    return tuple(turn.message for turn in turns), views


def _conversation(turns: Sequence[_Turn], *, prompt: str, answer: str) -> tuple[View, View]:
    """Return Text, the last user message, and Code, the last message, which must be the assistant's."""
    last = len(turns) - 1
    if turns[last].message.role != ASSISTANT:
        raise UserError(f"'{answer}' ends with a {turns[last].message.role} message; the last one must be the assistant's")
    users = [index for index, turn in enumerate(turns) if turn.message.role == USER]
    if not users:
        raise UserError(f"'{prompt}' has no user message; add the one that the assistant answers")
    return _view(turns[users[-1]], users[-1]), _view(turns[last], last)


def _beside(row: Mapping[str, Any], column: str, role: str) -> View:
    """Return the view in a column that stands beside `messages`: a text, or a list of one message."""
    turns = _turns(row, column, role=role)
    if len(turns) != 1:
        raise UserError(f"'{column}' has {len(turns)} messages; beside 'messages' it is a text or a list of one message")
    return _view(turns[0], None)


def _group(row: Mapping[str, Any], column: str) -> tuple[View, ...]:
    """Return the views in a list of texts."""
    value = _value(row, column)
    if not isinstance(value, list | tuple):
        raise UserError(f"'{column}' is {_kind(value)}; make it a list of two or more texts")
    if len(value) < 2:
        raise UserError(f"'{column}' needs two or more texts and has {len(value)}; add texts or remove the row")
    fields = [f"{column}[{index}]" for index in range(len(value))]
    return tuple(
        View(content=_filled(_text(content, field), field), role="") for field, content in zip(fields, value, strict=True)
    )


def _turns(row: Mapping[str, Any], column: str, *, role: str | None) -> list[_Turn]:
    """Return the messages in a column: a list of them, or where `role` is given also a text said by that role."""
    value = _value(row, column)
    if isinstance(value, str) and role is not None:
        return [_Turn(field=column, message=Message(role=role, content=_text(value, column)))]
    if not isinstance(value, list | tuple):
        wanted = "a list of messages" if role is None else "a text or a list of messages"
        raise UserError(f"'{column}' is {_kind(value)}; make it {wanted}, each with 'role' and 'content'")
    if not value:
        raise UserError(f"'{column}' is an empty list; add messages or remove the row")
    return [_turn(item, f"{column}[{index}]") for index, item in enumerate(value)]


def _turn(item: object, field: str) -> _Turn:
    """Return one message of a list."""
    if not isinstance(item, Mapping):
        raise UserError(f"'{field}' is {_kind(item)}; make it an object with 'role' and 'content'")
    for key in ("role", "content"):
        if key not in item:
            raise UserError(f"'{field}' has no '{key}' ({_present(item)}); add it")
    role = _text(item["role"], f"{field}.role")
    if role not in ROLES:
        raise UserError(f"'{field}.role' is '{shown(role)}'; use {_words(ROLES, 'or')}{nearest(role, ROLES)}")
    content = _text(item["content"], f"{field}.content")
    return _Turn(field=f"{field}.content", message=Message(role=role, content=content))


def _view(turn: _Turn, message: int | None) -> View:
    """Return a message as a view."""
    return View(content=_filled(turn.message.content, turn.field), role=turn.message.role, message=message)


def _value(row: Mapping[str, Any], column: str) -> object:
    """Return what a column of the row holds."""
    if column not in row:
        raise UserError(f"column '{column}' is missing ({_present(row)}); rename a column or set `columns`")
    if row[column] is None:
        raise UserError(f"'{column}' is null; fill it or remove the row")
    return row[column]


def _text(value: object, field: str) -> str:
    """Return a value that must be a text which can be written as UTF-8."""
    if not isinstance(value, str):
        raise UserError(f"'{field}' is {_kind(value)}; make it a text")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        half = f"\\u{ord(value[error.start]):04x}"
        raise UserError(f"'{field}' has half a character ({half}) at position {error.start}; write both halves") from None
    return value


def _filled(content: str, field: str) -> str:
    """Return the text of a view, which must not be blank: it would have no token to embed."""
    if not content.strip():
        raise UserError(f"'{field}' is empty; fill it or remove the row")
    return content


def _extra(row: Mapping[str, Any], used: Iterable[str]) -> dict[str, str]:
    """Return the columns that are not read and hold a text or a number."""
    others = set(row).difference(used)
    return {column: str(row[column]) for column in row if column in others and isinstance(row[column], str | int | float)}


def _present(row: Mapping[str, Any]) -> str:
    """Return a phrase that lists the columns of a row, the first of many."""
    names = [shown(name) for name in row]  # a table without a header has whole texts in its first row
    if len(names) > MOST_NAMED:
        first = ", ".join(f"'{name}'" for name in names[:MOST_NAMED])
        return f"there are {first} and {len(names) - MOST_NAMED} more"
    return f"there are {_words(names, 'and')}" if names else "there are none"


def _words(names: Iterable[str], joint: str) -> str:
    """Return quoted names as a list with a word before the last."""
    quoted = [f"'{name}'" for name in names]
    return f" {joint} ".join([", ".join(quoted[:-1]), quoted[-1]] if len(quoted) > 1 else quoted)


def _kind(value: object) -> str:
    """Return what a value is, in the words of JSON."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    kinds = {str: "a text", int: "a number", float: "a number", list: "a list", tuple: "a list", dict: "an object"}
    return kinds.get(type(value), f"of type {type(value).__name__}")
