"""The real data sets, where they are: their row counts and first rows."""

from pathlib import Path

import pytest

from llm_jepa.records import View
from llm_jepa.tasks.columns import Columns
from llm_jepa.tasks.files import read_examples

DATA = Path(__file__).parents[3] / "shared" / "data"

CHAT = {
    "nl_rx_synth_train": (8000, "lines with words with a vowel and a lower-case letter, zero or more times"),
    "nl_rx_synth_test": (2000, "lines not having the string 'dog' followed by a number, 3 or more times"),
    "nl_rx_turk_train": (8000, "lines with words with zero or more of a vowel and lower-case letter"),
    "nl_rx_turk_test": (2000, "lines that do not contain the string 'dog' followed by a number, three times or more"),
    "gsm8k_train": (7473, "Natalia sold clips to 48 of her friends in April"),
    "gsm8k_test": (1319, "Janet\u2019s ducks lay 16 eggs per day"),
    "spider_train": (6587, "For db_id:[store_1]\n\nWhat are the names of all the playlists?"),
    "spider_test": (1447, "For db_id:[sakila_1]\n\nHow many cities are in Australia?"),
    "nq_open_train": (8000, "where is planet of the apes filmed 2017"),
    "nq_open_test": (1769, "on the 6th day of christmas my true love sent to me"),
    "rotten_tomatoes_train": (8530, "the rock is destined to be the 21st century's new"),
    "rotten_tomatoes_test": (1066, "lovingly photographed in the manner of a golden book"),
    "yelp_test": (2000, "Kabuto is your run-of-the-mill Japanese Steakhouse."),
    "hellaswag_test": (2000, "[header] How to shop for makeup [title] Take stock of what you own and use."),
    "hellaswag_val_extra": (801, "Pole vault is a sport where you run with a pole and stop and swing your body."),
}
CODE = {
    "nl_rx_synth_train": "(\\b([AEIOUaeiou])&([a-z])\\b)*",
    "nl_rx_synth_test": "~((dog.*[0-9].*){3,})",
    "nl_rx_turk_train": "(\\b([AEIOUaeiou])&([a-z])\\b)*",
    "nl_rx_turk_test": "~((dog.*[0-9].*){3,})",
    "gsm8k_train": "Natalia sold 48/2 = <<48/2=24>>24 clips in May.",
    "gsm8k_test": "Janet sells 16 - 3 - 4 = <<16-3-4=9>>9 duck eggs a day.",
    "spider_train": "SELECT name FROM playlists;",
    "spider_test": "SELECT count(*) FROM city AS T1 JOIN country AS T2",
    "nq_open_train": "Vancouver",
    "nq_open_test": "6 geese a-laying; maids a-milking",
    "rotten_tomatoes_train": "Good",
    "rotten_tomatoes_test": "Good",
    "yelp_test": "Mediocre",
    "hellaswag_test": "Likewise, if you already own four bright red lipsticks",
    "hellaswag_val_extra": "are in the gym practicing to do this pole vault",
}
GROUPS = {
    "paraphrase_coco_val2017": (5000, "A woman stands in the dining area at the table.", "139"),
    "paraphrase_flickr8k": (
        8091,
        "A child in a pink dress is climbing up a set of stairs in an entry way .",
        "1000268201_693b08cb0e.jpg",
    ),
}


def real(name: str) -> str:
    """The path of a real data set, or a skip where it is absent."""
    path = DATA / f"{name}.jsonl.gz"
    if not path.is_file():
        pytest.skip(f"the real data set {path} is absent")
    return str(path)


@pytest.mark.parametrize("name", CHAT)
def test_a_real_chat_data_set_is_read_whole(name):
    examples = read_examples(real(name))
    rows, text = CHAT[name]
    first = examples[0]
    assert (len(examples), first.name) == (rows, f"{name}.jsonl.gz:1")
    assert [message.role for message in first.messages] == ["system", "user", "assistant"]
    assert first.views[0].content.startswith(text)
    assert first.views[1].content.startswith(CODE[name])
    beside = name.startswith("hellaswag")
    assert [(view.role, view.message) for view in first.views] == [
        ("user", None if beside else 1),
        ("assistant", None if beside else 2),
    ]


@pytest.mark.parametrize("name", GROUPS)
def test_a_real_paraphrase_data_set_is_read_whole(name):
    examples = read_examples(real(name))
    rows, text, group = GROUPS[name]
    first = examples[0]
    assert (len(examples), len(first.views), first.messages) == (rows, 5, ())
    assert (first.views[0], first.extra) == (View(content=text, role=""), {"id": group})


def test_the_original_nl_rx_is_read_by_the_names_of_its_columns():
    examples = read_examples(real("nl_rx_original"), columns=Columns(text="synth", code="regex"))
    assert len(examples) == 10_000
    assert [view.content for view in examples[0].views] == [
        "lines with words with a capital letter and a vowel",
        "\\b([A-Z])&([AEIOUaeiou])\\b",
    ]
    assert examples[0].extra == {
        "row": "0",
        "turk": "Lines that have words containing a capital letter as well as a vowel",
    }
