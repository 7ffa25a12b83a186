"""`llm-jepa data list` and `llm-jepa data describe`: which data sets have names here, and what one of them is made of."""

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import combinations
from pathlib import Path

from jsonargparse import ArgumentParser
from rich.console import Console
from rich.table import Table
from rich.text import Text

from llm_jepa.errors import UserError, nearest
from llm_jepa.experiments.commands import asks_for_help, parse
from llm_jepa.experiments.inspect.data_facts import CountTokens, Leak, SplitFacts, leak, split_facts
from llm_jepa.experiments.inspect.data_tables import NARROWEST, label_lines, leak_table, length_table, section, split_table
from llm_jepa.experiments.quiet import quiet_libraries
from llm_jepa.experiments.screen import Screen
from llm_jepa.model.load import ModelConfig, load_tokenizer
from llm_jepa.records import Example
from llm_jepa.tasks.files import data_files, read_examples
from llm_jepa.tasks.registry import TASKS, find_task
from llm_jepa.tasks.sources import cut_validation, local_file, read_task, split_names
from llm_jepa.tasks.task import TRAIN, VALIDATION, Cut, Task

FOLDER = "data"
WHOLE = f"{TRAIN} and {VALIDATION}"
"""The paper's train set, from which validation is cut here."""

HELP = """usage: llm-jepa data {list,describe} ...

  list [--folder DIR] [--json]
      the data sets of the paper, and which of their splits lie in a folder

  describe DATA [--folder DIR] [--tokenizer NAME] [--json]
      rows, lengths, labels, repeated rows, and rows of one split in another,
      counted from the data; source, licence, and what to know before trusting
      a number. DATA is the name of a task, or your own file, folder or
      Hugging Face data set; of a folder every file is a split.

Options:
  --folder DIR      where the data files are; by default "data"
  --tokenizer NAME  a model's folder or Hugging Face name: count tokens too
  --json            print JSON
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What `llm-jepa data describe` says; `--json` prints these fields.

    Attributes:
        name: of the task, or what the user gave.
        title: what tables call it.
        source: the paper and the public home; empty for the user's own data.
        licence: as far as stated; empty for the user's own data.
        max_new_tokens: room for the longest gold answer; None for the user's own data.
        splits: by name, those that could be read.
        notes: by name what a split is that is not the paper's.
        leaks: rows of one split in another.
        traps: what one must know before trusting a number on it, a sentence each.
        missing: by name why a split could not be read.
    """

    name: str
    title: str
    source: str = ""
    licence: str = ""
    max_new_tokens: int | None = None
    splits: Mapping[str, SplitFacts]
    notes: Mapping[str, str] = field(default_factory=dict[str, str])
    leaks: tuple[Leak, ...]
    traps: tuple[str, ...] = ()
    missing: Mapping[str, str] = field(default_factory=dict[str, str])


def data(arguments: Sequence[str]) -> int:
    """Run `llm-jepa data list` or `llm-jepa data describe DATA` and return 0.

    Raises:
        UserError: no split of the data can be read.
    """
    actions: dict[str, Callable[[list[str]], int]] = {"list": _list, "describe": _describe}
    if not arguments or asks_for_help(arguments):
        sys.stdout.write(HELP)
        return 0 if arguments else 2
    if arguments[0] not in actions:
        hint = nearest(arguments[0], actions)
        raise UserError(f"data: unknown command '{arguments[0]}'{hint}; there are `data list` and `data describe`")
    return actions[arguments[0]](list(arguments[1:]))


def describe_task(task: Task, *, folder: Path, count_tokens: CountTokens | None = None) -> Description:
    """Return what a task's data is, as far as its splits can be read.

    Raises:
        UserError: none can; the message is that of the first split.
    """
    read, missing = _read(task, folder)
    held_out = [name for name in read if name not in (TRAIN, WHOLE)]
    against = [name for name in (TRAIN, WHOLE) if name in read]
    pairs = [(name, known) for name in held_out for known in against if (name, known) != (VALIDATION, WHOLE)]
    return Description(
        name=task.name,
        title=task.title,
        source=task.source,
        licence=task.licence,
        max_new_tokens=task.max_new_tokens,
        splits={name: split_facts(rows, count_tokens) for name, rows in read.items() if name != WHOLE},
        notes={name: split.note for name, split in task.splits.items() if split.note},
        leaks=tuple(leak((name, read[name]), (known, read[known])) for name, known in pairs),
        traps=task.traps,
        missing=missing,
    )


def describe_own(source: str, *, count_tokens: CountTokens | None = None) -> Description:
    """Return what a user's own data is: a file, a hub data set, or a folder, of which every file is a split.

    Raises:
        UserError: the data cannot be read.
    """
    folder = Path(os.path.expanduser(source))
    files = data_files(folder) if folder.is_dir() else []
    names = {path.relative_to(folder).as_posix(): str(path) for path in files} or {Path(source).name: source}
    ordered = sorted(names, key=lambda name: (TRAIN not in name, name))
    read = {name: read_examples(names[name]) for name in ordered}
    return Description(
        name=source,
        title=source,
        splits={name: split_facts(rows, count_tokens) for name, rows in read.items()},
        leaks=tuple(leak((b, read[b]), (a, read[a])) for a, b in combinations(read, 2)),
    )


def _read(task: Task, folder: Path) -> tuple[dict[str, Sequence[Example]], dict[str, str]]:
    """Return the splits that can be read, with train also as a whole, and the reasons of those that cannot."""
    read: dict[str, Sequence[Example]] = {}
    missing: dict[str, str] = {}
    for name in (split for split in split_names(task) if split != VALIDATION):
        try:
            rows = read_task(replace(task, validation=Cut(size=0)), name, folder=folder)
            read.update(_cut(task, rows) if name == TRAIN else {name: rows})
        except UserError as error:
            missing[name] = str(error)
    if not read:
        raise UserError(next(iter(missing.values())))
    return read, missing


def _cut(task: Task, rows: Sequence[Example]) -> dict[str, Sequence[Example]]:
    train, validation = cut_validation(task, rows)
    return {TRAIN: train, VALIDATION: validation, WHOLE: rows} if validation else {TRAIN: train}


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """What `llm-jepa data list` says of a task; `--json` prints these fields.

    Attributes:
        name: what to call it by.
        title: what tables call it.
        splits: all that it has.
        here: those of them that have a file in the folder.
        licence: of the data.
    """

    name: str
    title: str
    splits: tuple[str, ...]
    here: tuple[str, ...]
    licence: str


def _list(arguments: list[str]) -> int:
    parser = ArgumentParser(prog="llm-jepa data list", exit_on_error=False, allow_abbrev=False)
    parser.add_argument("--folder", default=FOLDER)
    parser.add_argument("--json", action="store_true")
    options = parse(parser, arguments)
    listed = [_listed(task, Path(options.folder)) for task in TASKS.values()]
    if options.json:
        _print_json([asdict(each) for each in listed])
        return 0
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("name", "title", f"in '{options.folder}'", "licence"):
        table.add_column(Text(column), overflow="fold")
    for each in listed:
        table.add_row(*map(Text, (each.name, each.title, ", ".join(each.here) or "-", each.licence)))
    Screen(highlight=False).print(table)
    return 0


def _listed(task: Task, folder: Path) -> Listed:
    here = tuple(name for name, split in task.splits.items() if local_file(split, folder))
    return Listed(name=task.name, title=task.title, splits=split_names(task), here=here, licence=task.licence)


def _print_json(value: object) -> None:
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def _describe(arguments: list[str]) -> int:
    parser = ArgumentParser(prog="llm-jepa data describe", exit_on_error=False, allow_abbrev=False)
    parser.add_argument("data", metavar="DATA")
    parser.add_argument("--folder", default=FOLDER)
    parser.add_argument("--tokenizer")
    parser.add_argument("--json", action="store_true")
    options = parse(parser, arguments)
    quiet_libraries(Screen(stderr=True))
    count_tokens = None if options.tokenizer is None else _token_counter(options.tokenizer)
    task = find_task(options.data)
    if task is not None:
        description = describe_task(task, folder=Path(options.folder), count_tokens=count_tokens)
    else:
        description = _own(options.data, count_tokens)
    if options.json:
        _print_json(asdict(description))
    else:
        show(Screen(highlight=False, emoji=False, markup=False), description)
    return 0


def _own(source: str, count_tokens: CountTokens | None) -> Description:
    try:
        return describe_own(source, count_tokens=count_tokens)
    except UserError:
        if Path(source).exists() or "/" in source:
            raise
        what = "no task, file, folder or data set on the hub"
        raise UserError(f"'{source}' is {what}{nearest(source, TASKS)}; `llm-jepa data list` shows the tasks") from None


def _token_counter(name: str) -> CountTokens:
    """Return a function that counts tokens by the tokenizer of this folder or Hugging Face name."""
    tokenizer = load_tokenizer(ModelConfig(name=name))

    def count(texts: Sequence[str]) -> list[int]:
        return [len(ids) for ids in tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]]

    return count


def show(console: Console, description: Description) -> None:
    """Print a description, in lines of at least NARROWEST columns."""
    console.width = max(console.width, NARROWEST)
    console.print(Text(description.title, "bold"))
    for label, value in (("source", description.source), ("licence", description.licence)):
        if value:
            console.print(Text(f"{label}: {value}"))
    if description.max_new_tokens is not None:
        console.print(Text(f"room for answers: {description.max_new_tokens} tokens"))
    splits = description.splits
    notes = (Text(f"{name}: {note}") for name, note in description.notes.items() if name in splits)
    console.print(section("rows", split_table(splits), *notes))
    console.print(section("lengths", length_table(splits)))
    if labels := tuple(label_lines(splits)):
        console.print(section("labels", *labels))
    if description.leaks:
        console.print(section("rows that occur in another split", leak_table(description.leaks)))
    if description.traps:
        console.print(section("to know before trusting a number", *(Text(f"- {trap}") for trap in description.traps)))
    if description.missing:
        own = f"{description.name}: "
        reasons = (Text(f"- {name}: {reason.removeprefix(own)}") for name, reason in description.missing.items())
        console.print(section("not read", *reasons))
