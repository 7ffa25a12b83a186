"""Rows made up in the format of a data set, for runs that show that a recipe works where the data cannot be had.

They have the columns, the instructions and the kind of answer of the real rows, and nothing of their content: no
number on them says
anything about the data set. The same rows are made every time.
"""

import json
import random
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from llm_jepa.durable import put, write
from llm_jepa.records import ASSISTANT, USER
from llm_jepa.tasks import gsm8k, hellaswag, nq_open, rotten_tomatoes, spider, yelp
from llm_jepa.tasks.official import chat
from llm_jepa.tasks.registry import TASKS

ROWS = {"train": 160, "test": 40}
"""How many rows a split has."""

NAMES = ("Ann", "Ben", "Cleo", "Dan", "Eve", "Finn")
THINGS = ("apples", "books", "coins", "pens", "stones", "cards")
PLACES = ("a park", "a field", "a kitchen", "a street", "a boat", "a roof")
DOINGS = ("sits in", "walks through", "waits in", "looks at", "sleeps in", "paints")
LABELS = {"Good": ("a warm", "a fine", "a clever"), "Bad": ("a dull", "a weak", "a tired")}
DATABASE = "shop"

Maker = Callable[[random.Random], dict[str, Any]]


def write_stand_in(task: str, folder: Path) -> Path:
    """Write the made-up files of a task, if they are not there; return the folder.

    Args:
        task: its name.
        folder: where; made if missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for split in TASKS[task].splits:
        path = folder / f"{task}_{split}.jsonl"
        if split in ROWS and not path.exists():
            write(path, "".join(json.dumps(row) + "\n" for row in _rows(task, split)))
    if task == spider.TASK.name:
        _write_database(folder / "spider_databases" / DATABASE / f"{DATABASE}.sqlite")
    return folder


def _rows(task: str, split: str) -> Iterator[dict[str, Any]]:
    draws = random.Random(f"{task} {split}")
    for _ in range(ROWS[split]):
        yield MAKERS[task](draws)


def _gsm8k(draws: random.Random) -> dict[str, Any]:
    name, thing, have, more = draws.choice(NAMES), draws.choice(THINGS), draws.randint(2, 9), draws.randint(2, 9)
    question = f"{name} has {have} {thing} and gets {more} more. How many {thing} does {name} have?"
    return chat(gsm8k.SYSTEM, question, f"{have} + {more} = {have + more}\n#### {have + more}")


def _spider(draws: random.Random) -> dict[str, Any]:
    number, thing = draws.randint(1, 9), draws.choice(THINGS)
    question, query = draws.choice(
        (
            (f"How many items have more than {number} {thing}?", f"SELECT count(*) FROM items WHERE {thing} > {number}"),
            (f"Show the names of items with {number} {thing}.", f"SELECT name FROM items WHERE {thing} = {number}"),
        )
    )
    return chat(spider.SYSTEM, f"For db_id:[{DATABASE}]\n\n{question}", query)


def _nq_open(draws: random.Random) -> dict[str, Any]:
    name, doing, place = draws.choice(NAMES), draws.choice(DOINGS), draws.choice(PLACES)
    return chat(
        nq_open.SYSTEM, f"who {doing} {place} with {draws.choice(THINGS)}", f"{name}; {name} {place.split()[-1].title()}"
    )


def _hellaswag(draws: random.Random) -> dict[str, Any]:
    context = f"{draws.choice(NAMES)} {draws.choice(DOINGS)} {draws.choice(PLACES)}. There are {draws.choice(THINGS)}."
    endings = [f"{name} takes {draws.randint(1, 9)} of the {thing}." for name, thing in zip(NAMES, THINGS, strict=True)]
    four = draws.sample(endings, 4)
    right = draws.randrange(4)
    letters = hellaswag.LETTERS
    question = "\n".join([context, *(f"{letter}) {ending}" for letter, ending in zip(letters, four, strict=True))])
    return {
        **chat(hellaswag.SYSTEM, question, letters[right]),
        "text": [{"role": USER, "content": context}],
        "code": [{"role": ASSISTANT, "content": four[right]}],
    }


def _paraphrase(draws: random.Random) -> dict[str, Any]:
    name, doing, place = draws.choice(NAMES), draws.choice(DOINGS), draws.choice(PLACES)
    thing = draws.choice(THINGS)
    forms = ("{n} {d} {p} with {t}.", "With {t}, {n} {d} {p}.", "In this picture {n} {d} {p}, {t} at hand.")
    forms += ("{n}, who has {t}, {d} {p}.", "Here {n} {d} {p}; there are {t}.")
    return {"paraphrases": [form.format(n=name, d=doing, p=place, t=thing) for form in forms]}


def _rotten_tomatoes(draws: random.Random) -> dict[str, Any]:
    label = draws.choice(rotten_tomatoes.LABELS)
    return chat(rotten_tomatoes.SYSTEM, f"{draws.choice(LABELS[label])} film about {draws.choice(THINGS)} .", label)


def _yelp(draws: random.Random) -> dict[str, Any]:
    stars = draws.randrange(len(yelp.LABELS))
    comment = f"{draws.choice(PLACES)}, {stars + 1} of 5 {draws.choice(THINGS)}, says {draws.choice(NAMES)}."
    return chat(yelp.SYSTEM, comment, yelp.LABELS[stars])


MAKERS: Mapping[str, Maker] = {
    "gsm8k": _gsm8k,
    "spider": _spider,
    "nq_open": _nq_open,
    "hellaswag": _hellaswag,
    "paraphrase": _paraphrase,
    "rotten_tomatoes": _rotten_tomatoes,
    "yelp": _yelp,
}
"""What makes a row of each task; NL-RX has a generator of its own (`llm_jepa.tasks.nl_regex`)."""


def _write_database(path: Path) -> None:
    """Write the database that the made-up queries of Spider run on."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    draws = random.Random(DATABASE)
    columns = ", ".join(f"{thing} integer" for thing in THINGS)
    rows = [(f"item {number}", *(draws.randint(0, 12) for _ in THINGS)) for number in range(40)]
    part = path.with_name(path.name + ".partial")
    part.unlink(missing_ok=True)
    connection = sqlite3.connect(part)
    try:
        connection.execute(f"CREATE TABLE items (name text, {columns})")
        connection.executemany(f"INSERT INTO items VALUES (?{', ?' * len(THINGS)})", rows)
        connection.commit()
    finally:
        connection.close()
    put(part, path)
