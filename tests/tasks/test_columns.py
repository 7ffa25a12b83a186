"""Every format a row may have, and the whole sentence of every error."""

from typing import Any

import pytest

from llm_jepa.errors import UserError
from llm_jepa.records import Example, Message, View
from llm_jepa.tasks.columns import Columns, to_example

S = {"role": "system", "content": "Be brief."}
U = {"role": "user", "content": "a digit"}
A = {"role": "assistant", "content": "[0-9]"}

SYSTEM = Message(role="system", content="Be brief.")
USER = Message(role="user", content="a digit")
ASSISTANT = Message(role="assistant", content="[0-9]")

DETECTED = Columns()


def pair(text: int, code: int) -> tuple[View, View]:
    """Text and Code as views of the messages with these indices."""
    return (
        View(content="a digit", role="user", message=text),
        View(content="[0-9]", role="assistant", message=code),
    )


PLAIN = ((USER, ASSISTANT), pair(0, 1))
WITH_SYSTEM = ((SYSTEM, USER, ASSISTANT), pair(1, 2))
GROUP = ((), (View(content="a digit", role=""), View(content="one of 0 to 9", role="")))
BESIDE = (
    (USER, ASSISTANT),
    (View(content="context", role="user", message=None), View(content="ending", role="assistant", message=None)),
)
OLD = Message(role="user", content="old"), Message(role="assistant", content="older")
OLD_ROWS = [{"role": "user", "content": "old"}, {"role": "assistant", "content": "older"}]

FORMATS: dict[str, tuple[dict[str, Any], Columns, tuple[Any, Any]]] = {
    "messages": ({"messages": [U, A]}, DETECTED, PLAIN),
    "messages with a system message": ({"messages": [S, U, A]}, DETECTED, WITH_SYSTEM),
    "messages as a tuple": ({"messages": (U, A)}, DETECTED, PLAIN),
    "messages of several turns": (
        {"messages": [*OLD_ROWS, U, A]},
        DETECTED,
        ((*OLD, USER, ASSISTANT), pair(2, 3)),
    ),
    "messages with other keys": ({"messages": [{**U, "name": "Ann"}, {**A, "weight": 1}]}, DETECTED, PLAIN),
    "messages with their own system message": ({"messages": [S, U, A]}, Columns(system="Other."), WITH_SYSTEM),
    "views beside messages, as texts": ({"messages": [U, A], "text": "context", "code": "ending"}, DETECTED, BESIDE),
    "views beside messages, as messages": (
        {
            "messages": [U, A],
            "text": [{"role": "user", "content": "context"}],
            "code": [{"role": "assistant", "content": "ending"}],
        },
        DETECTED,
        BESIDE,
    ),
    "views beside messages, in named columns": (
        {"messages": [U, A], "ctx": "context", "end": "ending"},
        Columns(text="ctx", code="end"),
        BESIDE,
    ),
    "null views beside messages": ({"messages": [U, A], "text": None, "code": None}, DETECTED, PLAIN),
    "prompt and completion": ({"prompt": "a digit", "completion": "[0-9]"}, DETECTED, PLAIN),
    "prompt and completion as messages": ({"prompt": [S, U], "completion": [A]}, DETECTED, WITH_SYSTEM),
    "prompt as messages, completion as a text": ({"prompt": [S, U], "completion": "[0-9]"}, DETECTED, WITH_SYSTEM),
    "prompt and completion before text": (
        {"prompt": "a digit", "completion": "[0-9]", "text": None, "code": "no"},
        DETECTED,
        PLAIN,
    ),
    "prompt and completion with a system message given": (
        {"prompt": "a digit", "completion": "[0-9]"},
        Columns(system="Be brief."),
        WITH_SYSTEM,
    ),
    "prompt with its own system message": (
        {"prompt": [S, U], "completion": [A]},
        Columns(system="Other."),
        WITH_SYSTEM,
    ),
    "text and code": ({"text": "a digit", "code": "[0-9]"}, DETECTED, PLAIN),
    "text and code with a system message given": (
        {"text": "a digit", "code": "[0-9]"},
        Columns(system="Be brief."),
        WITH_SYSTEM,
    ),
    "text and code in named columns": ({"nl": "a digit", "regex": "[0-9]"}, Columns(text="nl", code="regex"), PLAIN),
    "text in a named column": ({"nl": "a digit", "code": "[0-9]"}, Columns(text="nl"), PLAIN),
    "code in a named column": ({"text": "a digit", "regex": "[0-9]"}, Columns(code="regex"), PLAIN),
    "views": ({"views": ["a digit", "one of 0 to 9"]}, DETECTED, GROUP),
    "paraphrases": ({"paraphrases": ["a digit", "one of 0 to 9"]}, DETECTED, GROUP),
    "views in a named column": ({"captions": ["a digit", "one of 0 to 9"]}, Columns(views="captions"), GROUP),
    "named views before messages": (
        {"messages": [U, A], "captions": ["a digit", "one of 0 to 9"]},
        Columns(views="captions"),
        GROUP,
    ),
}


@pytest.mark.parametrize(("row", "columns", "expected"), FORMATS.values(), ids=FORMATS.keys())
def test_a_row_of_every_format_becomes_its_messages_and_views(row, columns, expected):
    example = to_example(row, name="train.jsonl:12", columns=columns)
    assert example.name == "train.jsonl:12"
    assert (example.messages, example.views) == expected


def test_other_columns_with_texts_and_numbers_are_kept_as_texts():
    dropped = {"none": None, "list": [1], "object": {"a": 1}}
    row = {"text": "a", "code": "b", "db": "zoo", "empty": "", "count": 3, "share": 0.5, **dropped}
    extra = {"db": "zoo", "empty": "", "count": "3", "share": "0.5"}
    assert to_example(row, name="x:1", columns=DETECTED).extra == extra


def test_a_lone_text_column_beside_messages_is_extra():
    example = to_example({"messages": [U, A], "text": "rendered"}, name="x:1", columns=DETECTED)
    assert (example.views, example.extra) == (pair(0, 1), {"text": "rendered"})


def test_white_space_at_the_ends_is_kept():
    example = to_example({"text": " a\n", "code": "\tb "}, name="x:1", columns=DETECTED)
    assert [message.content for message in example.messages] == [" a\n", "\tb "]


def test_an_empty_system_message_is_kept():
    row = {"messages": [{"role": "system", "content": ""}, U, A]}
    assert to_example(row, name="x:1", columns=DETECTED).messages[0] == Message(role="system", content="")


def test_the_answer_of_a_group_is_its_last_view():
    example: Example = to_example({"views": ["a", "b", "c"]}, name="x:1", columns=DETECTED)
    assert (example.answer, example.prompt) == ("c", ())


def group(*content: Any) -> dict[str, Any]:
    """A row with these views."""
    return {"views": list(content)}


def chat(*turns: Any) -> dict[str, Any]:
    """A row with these messages."""
    return {"messages": list(turns)}


NO_FORMAT = (
    "a row has 'messages', 'prompt' and 'completion', 'text' and 'code', or 'views': "
    "rename your columns, or name them with columns.text and columns.code"
)
NO_LIST = "make it a list of messages, each with 'role' and 'content'"
NO_TURNS = "make it a text or a list of messages, each with 'role' and 'content'"

ERRORS: list[tuple[dict[str, Any], Columns, str]] = [
    # Columns
    ({}, DETECTED, f"no known columns (there are none); {NO_FORMAT}"),
    ({"id": 1}, DETECTED, f"no known columns (there are 'id'); {NO_FORMAT}"),
    ({"a": 1, "b": 2, "c": 3}, DETECTED, f"no known columns (there are 'a', 'b' and 'c'); {NO_FORMAT}"),
    (
        {"text": "a", "label": "b"},
        DETECTED,
        "column 'code' is missing (there are 'text' and 'label'); rename a column or set `columns`",
    ),
    ({"code": "a"}, DETECTED, "column 'text' is missing (there are 'code'); rename a column or set `columns`"),
    ({"prompt": "a"}, DETECTED, "column 'completion' is missing (there are 'prompt'); rename a column or set `columns`"),
    (
        {"text": "a", "code": "b"},
        Columns(text="nl"),
        "column 'nl' is missing (there are 'text' and 'code'); rename a column or set `columns`",
    ),
    (
        {"text": "a", "code": "b"},
        Columns(views="captions"),
        "column 'captions' is missing (there are 'text' and 'code'); rename a column or set `columns`",
    ),
    (
        {"messages": [U, A], "text": "a"},
        Columns(text="text", code="regex"),
        "column 'regex' is missing (there are 'messages' and 'text'); rename a column or set `columns`",
    ),
    ({"text": "a", "code": None}, DETECTED, "'code' is null; fill it or remove the row"),
    ({"text": None, "code": None}, DETECTED, "'text' is null; fill it or remove the row"),
    ({"messages": None, "id": 1}, DETECTED, "'messages' is null; fill it or remove the row"),
    ({"paraphrases": None}, DETECTED, "'paraphrases' is null; fill it or remove the row"),
    # Empty
    ({"text": "", "code": "b"}, DETECTED, "'text' is empty; fill it or remove the row"),
    ({"text": "a", "code": " \n\t"}, DETECTED, "'code' is empty; fill it or remove the row"),
    ({"prompt": "a", "completion": ""}, DETECTED, "'completion' is empty; fill it or remove the row"),
    (chat({**U, "content": " "}, A), DETECTED, "'messages[0].content' is empty; fill it or remove the row"),
    (chat(S, U, {**A, "content": ""}), DETECTED, "'messages[2].content' is empty; fill it or remove the row"),
    (group("a", ""), DETECTED, "'views[1]' is empty; fill it or remove the row"),
    ({**chat(U, A), "text": "", "code": "b"}, DETECTED, "'text' is empty; fill it or remove the row"),
    # Types
    ({"text": 5, "code": "b"}, DETECTED, f"'text' is a number; {NO_TURNS}"),
    ({"text": "a", "code": {"x": 1}}, DETECTED, f"'code' is an object; {NO_TURNS}"),
    ({"text": True, "code": "b"}, DETECTED, f"'text' is true or false; {NO_TURNS}"),
    ({"text": b"a", "code": "b"}, DETECTED, f"'text' is of type bytes; {NO_TURNS}"),
    ({"text": ["a"], "code": "b"}, DETECTED, "'text[0]' is a text; make it an object with 'role' and 'content'"),
    ({"prompt": [], "completion": "b"}, DETECTED, "'prompt' is an empty list; add messages or remove the row"),
    ({"messages": "a"}, DETECTED, f"'messages' is a text; {NO_LIST}"),
    ({"messages": []}, DETECTED, "'messages' is an empty list; add messages or remove the row"),
    (chat(U, None), DETECTED, "'messages[1]' is null; make it an object with 'role' and 'content'"),
    (chat({"content": "a"}, A), DETECTED, "'messages[0]' has no 'role' (there are 'content'); add it"),
    (
        chat({"from": "human", "value": "a"}),
        DETECTED,
        "'messages[0]' has no 'role' (there are 'from' and 'value'); add it",
    ),
    (chat(U, {"role": "assistant"}), DETECTED, "'messages[1]' has no 'content' (there are 'role'); add it"),
    (chat({**U, "content": 5}, A), DETECTED, "'messages[0].content' is a number; make it a text"),
    (chat(U, {**A, "content": None}), DETECTED, "'messages[1].content' is null; make it a text"),
    (chat({**U, "content": [{"type": "text"}]}, A), DETECTED, "'messages[0].content' is a list; make it a text"),
    (chat({**U, "role": 1}, A), DETECTED, "'messages[0].role' is a number; make it a text"),
    ({"views": "a"}, DETECTED, "'views' is a text; make it a list of two or more texts"),
    (group("a", 2.5), DETECTED, "'views[1]' is a number; make it a text"),
    (
        {"text": "ab\ud83d", "code": "b"},
        DETECTED,
        "'text' has half a character (\\ud83d) at position 2; write both halves",
    ),
    # Roles
    (
        chat({**U, "role": "tool"}, A),
        DETECTED,
        "'messages[0].role' is 'tool'; use 'system', 'user' or 'assistant'",
    ),
    (
        chat(U, {**A, "role": "asistant"}),
        DETECTED,
        "'messages[1].role' is 'asistant'; use 'system', 'user' or 'assistant'; did you mean 'assistant'?",
    ),
    (chat(S, U), DETECTED, "'messages' ends with a user message; the last one must be the assistant's"),
    (
        {"prompt": "a", "completion": [A, U]},
        DETECTED,
        "'completion' ends with a user message; the last one must be the assistant's",
    ),
    (chat(S, A), DETECTED, "'messages' has no user message; add the one that the assistant answers"),
    (
        {"prompt": [S], "completion": "b"},
        DETECTED,
        "'prompt' has no user message; add the one that the assistant answers",
    ),
    # Views
    (group("a"), DETECTED, "'views' needs two or more texts and has 1; add texts or remove the row"),
    (group(), DETECTED, "'views' needs two or more texts and has 0; add texts or remove the row"),
    (
        {**chat(U, A), "text": [U, U], "code": "b"},
        DETECTED,
        "'text' has 2 messages; beside 'messages' it is a text or a list of one message",
    ),
    # A system message that has no place
    (
        chat(U, A),
        Columns(system="Be brief."),
        "'messages' has no system message; put it there, columns.system is for Text and Code columns",
    ),
    (
        group("a", "b"),
        Columns(system="Be brief."),
        "'views' is a list of views, which take no system message; leave columns.system out",
    ),
]


@pytest.mark.parametrize(("row", "columns", "sentence"), ERRORS)
def test_every_mistake_names_row_field_and_remedy(row, columns, sentence):
    with pytest.raises(UserError) as caught:
        to_example(row, name="train.jsonl:12", columns=columns)
    assert str(caught.value) == f"train.jsonl:12: {sentence}"


CONFIGS = [
    ({"text": ""}, "columns.text is empty; fill it or leave it out"),
    ({"code": " "}, "columns.code is empty; fill it or leave it out"),
    ({"views": ""}, "columns.views is empty; fill it or leave it out"),
    ({"system": ""}, "columns.system is empty; fill it or leave it out"),
    (
        {"views": "v", "code": "c"},
        "columns.views excludes columns.text and columns.code; name either the list or the two",
    ),
    ({"text": "a", "code": "a"}, "columns.text and columns.code are both 'a'; name two different columns"),
    ({"text": "code"}, "columns.text and columns.code are both 'code'; name two different columns"),
]


@pytest.mark.parametrize(("fields", "sentence"), CONFIGS)
def test_columns_that_contradict_each_other_are_refused(fields, sentence):
    with pytest.raises(UserError) as caught:
        Columns(**fields)
    assert str(caught.value) == sentence
