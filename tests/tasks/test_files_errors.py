"""Every bad source with its whole sentence."""

import gzip
import io
from pathlib import Path

import datasets
import datasets.config
import pyarrow
import pyarrow.parquet
import pytest
from tests.tasks.data_files import write

from llm_jepa.errors import UserError
from llm_jepa.tasks.files import read_examples

KNOWN = ".jsonl, .ndjson, .json, .csv, .tsv, .parquet"
GOOD = '{"text": "a", "code": "b"}\n'


pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


def parquet(*texts: str) -> bytes:
    """The bytes of a Parquet file with these texts."""
    target = io.BytesIO()
    table = pyarrow.table({"text": pyarrow.array(texts, pyarrow.string()), "code": pyarrow.array(texts, pyarrow.string())})
    pyarrow.parquet.write_table(table, target)
    return target.getvalue()


def failure(source: str, **arguments) -> str:
    """The sentence with which reading fails."""
    with pytest.raises(UserError) as caught:
        read_examples(source, **arguments)
    return str(caught.value)


BAD_FILES: dict[str, tuple[str, bytes | str, str]] = {
    "broken line": (
        "d.jsonl",
        GOOD + '{"text": "a" "code"}\n',
        "d.jsonl:2: not valid JSON (Expecting ',' delimiter, column 14); correct it",
    ),
    "cut line": (
        "d.jsonl",
        GOOD + GOOD + '{"text": "a',
        "d.jsonl:3: not valid JSON (Unterminated string starting at, column 10); correct it",
    ),
    "line that is no object": (
        "d.jsonl",
        GOOD + "[1]\n",
        "d.jsonl:2: the row is not a JSON object; write {...} with the columns",
    ),
    "number with too many digits": (
        "d.jsonl",
        GOOD + "1" * 5000,
        "d.jsonl:2: not valid JSON (Exceeds the limit (4300 digits) for integer string conversion: "
        "value has 5000 digits; use sys.set_int_max_str_digits() to increase the limit); correct it",
    ),
    "broken row": ("d.jsonl", GOOD + '{"text": "", "code": "b"}\n', "d.jsonl:2: 'text' is empty; fill it or remove the row"),
    "broken JSON": (
        "d.json",
        '[\n  {"text": "a"},\n  {"text" "b"}\n]',
        "d.json:3: not valid JSON (Expecting ':' delimiter, column 11); correct it",
    ),
    "broken JSON Lines in .json": (
        "d.json",
        GOOD + GOOD + "{nope}\n",
        "d.json:3: not valid JSON (Expecting property name enclosed in double quotes, column 2); correct it",
    ),
    "object without data": (
        "d.json",
        '{"train": []}',
        'd.json: holds neither a list of rows nor {"data": [...]}; write one of them, or one object a line in a .jsonl file',
    ),
    "JSON list of no objects": (
        "d.json",
        '[{"text": "a", "code": "b"}, 1]',
        "d.json:2: the row is not a JSON object; write {...} with the columns",
    ),
    "empty list": ("d.json", '{"data": []}', "d.json: there are no rows; give data that has some"),
    "empty .jsonl": ("d.jsonl", "", "d.jsonl: there are no rows; give data that has some"),
    "blank .jsonl.gz": ("d.jsonl.gz", "\n \n", "d.jsonl.gz: there are no rows; give data that has some"),
    "empty .json": ("d.json", "", "d.json: there are no rows; give data that has some"),
    "empty .csv": ("d.csv", "", "d.csv: there are no rows; give data that has some"),
    "header only": ("d.csv", "text,code\n", "d.csv: there are no rows; give data that has some"),
    "not UTF-8": (
        "d.jsonl",
        GOOD.encode() + b'{"text": "caf\xe9", "code": "b"}\n',
        "d.jsonl:2: byte 14 of the line (0xe9) is not UTF-8; save the file as UTF-8",
    ),
    "UTF-16": (
        "d.csv",
        "text,code".encode("utf-16"),
        "d.csv:1: byte 1 of the line (0xff) is not UTF-8; save the file as UTF-8",
    ),
    "short row": (
        "d.csv",
        "text,code\na,b\nc\n",
        "d.csv:3: the row has 1 cells and the header 2; put a cell that holds the delimiter in quotes",
    ),
    "long row": (
        "d.tsv",
        "text\tcode\na\tb\tc\n",
        "d.tsv:2: the row has 3 cells and the header 2; put a cell that holds the delimiter in quotes",
    ),
    "open quote": (
        "d.csv",
        'text,code\na,b\n"c,d\ne,f\n',
        "d.csv:3: not a valid table row (unexpected end of data); "
        'close every quote and write one inside quotes as "", or use a .jsonl file',
    ),
    "text after a quote": (
        "d.csv",
        'text,code\n"a" b,c\n',
        "d.csv:2: not a valid table row (',' expected after '\"'); "
        'close every quote and write one inside quotes as "", or use a .jsonl file',
    ),
    "column twice": ("d.csv", "text,code,text\na,b,c\n", "d.csv:1: two columns are named 'text'; rename one"),
    "corrupt Parquet": (
        "d.parquet",
        b"PAR1 nope",
        "d.parquet: not a readable Parquet file (Parquet magic bytes not found in footer. "
        "Either the file is corrupted or this is not a parquet file); write it again",
    ),
    "empty Parquet": (
        "d.parquet",
        b"",
        "d.parquet: not a readable Parquet file (Parquet file size is 0 bytes); write it again",
    ),
    "unknown type": ("d.txt", "a", f"d.txt: unknown file type '.txt'; use {KNOWN}, each also as .gz"),
    "unknown compressed type": ("d.txt.gz", "a", f"d.txt.gz: unknown file type '.txt'; use {KNOWN}, each also as .gz"),
    "no type": ("d", "a", f"d: unknown file type ''; use {KNOWN}, each also as .gz"),
}


@pytest.mark.parametrize(("name", "content", "sentence"), BAD_FILES.values(), ids=BAD_FILES.keys())
def test_a_bad_file_is_reported_with_its_line(name, content, sentence):
    assert failure(write(name, content)) == sentence


def test_json_nested_too_deeply_is_reported():
    assert failure(write("d.jsonl", GOOD + "[" * 100_000)).startswith("d.jsonl:2: not valid JSON (maximum recursion depth")


def test_a_damaged_parquet_file_is_reported(capfd):
    data = parquet("a", "b")
    write("d.parquet", data[:4] + bytes(40) + data[44:])
    assert failure("d.parquet").startswith("d.parquet: not a readable Parquet file (")
    assert capfd.readouterr() == ("", "")


def test_a_parquet_file_without_rows_is_reported():
    assert failure(write("d.parquet", parquet())) == "d.parquet: there are no rows; give data that has some"


def test_a_truncated_gzip_file_is_reported():
    Path("d.jsonl.gz").write_bytes(gzip.compress(GOOD.encode())[:-12])
    assert failure("d.jsonl.gz") == (
        "d.jsonl.gz: not a whole gzip file (Compressed file ended before the end-of-stream marker was reached); "
        "download or copy it again, or take '.gz' off its name"
    )


def test_a_damaged_gzip_file_is_reported():
    data = bytearray(gzip.compress(GOOD.encode()))
    data[-8] ^= 1
    Path("d.jsonl.gz").write_bytes(data)
    assert failure("d.jsonl.gz").startswith("d.jsonl.gz: not a whole gzip file (CRC check failed")


def test_a_plain_file_under_the_name_of_a_gzip_file_is_reported():
    Path("d.jsonl.gz").write_text(GOOD)
    assert failure("d.jsonl.gz") == (
        "d.jsonl.gz: not a whole gzip file (Not a gzipped file (b'{\"')); "
        "download or copy it again, or take '.gz' off its name"
    )


def test_an_unreadable_file_is_reported(monkeypatch):
    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    write("d.jsonl", GOOD)
    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert failure("d.jsonl") == "d.jsonl: cannot be read (Permission denied); check the file and its permissions"


def test_a_folder_without_data_is_reported():
    write("data/README.md", "no data")
    assert failure("data") == f"data: the folder has no data file; put {KNOWN} files there, each also as .gz"


def test_a_bad_file_in_a_folder_is_named():
    write("data/a.jsonl", GOOD)
    write("data/b.jsonl", "")
    assert failure("data") == "data/b.jsonl: there are no rows; give data that has some"


@pytest.mark.parametrize("source", ["", "  "])
def test_an_empty_source_is_reported(source):
    assert failure(source) == "the data source is empty; give a file, a folder or the name of a Hugging Face data set"


def test_a_split_of_a_file_is_refused():
    assert failure(write("d.jsonl", GOOD), split="train") == (
        "d.jsonl: a split ('train') is for Hugging Face data sets, not for files; leave it out"
    )


MISSING = [
    ("trian.jsonl", "train.jsonl"),
    ("data/tran.jsonl", "train.jsonl"),
    ("./data/train.json", "train.jsonl"),
    ("nowhere/x.parquet", None),
    ("data/deep/er", None),
    ("./nothing", None),
    ("../org", None),
    ("json", None),
]


@pytest.mark.parametrize(("source", "nearest"), MISSING)
def test_a_missing_path_is_never_looked_for_on_the_hub(source, nearest, monkeypatch):
    monkeypatch.delattr(datasets, "load_dataset")
    write("train.jsonl", GOOD)
    write("data/train.jsonl", GOOD)
    hint = f"did you mean '{nearest}'?" if nearest else "check the path"
    assert failure(source) == f"{source}: no such file or folder; {hint}"


def test_a_data_set_of_the_hub_without_network_is_one_sentence(capfd):
    assert failure("org/name", split="train") == (
        "org/name: no such file or folder; and the data set (split: train) could not be loaded from the Hugging Face hub "
        "(Couldn't reach 'org/name' on the Hub (OfflineModeIsEnabled)); "
        "check the name and the network, or give a local file instead"
    )
    assert capfd.readouterr() == ("", "")


def test_a_mistyped_folder_is_named_beside_the_failure_of_the_hub():
    write("data/train/a.jsonl", GOOD)
    assert failure("data/trian").startswith("data/trian: no such file or folder; did you mean 'train'?; and the data set")
