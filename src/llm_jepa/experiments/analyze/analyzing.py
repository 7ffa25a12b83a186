"""`llm-jepa analyze`: how the embeddings of Text and Code lie, for runs and any other models, on one data set.

The numbers of the paper (Figures 3, 4 and 6, Table 14) stand beside those that tell structure from collapse.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser, Namespace
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from llm_jepa.analysis.geometry import cka
from llm_jepa.analysis.structure import measure
from llm_jepa.analysis.tsne import check_tsne, tsne
from llm_jepa.errors import UserError
from llm_jepa.experiments.analyze.measures import table
from llm_jepa.experiments.analyze.page import Page, write_analysis
from llm_jepa.experiments.analyze.reading import Embedded, paired, read
from llm_jepa.experiments.analyze.record import FORMAT, Alike, Analysed, compared, record
from llm_jepa.experiments.analyze.words import headline, remarks, sentence
from llm_jepa.experiments.commands import Count, add_trust, asks_for_help, parse
from llm_jepa.experiments.experiment import NL_REGEX, Data
from llm_jepa.experiments.files import environment, write_json
from llm_jepa.experiments.material import read_split, source_of
from llm_jepa.experiments.named_data import read_named
from llm_jepa.experiments.progress import live
from llm_jepa.experiments.quiet import quiet_libraries
from llm_jepa.experiments.screen import Screen, fitting
from llm_jepa.experiments.show import Show
from llm_jepa.experiments.subjects import Subject, common_parent, subjects
from llm_jepa.records import Example
from llm_jepa.tasks.files import fingerprint
from llm_jepa.tasks.task import TEST, VALIDATION

RESULT = "analysis.json"
DEFAULT_LIMIT = 1000
"""Pairs; as many as training measures alignment on."""

DESCRIPTION = """Measure how the embeddings of Text and Code lie: singular values, least-squares error and t-SNE as in the
paper, and beside them what tells structure from collapse. The first model is the one that the others are compared with, so
give the base model or plain training first. A run is read as it was trained, [PRED] tokens included; any other model as the
first run, without [PRED]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """The pairs that every model reads.

    Attributes:
        source: what to call them.
        examples: each with two or more views.
    """

    source: str
    examples: tuple[Example, ...]

    @property
    def pairs(self) -> int:
        """Number of pairs."""
        return sum(len(example.views) - 1 for example in self.examples)


def analyze(arguments: Sequence[str]) -> int:
    """Run `llm-jepa analyze MODEL [MODEL ...] [options]`."""
    parser = _parser()
    if asks_for_help(arguments):
        parser.print_help()
        return 0
    options = parse(parser, arguments)
    console = Screen(stderr=True)
    quiet_libraries(console)
    if not options.no_tsne:
        check_tsne()
    chosen = subjects(options.models, trusted=options.trust_code)
    folder = _output(options.output, chosen)
    with live(console) as show:
        show.say("reading the data")
        rows = _rows(options, chosen)
        embedded = read(chosen, rows.examples, batch_size=options.batch_size, show=show)
        items = _measured(chosen, embedded, show, clouds=not options.no_tsne)
        sentences = [sentence(item, items[0]) for item in items]
        told = remarks(items, left_out=rows.pairs - items[0].structure.pairs)
        page = write_all(folder, items, sentences=sentences, remarks=told, rows=rows)
    out = Screen()
    for part in fitting(out, items, _table):
        out.print(part)
    for line in (headline(items), *sentences, *told):
        out.print(line, markup=False, highlight=False)
    console.print(f"\nthe page: {page}", markup=False)
    return 0


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="llm-jepa analyze",
        exit_on_error=False,
        allow_abbrev=False,
        description=DESCRIPTION,
    )
    number = Count()
    parser.add_argument(
        "models", nargs="+", metavar="MODEL", help="Run folders, model folders, Hugging Face names or .gguf files."
    )
    parser.add_argument(
        "--data", metavar="DATA", help="A task, a file, a folder or a Hugging Face data set; the first run's."
    )
    parser.add_argument("--split", metavar="S", help="The split of a task (then test) or of a Hugging Face data set.")
    parser.add_argument("--folder", metavar="DIR", help="Where the files of tasks lie; the first run's, or data.")
    parser.add_argument(
        "--limit", type=number, default=DEFAULT_LIMIT, metavar="N", help="So many pairs, a fixed draw from all over."
    )
    parser.add_argument("--output", metavar="FOLDER", help="Where the page goes; by default beside the runs.")
    parser.add_argument("--batch_size", type=number, default=16, metavar="N", help="Examples read at a time.")
    parser.add_argument("--no_tsne", action="store_true", help="Leave t-SNE out, which takes a while.")
    add_trust(parser)
    return parser


def _output(given: str | None, chosen: Sequence[Subject]) -> Path:
    """Return the folder to write, after making sure that it is new, empty, or holds an analysis."""
    runs = [subject.run.root for subject in chosen if subject.run is not None]
    folder = Path(given) if given else (common_parent(runs) if runs else Path()) / "analysis"
    try:
        taken = folder.exists() and any(folder.iterdir()) and not (folder / RESULT).is_file()
    except NotADirectoryError as error:
        raise UserError(f"output: '{folder}' is a file; give a folder with `--output`") from error
    if taken or any(folder.resolve() == run.resolve() for run in runs):
        raise UserError(f"output: '{folder}' is not empty and holds no analysis; give another folder with `--output`")
    return folder


def _rows(options: Namespace, chosen: Sequence[Subject]) -> Rows:
    """Return the pairs that the options name; without any, the test split of the first run, else its validation split."""
    first = next((subject.experiment for subject in chosen if subject.run is not None), None)
    data = Data(train=NL_REGEX) if first is None else first.data
    folder = options.folder or data.folder
    if options.data is not None:
        examples = read_named(options.data, options.split, data=data, folder=Path(folder))
        split = f", {options.split}" if options.split else ""
        return Rows(source=f"{options.data}{split}", examples=paired(examples, limit=options.limit))
    if first is None:
        raise UserError(_no_run([subject.name for subject in chosen]))
    held_out = [split for split in (TEST, VALIDATION) if source_of(data, split) is not None]
    split = options.split or next(iter(held_out), None)
    if split is None:
        raise UserError("the first run has neither test nor validation data; name data with `--data`")
    if source_of(data, split) is None:
        raise UserError(
            f"--split: the first run has no '{split}' data; it has {', '.join(held_out) or 'none'}, or give `--data`"
        )
    examples = read_split(replace(data, folder=folder), split)
    return Rows(source=f"{source_of(data, split)}, {split}", examples=paired(examples, limit=options.limit))


def _no_run(names: Sequence[str]) -> str:
    """Say that nothing tells which data to read; a name that is no folder here was perhaps meant to be a run's."""
    missing = next((name for name in names if not Path(name).exists()), None)
    if missing is None:
        return "there is no run among the models, whose test data could be taken; name data with `--data`"
    return f"there is no folder '{missing}'; give a run's folder, or, if it is a model on the hub, name data with `--data`"


def _measured(chosen: Sequence[Subject], embedded: Sequence[Embedded], show: Show, *, clouds: bool) -> list[Analysed]:
    first = embedded[0].reading
    found: list[Analysed] = []
    for subject, item in zip(chosen, embedded, strict=True):
        show.say(f"measuring {subject.label}")
        reading = item.reading
        try:
            structure = measure(reading)
        except ValueError as error:
            raise UserError(f"{subject.name}: {error}; the model has diverged or its weights are damaged") from error
        alike = Alike(text=cka(first.text, reading.text), code=cka(first.code, reading.code)) if found else None
        placed = tsne(reading.text, reading.code) if clouds else None
        found.append(Analysed(subject=subject, weights=item.weights, structure=structure, alike=alike, clouds=placed))
    return found


def write_all(
    folder: Path, items: Sequence[Analysed], *, sentences: Sequence[str], remarks: Sequence[str], rows: Rows
) -> Path:
    """Write the comparison to the folder, and into each run folder what was measured on that run; return the page's path.

    Args:
        folder: where the comparison goes; made if missing.
        items: the models.
        sentences: one for each.
        remarks: what else a reader should know.
        rows: what was read.
    """
    checksum, pairs = fingerprint(rows.examples), items[0].structure.pairs
    versions = environment({"analyzed": checksum})
    about: dict[str, Any] = {
        "format": FORMAT,
        "rows": {"source": rows.source, "pairs": pairs, "left_out": rows.pairs - pairs, "fingerprint": checksum},
        "environment": versions,
    }
    first = headline(items)
    page = Page(items=items, headline=first, sentences=sentences, remarks=remarks, source=rows.source, environment=versions)
    path = write_analysis(folder, page)
    models = [compared(item, words) for item, words in zip(items, sentences, strict=True)]
    write_json(folder / RESULT, {**about, "headline": first, "remarks": list(remarks), "models": models})
    for item in items:
        if item.subject.run is not None:
            write_json(item.subject.run.analysis, {**about, **record(item)})
    return path


def _table(items: Sequence[Analysed]) -> Table:
    """Return one column a model, one row a number."""
    result = Table(title=f"{items[0].structure.pairs:,} pairs", title_justify="left", box=SIMPLE_HEAD)
    result.add_column("", no_wrap=True)
    for item in items:
        result.add_column(Text(item.label), justify="right")
    for _, rows in table(items):
        for row, cells in rows:
            result.add_row(Text(row.label), *map(Text, cells), end_section=row is rows[-1][0])
    return result
