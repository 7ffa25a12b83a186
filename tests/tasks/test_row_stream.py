"""A stream yields the examples that a reading of the whole data yields, whatever the format."""

import gzip
import json
from pathlib import Path
from typing import Any

import datasets
import pytest

from llm_jepa.errors import UserError
from llm_jepa.tasks.columns import Columns
from llm_jepa.tasks.files import read_examples
from llm_jepa.tasks.row_stream import RowStream

ROWS = [{"text": f"lines with {index} dogs", "code": f"dog{{{index}}}"} for index in range(5)]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS)
TABLE = 'text,code\n"a, b",x\n"two\nlines",y\nc,z\n'


def streamed(path: Path, columns: Columns | None = None) -> list[Any]:
    stream = RowStream(source=str(path), columns=columns or Columns())
    return list(map(stream.example, stream.rows()))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", LINES.encode()),
        ("a.jsonl", b"\xef\xbb\xbf" + LINES.replace("\n", "\n\n").encode()),
        ("a.ndjson.gz", gzip.compress(LINES.encode(), mtime=0)),
        ("a.csv", TABLE.encode()),
        ("a.tsv.gz", gzip.compress(TABLE.replace(",", "\t").replace("a\t b", "a, b").encode(), mtime=0)),
    ],
)
def test_a_file_is_streamed_as_it_is_read(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    expected = read_examples(str(tmp_path / name))
    assert len(expected) in (3, 5)
    assert streamed(tmp_path / name) == expected


def test_a_parquet_file_is_streamed_as_it_is_read(tmp_path):
    datasets.Dataset.from_list(ROWS).to_parquet(str(tmp_path / "a.parquet"))
    assert streamed(tmp_path / "a.parquet") == read_examples(str(tmp_path / "a.parquet"))


def test_a_folder_is_streamed_file_by_file(tmp_path):
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "b.jsonl").write_text(LINES)
    (tmp_path / "a.csv").write_text(TABLE)
    assert streamed(tmp_path) == read_examples(str(tmp_path))
    assert [example.name for example in streamed(tmp_path)[2:4]] == ["a.csv:5", "inner/b.jsonl:1"]


def test_columns_can_be_named(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"question": "how many", "sql": "SELECT 1"}\n')
    columns = Columns(text="question", code="sql", system="Write SQL.")
    assert streamed(tmp_path / "a.jsonl", columns) == read_examples(str(tmp_path / "a.jsonl"), columns=columns)


def test_a_data_set_of_the_hub_is_streamed(monkeypatch):
    asked: list[Any] = []

    def load(name: str, **options: Any) -> list[dict[str, str]]:
        asked.append((name, options))
        return ROWS

    monkeypatch.setattr(datasets, "load_dataset", load)
    stream = RowStream(source="org/name", split="train")
    assert [stream.example(row).name for row in stream.rows()] == [f"name:{number}" for number in range(1, 6)]
    assert asked == [("org/name", {"split": "train", "streaming": True})]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", b"[]", "cannot be read row by row, as `data.stream` does; write .jsonl, .ndjson, .csv, .tsv "),
        ("a.parquet.gz", b"", "cannot be read row by row, as `data.stream` does; unpack it"),
        ("a.jsonl", b'{"text": "x"\n', "^a.jsonl:1: not valid JSON"),
        ("a.jsonl", LINES.encode() + b"[1]\n", "^a.jsonl:6: the row is not a JSON object"),
        ("a.jsonl", b'{"text": "\xff"}\n', r"a.jsonl: not UTF-8 \(byte 0xff\); save the file as UTF-8$"),
        ("a.jsonl.gz", gzip.compress(LINES.encode() * 99, mtime=0)[:-20], "not a whole gzip file"),
        ("a.jsonl.gz", b"no gzip", "not a whole gzip file"),
        ("a.csv", b"text,code\na,b,c\n", "^a.csv:2: the row has 3 cells and the header 2"),
        ("a.parquet", b"none", "a.parquet: not a readable Parquet file"),
    ],
)
def test_what_cannot_be_streamed_is_one_sentence(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        streamed(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_the_first_examples_of_no_rows_are_an_error(tmp_path):
    (tmp_path / "a.jsonl").write_text("\n")
    with pytest.raises(UserError, match=r"a\.jsonl: there are no rows; give data that has some$"):
        list(RowStream(source=str(tmp_path / "a.jsonl")).examples(10))


def test_only_as_many_rows_are_read_as_are_asked_for(tmp_path):
    (tmp_path / "a.jsonl").write_text(LINES + "broken\n")
    assert len(list(RowStream(source=str(tmp_path / "a.jsonl")).examples(5))) == 5
