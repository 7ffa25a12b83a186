import os
from pathlib import Path

import pytest
from tests.scoring.sql_helpers import in_archive, in_folder

from llm_jepa.errors import UserError
from llm_jepa.scoring import sql_databases
from llm_jepa.scoring.sql_databases import Databases


@pytest.mark.parametrize("place", ["spider_databases", "database"])
def test_a_database_is_found_in_a_folder(tmp_path: Path, place: str):
    in_folder(tmp_path, "concert", b"bytes", place)
    assert Databases(tmp_path).read("concert") == b"bytes"
    assert Databases(tmp_path).advice is None


def test_a_database_is_found_in_the_archive_first(tmp_path: Path):
    in_archive(tmp_path, "concert", b"archived")
    in_folder(tmp_path, "concert", b"in a folder")
    in_folder(tmp_path, "wta_1", b"only in a folder", "database")
    databases = Databases(tmp_path)
    assert [databases.read(name) for name in ("concert", "wta_1", "baseball_1")] == [b"archived", b"only in a folder", None]


TRICKS = [
    "../secret",
    "..",
    ".",
    "",
    "/secret",
    "C:secret",
    "a/b",
    "a\\b",
    "a\0",
    "a\n",
    "secret ",
    "\ud800",
    "x" * 5000,
    "*",
]


@pytest.mark.parametrize("name", TRICKS)
def test_a_name_that_is_no_plain_name_is_never_looked_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str):
    def looked_up(*_: object) -> None:
        raise AssertionError("looked up")

    monkeypatch.setattr(Databases, "_find", looked_up)
    assert Databases(tmp_path).read(name) is None


@pytest.mark.parametrize("content", [b"", b"not an archive", b"PK\x03\x04" + b"\0" * 50])
def test_a_broken_archive_is_the_users_to_replace(tmp_path: Path, content: bytes):
    (tmp_path / "spider_databases.zip").write_bytes(content)
    with pytest.raises(
        UserError, match=r"spider_databases.zip: 'concert' cannot be read .*; replace the file by a sound copy"
    ):
        Databases(tmp_path).read("concert")


def test_a_damaged_member_is_noticed(tmp_path: Path):
    in_archive(tmp_path, "concert", os.urandom(1000))
    archive = tmp_path / "spider_databases.zip"
    content = bytearray(archive.read_bytes())
    content[500] ^= 255
    archive.write_bytes(content)
    with pytest.raises(UserError, match="cannot be read"):
        Databases(tmp_path).read("concert")


@pytest.mark.parametrize("put", [in_archive, in_folder])
def test_a_database_too_large_for_the_memory_of_a_query_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, put):
    monkeypatch.setattr(sql_databases, "LARGEST", 10)
    put(tmp_path, "concert", b"x" * 11)
    with pytest.raises(UserError, match="has 11 bytes, more than the 10 a database may have"):
        Databases(tmp_path).read("concert")


def test_recent_databases_stay_in_memory_up_to_a_number_of_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sql_databases, "CACHED", 10)
    for name, size in (("a", 4), ("b", 5), ("c", 4), ("large", 99)):
        in_folder(tmp_path, name, name[:1].encode() * size)
    read: list[str] = []
    find = Databases._find
    monkeypatch.setattr(Databases, "_find", lambda self, name: (read.append(name), find(self, name))[1])
    databases = Databases(tmp_path)
    for name in ("a", "b", "a", "c", "a", "b", "large", "large", "a"):
        databases.read(name)
    assert read == ["a", "b", "c", "b", "large", "a"]
