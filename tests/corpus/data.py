"""Mistakes in data files, met by `train`, `inspect`, `evaluate` and `data describe`."""

import json
from pathlib import Path

from tests.corpus.case import GOOD, Case, case, cut, folder, link, raw, write

TRAIN = "train mine.yaml --data.train "


def row(**columns: object) -> str:
    """Return a line of JSON."""
    return json.dumps(columns) + "\n"


def lines(name: str, *rows: str) -> Case:
    """Return a case of a file of rows that is trained on."""
    return case(write(name, "".join(rows)), command=TRAIN + name)


def _parquet(here: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.table({"text": [1, 2], "code": ["a", "b"]}), here / "numbers.parquet")
    pyarrow.parquet.write_table(pyarrow.table({"text": ["a"], "code": ["b"]}), here / "cut.parquet")
    pyarrow.parquet.write_table(pyarrow.table({"text": [None, "a"], "code": ["b", "b"]}), here / "null.parquet")


DATA: dict[str, Case] = {
    "no such file": case(command=TRAIN + "goood.jsonl"),
    "no such hub name": case(command=TRAIN + "nobody/nothing"),
    "empty name": case(command="train mine.yaml --data.train=''"),
    "a URL": case(command=TRAIN + "https://example.org/a.jsonl"),
    "unknown extension": lines("d.txt", GOOD),
    "an archive": case(raw("d.zip", b"PK\x03\x04nothing"), command=TRAIN + "d.zip"),
    "empty folder": case(folder("d"), command=TRAIN + "d"),
    "folder with a torn file": case(write("d/a.jsonl", GOOD), write("d/b.jsonl", '{"text"'), command=TRAIN + "d"),
    "link to nothing": case(link("d.jsonl", "gone.jsonl"), command=TRAIN + "d.jsonl"),
    "link to itself": case(link("d.jsonl", "d.jsonl"), command=TRAIN + "d.jsonl"),
    "folder named as a file": case(folder("d.jsonl"), command=TRAIN + "d.jsonl"),
    "NUL in the name": case(command="train mine.yaml --data.train=a\0b.jsonl"),
    "very long name": case(command=TRAIN + "a" * 5000),
    "empty file": lines("d.jsonl", ""),
    "blank lines": lines("d.jsonl", "\n \n\t\n"),
    "torn last line": lines("d.jsonl", GOOD, '{"text": "a", "co'),
    "two objects on a line": lines("d.jsonl", GOOD.strip() + GOOD),
    "a list in place of an object": lines("d.jsonl", '["a", "b"]\n'),
    "a number in place of an object": lines("d.jsonl", "3\n"),
    "a string in place of an object": lines("d.jsonl", '"text"\n'),
    "single quotes": lines("d.jsonl", "{'text': 'a', 'code': 'b'}\n"),
    "comma after the last key": lines("d.jsonl", '{"text": "a", "code": "b",}\n'),
    "deeply nested": lines("d.jsonl", '{"text": ' + "[" * 100_000 + "\n"),
    "deeply nested and whole": lines("d.jsonl", '{"text": "a", "code": "b", "more": ' + "[" * 3000 + "]" * 3000 + "}\n"),
    "NaN as a text": lines("d.jsonl", '{"text": NaN, "code": "b"}\n'),
    "huge number as a text": lines("d.jsonl", '{"text": 1e999, "code": "b"}\n'),
    "too many digits": lines("d.jsonl", '{"text": ' + "9" * 5000 + ', "code": "b"}\n'),
    "key twice": lines("d.jsonl", '{"text": "a", "text": "b", "code": "c"}\n'),
    "null text": lines("d.jsonl", row(text=None, code="b")),
    "empty text": lines("d.jsonl", GOOD, row(text="", code="b")),
    "blank code": lines("d.jsonl", row(text="a", code=" \t ")),
    "a number as a text": lines("d.jsonl", row(text=3, code="b")),
    "an object as a code": lines("d.jsonl", row(text="a", code={"a": 1})),
    "a list of numbers as a text": lines("d.jsonl", row(text=[1], code="b")),
    "missing code": lines("d.jsonl", GOOD, row(text="a")),
    "a typo in a column": lines("d.jsonl", row(texts="a", code="b")),
    "unknown columns": lines("d.jsonl", row(question="a", answer="b")),
    "no columns at all": lines("d.jsonl", "{}\n"),
    "formats that change within": lines("d.jsonl", GOOD, row(views=["a", "b"]), row(messages=[])),
    "half a character": lines("d.jsonl", '{"text": "\\ud800", "code": "b"}\n'),
    "a raw surrogate": lines("d.jsonl", '{"text": "\ud800", "code": "b"}\n'),
    "Latin-1": case(raw("d.jsonl", '{"text": "café", "code": "b"}\n'.encode("latin-1")), command=TRAIN + "d.jsonl"),
    "UTF-16": case(raw("d.jsonl", GOOD.encode("utf-16")), command=TRAIN + "d.jsonl"),
    "UTF-32": case(raw("d.jsonl", GOOD.encode("utf-32")), command=TRAIN + "d.jsonl"),
    "binary": case(raw("d.jsonl", bytes(range(256))), command=TRAIN + "d.jsonl"),
    "NUL bytes": case(raw("d.jsonl", b"\0" * 64), command=TRAIN + "d.jsonl"),
    "a tail of NUL bytes after a crash": case(raw("d.jsonl", GOOD.encode() + b"\0" * 64), command=TRAIN + "d.jsonl"),
    "one long line": lines("d.jsonl", '{"text": "' + "a" * 2_000_000 + "\n"),
    "control character in a string": lines("d.jsonl", '{"text": "a\x01b", "code": "c"}\n'),
    "gzip torn": case(write("d.jsonl.gz", GOOD * 50), cut("d.jsonl.gz", -9), command=TRAIN + "d.jsonl.gz"),
    "gzip that is none": case(raw("d.jsonl.gz", GOOD.encode()), command=TRAIN + "d.jsonl.gz"),
    "gzip of nothing": case(raw("d.jsonl.gz", b""), command=TRAIN + "d.jsonl.gz"),
    "gzip with a flipped byte": case(
        write("d.jsonl.gz", GOOD * 50),
        lambda here: raw("d.jsonl.gz", _flipped((here / "d.jsonl.gz").read_bytes()))(here),
        command=TRAIN + "d.jsonl.gz",
    ),
    "messages that are none": lines("d.jsonl", row(messages="hello")),
    "message without a role": lines("d.jsonl", row(messages=[{"content": "a"}, {"role": "assistant", "content": "b"}])),
    "role without an end": lines("d.jsonl", row(messages=[{"role": "assi" * 200, "content": "a"}])),
    "unknown role": lines("d.jsonl", row(messages=[{"role": "bot", "content": "a"}])),
    "conversation without an answer": lines("d.jsonl", row(messages=[{"role": "user", "content": "a"}])),
    "conversation without a question": lines("d.jsonl", row(messages=[{"role": "assistant", "content": "a"}])),
    "content in parts": lines("d.jsonl", row(messages=[{"role": "user", "content": [{"type": "text", "text": "a"}]}])),
    "messages nested twice": lines("d.jsonl", row(messages=[[{"role": "user", "content": "a"}]])),
    "one view": lines("d.jsonl", row(views=["a"])),
    "views of two kinds": lines("d.jsonl", row(views=["a", 3])),
    "JSON cut": lines("d.json", '[{"text": "a", "code": "b"},'),
    "JSON of something else": lines("d.json", '{"rows": []}'),
    "JSON of text": lines("d.json", '"rows"'),
    "CSV of one column": lines("d.csv", "text\na\n"),
    "CSV with a short row": lines("d.csv", "text,code\na,b\na\n"),
    "CSV with an open quote": lines("d.csv", 'text,code\n"a,b\n'),
    "CSV with semicolons": lines("d.csv", "text;code\na;b\n"),
    "CSV with a header only": lines("d.csv", "text,code\n"),
    "CSV with a column twice": lines("d.csv", "text,code,code\na,b,c\n"),
    "CSV with a huge cell": lines("d.csv", "text,code\n" + "a" * 200_000 + ",b\n"),
    "CSV with an empty cell": lines("d.csv", "text,code\n,b\n"),
    "TSV that is CSV": lines("d.tsv", "text,code\na,b\n"),
    "Parquet that is none": case(raw("d.parquet", GOOD.encode()), command=TRAIN + "d.parquet"),
    "Parquet cut": case(_parquet, cut("cut.parquet", -20), command=TRAIN + "cut.parquet"),
    "Parquet of numbers": case(_parquet, command=TRAIN + "numbers.parquet"),
    "Parquet with a null": case(_parquet, command=TRAIN + "null.parquet"),
    "Parquet without bytes": case(raw("d.parquet", b""), command=TRAIN + "d.parquet"),
    "columns that are not there": case(command="train mine.yaml --data.columns.text question"),
    "columns of both kinds": case(command="train mine.yaml --data.columns.text text --data.columns.views views"),
    "the same column twice": case(command="train mine.yaml --data.columns.text code --data.columns.code code"),
    "held-out rows torn": case(write("d.jsonl", '{"text": "a"'), command="train mine.yaml --data.test d.jsonl"),
    "a split of a file": case(command="evaluate model good.jsonl --split test"),
    "described": case(write("d.jsonl", '{"text": "a"'), command="data describe d.jsonl"),
    "inspected": case(write("d.jsonl", '{"text": "a"'), command="inspect mine.yaml --data.train d.jsonl"),
    "preflight": case(write("d.jsonl", '{"text": "a"'), command="preflight mine.yaml --data.train d.jsonl"),
    "a group of views to be answered": case(write("d.jsonl", row(views=["a", "b"])), command="evaluate model d.jsonl"),
}


def _flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 0xFF]) + data[middle + 1 :]
