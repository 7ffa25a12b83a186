"""Alone, what the first process decides is simply done."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from torch import distributed

from llm_jepa import cli, ranks
from llm_jepa.errors import UserError
from llm_jepa.ranks import first_decides, gathered, is_first, part


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


@pytest.fixture
def group(tmp_path: Path) -> Iterator[None]:
    """A group of this process alone."""
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    yield
    if distributed.is_initialized():
        distributed.destroy_process_group()


@pytest.mark.parametrize(("code", "parted"), [(0, True), (2, False), (75, False)])
def test_a_command_that_succeeds_leaves_its_group(code: int, parted: bool, group: None, monkeypatch) -> None:
    assert sys.modules["llm_jepa.ranks"] is ranks
    monkeypatch.setattr(cli, "main", lambda: code)
    assert cli.command() == code
    assert distributed.is_initialized() is not parted


def test_alone_there_is_no_group_to_leave() -> None:
    part()
    assert not distributed.is_initialized()
