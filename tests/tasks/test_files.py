"""Every kind of source, written by the test; bad ones are in `test_files_errors`."""

import io
import json
import logging
from pathlib import Path

import datasets
import datasets.config
import pyarrow
import pyarrow.parquet
import pytest
from tests.tasks.data_files import write

from llm_jepa.errors import UserError
from llm_jepa.records import Example, Message, View
from llm_jepa.tasks import files
from llm_jepa.tasks.columns import Columns
from llm_jepa.tasks.files import fingerprint, read_examples

ROWS = [{"text": "a digit", "code": "[0-9]"}, {"text": "é\u2028, \"q\"\n", "code": "2018-05-01"}]  # fmt: skip
PAIRS = [(row["text"], row["code"]) for row in ROWS]
TEXTS = pyarrow.schema([("text", pyarrow.string()), ("code", pyarrow.string())])


pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


def parquet(rows: list[dict[str, str]]) -> bytes:
    """The bytes of a Parquet file with these rows."""
    target = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows, schema=TEXTS), target)
    return target.getvalue()


def pairs(examples: list[Example]) -> list[tuple[str, str]]:
    """Text and Code of each example."""
    return [(example.views[0].content, example.views[1].content) for example in examples]


def names(examples: list[Example]) -> list[str]:
    """The names of the examples."""
    return [example.name for example in examples]


def failure(source: str, **arguments) -> str:
    """The sentence with which reading fails."""
    with pytest.raises(UserError) as caught:
        read_examples(source, **arguments)
    return str(caught.value)


LINES = "\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS) + "\n"
CSV = 'text,code\na digit,[0-9]\n"é\u2028, ""q""\n",2018-05-01\n'
CONTENTS = {
    "d.jsonl": LINES,
    "d.JSONL": LINES,
    "d.ndjson": LINES,
    "windows.jsonl": "\ufeff" + LINES.replace("}\n", "}\r\n"),
    "no-last-newline.jsonl": LINES.rstrip("\n"),
    "list.json": json.dumps(ROWS),
    "indented.json": json.dumps(ROWS, indent=2),
    "data.json": json.dumps({"version": 1, "data": ROWS}),
    "lines.json": LINES,
    "d.csv": CSV,
    "excel.csv": "\ufeff" + CSV,
    "d.tsv": CSV.replace("text,code", "text\tcode").replace("digit,", "digit\t").replace('",2', '"\t2'),
}


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("name", CONTENTS)
def test_every_text_file_type_gives_the_rows_unchanged(name, ending):
    assert pairs(read_examples(write(name + ending, CONTENTS[name]))) == PAIRS


@pytest.mark.parametrize("name", ["d.parquet", "d.parquet.gz", "we[i]rd*/d *.parquet"])
def test_parquet_gives_the_rows_unchanged(name):
    examples = read_examples(write(name, parquet(ROWS)))
    assert pairs(examples) == PAIRS
    assert names(examples) == [f"{Path(name).name}:1", f"{Path(name).name}:2"]


def test_messages_come_out_of_parquet():
    rows = {"messages": [[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]]}
    pyarrow.parquet.write_table(pyarrow.table(rows), "d.parquet")
    assert read_examples("d.parquet")[0].messages == (
        Message(role="user", content="a"),
        Message(role="assistant", content="b"),
    )


def test_lines_are_counted_with_blank_ones():
    source = write("d.jsonl", '\n{"text": "a", "code": "b"}\n  \n\n{"text": "c", "code": "d"}\n')
    assert names(read_examples(source)) == ["d.jsonl:2", "d.jsonl:5"]


def test_rows_of_a_json_list_are_counted():
    assert names(read_examples(write("d.json.gz", json.dumps(ROWS, indent=2)))) == ["d.json.gz:1", "d.json.gz:2"]


def test_a_csv_row_is_named_by_the_line_where_it_begins():
    source = write("d.csv", 'text,code\n\n"a\n\nb",c\nd,e\n')
    assert names(read_examples(source)) == ["d.csv:3", "d.csv:6"]


def test_csv_cells_that_look_like_something_else_stay_texts():
    examples = read_examples(write("d.csv", ",text,code,n\n0,NA,null,007\n1,1.0,True,\n"))
    assert pairs(examples) == [("NA", "null"), ("1.0", "True")]
    assert [example.extra for example in examples] == [{"n": "007"}, {"n": ""}]


def test_a_repeated_key_is_refused_since_one_of_its_values_would_be_lost():
    with pytest.raises(UserError, match=r"^d\.jsonl:1: not valid JSON \(the key 'text' is there twice\); correct it$"):
        read_examples(write("d.jsonl", '{"text": "a", "text": "b", "code": "c"}'))


def test_columns_and_system_message_are_applied():
    source = write("d.tsv", "nl\tregex\na digit\t[0-9]\n")
    (example,) = read_examples(source, columns=Columns(text="nl", code="regex", system="Convert."))
    assert [message.content for message in example.messages] == ["Convert.", "a digit", "[0-9]"]


def test_a_folder_is_read_in_the_order_of_its_paths():
    for name in ("data/b.jsonl", "data/a/z.jsonl.gz", "data/c.csv", "data/.hidden.jsonl", "data/.cache/x.jsonl"):
        write(name, CSV if name.endswith("csv") else LINES)
    write("data/README.md", "no data")
    found = dict.fromkeys(name.split(":")[0] for name in names(read_examples("data")))
    assert list(found) == ["a/z.jsonl.gz", "b.jsonl", "c.csv"]


def test_nothing_is_written_beside_the_data_and_nothing_is_shown(capfd, caplog):
    write("data/d.parquet", parquet(ROWS))
    write("data/d.jsonl", LINES)
    before = logging.getLogger("datasets").level, datasets.are_progress_bars_disabled()
    assert len(read_examples("data")) == 4
    assert sorted(path.name for path in Path().rglob("*")) == ["d.jsonl", "d.parquet", "data"]
    assert (logging.getLogger("datasets").level, datasets.are_progress_bars_disabled()) == before
    assert (capfd.readouterr(), caplog.records) == (("", ""), [])


@pytest.fixture
def hub(monkeypatch):
    """The two functions that reach the hub, answered from memory; the calls made."""
    calls = []

    def load_dataset(name, *, split):
        calls.append((name, split))
        return datasets.Dataset.from_list(ROWS if split == "train" else [])

    monkeypatch.setattr(files.datasets, "load_dataset", load_dataset)
    monkeypatch.setattr(files.datasets, "get_dataset_split_names", lambda name: name.split("/")[1].split("-"))
    return calls


def test_a_data_set_of_the_hub_is_read_by_name_and_split(hub):
    examples = read_examples("org/train-test", split="train")
    assert (pairs(examples), names(examples)) == (PAIRS, ["train-test:1", "train-test:2"])
    assert hub == [("org/train-test", "train")]


def test_the_only_split_need_not_be_named(hub):
    assert pairs(read_examples("org/train")) == PAIRS
    assert hub == [("org/train", "train")]


def test_several_splits_are_listed(hub):
    assert failure("org/train-test") == "org/train-test: choose a split with `split`; there are train, test"
    assert hub == []


def test_a_split_without_rows_is_reported(hub):
    assert failure("org/test") == "org/test: there are no rows; give data that has some"


def test_the_fingerprint_is_stable():
    examples = [
        Example(
            name="a:1",
            messages=(Message(role="user", content="é"), Message(role="assistant", content="b")),
            views=(View(content="é", role="user", message=0), View(content="b", role="assistant", message=1)),
            extra={"db": "zoo", "a": "1"},
        )
    ]
    # printf '%s' '[[["user", "\u00e9"], ["assistant", "b"]], [["user", "\u00e9", 0], ["assistant", "b", 1]],
    #  {"a": "1", "db": "zoo"}]' | sha256sum, on one line
    assert fingerprint(examples) == "8d74d614727d046dca4949444609854332bfb23422290c45b0952d473ea34614"


def test_the_fingerprint_depends_on_content_and_order_and_not_on_names():
    first, second = read_examples(write("a.jsonl", LINES))
    (copy, _) = read_examples(write("b.jsonl", LINES))
    assert fingerprint([first]) == fingerprint([copy])
    assert len({fingerprint(some) for some in ([], [first], [second], [first, second], [second, first])}) == 5
