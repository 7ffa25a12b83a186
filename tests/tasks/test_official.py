"""The official chat format: what is accepted as a row of it."""

import pytest

from llm_jepa.errors import UserError
from llm_jepa.tasks.official import chat, from_chat, official_file


def test_a_row_is_system_user_and_assistant() -> None:
    example = from_chat(chat("be brief", "two and two", "4"), "a.jsonl:1")
    assert [(message.role, message.content) for message in example.messages] == [
        ("system", "be brief"),
        ("user", "two and two"),
        ("assistant", "4"),
    ]


def test_rows_of_the_users_own_formats_are_refused() -> None:
    with pytest.raises(UserError, match=r"^a\.jsonl:1: the row has no 'messages'"):
        from_chat({"text": "two and two", "code": "4"}, "a.jsonl:1")


def test_official_files_are_at_one_commit() -> None:
    download = official_file("gsm8k_test.jsonl", sha256="0" * 64)
    commit = "dd6196630f97016f7a607b0ac74f5e378ddf25db"
    assert download.url == f"https://raw.githubusercontent.com/rbalestr-lab/llm-jepa/{commit}/datasets/gsm8k_test.jsonl"
