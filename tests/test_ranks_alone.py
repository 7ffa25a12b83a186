"""Alone, what the first process decides is simply done."""

import pytest

from llm_jepa.errors import UserError
from llm_jepa.ranks import first_decides, gathered, is_first


def test_the_result_is_that_of_the_work() -> None:
    assert first_decides(lambda: {"a": 1}) == {"a": 1}
    assert gathered([1, 2]) == [1, 2]


def test_a_refusal_stays_one() -> None:
    def refuse() -> None:
        raise UserError("no")

    with pytest.raises(UserError, match=r"^no$"):
        first_decides(refuse)


def test_the_launchers_mark_says_who_is_first(monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_first()
    monkeypatch.setenv("RANK", "1")
    assert not is_first()
