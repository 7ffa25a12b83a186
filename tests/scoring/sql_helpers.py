"""A small database, laid out in each of the ways a user may have it, and examples on it."""

import hashlib
import sqlite3
import zipfile
from pathlib import Path

from llm_jepa.records import Example, Message, Prediction

SCHEMA = """
CREATE TABLE singer (id INTEGER PRIMARY KEY, name TEXT, country TEXT, age INTEGER);
CREATE TABLE song (id INTEGER PRIMARY KEY, singer_id INTEGER REFERENCES singer(id), title TEXT, sales REAL);
INSERT INTO singer VALUES (1, 'Ann', 'France', 30), (2, 'Bob', 'Chad', 20), (3, 'Cy', 'France', NULL);
INSERT INTO song VALUES (1, 1, 'Sun', 0.1), (2, 1, 'Moon', 0.2), (3, 2, 'Sun', 2.0);
CREATE VIEW french AS SELECT name FROM singer WHERE country = 'France';
CREATE INDEX by_age ON singer(age);
"""


def database(script: str = SCHEMA) -> bytes:
    """Return the bytes of a database that the script makes."""
    connection = sqlite3.connect(":memory:")
    connection.executescript(script)
    data = connection.serialize()
    connection.close()
    return data


def in_archive(folder: Path, name: str, data: bytes) -> None:
    with zipfile.ZipFile(folder / "spider_databases.zip", "w", zipfile.ZIP_DEFLATED) as members:
        members.writestr(f"{name}/{name}.sqlite", data)


def in_folder(folder: Path, name: str, data: bytes, place: str = "spider_databases") -> None:
    (folder / place / name).mkdir(parents=True)
    (folder / place / name / f"{name}.sqlite").write_bytes(data)


def checksums(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file under a folder, by its path."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def example(gold: str, *, db_id: str | None = "concert") -> Example:
    messages = (Message(role="user", content="?"), Message(role="assistant", content=gold))
    return Example(name="spider_test.jsonl:1", messages=messages, extra={} if db_id is None else {"db_id": db_id})


def prediction(generated: str, *, stopped: bool = True) -> Prediction:
    return Prediction(name="spider_test.jsonl:1", prompt="?", expected="", generated=generated, stopped=stopped, tokens=3)
