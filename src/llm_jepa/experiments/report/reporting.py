"""`llm-jepa report`: one page over any set of run folders."""

from collections.abc import Sequence
from pathlib import Path

from jsonargparse import ArgumentParser

from llm_jepa.experiments.commands import asks_for_help, existing_folder, parse
from llm_jepa.experiments.report.writing import write_report
from llm_jepa.experiments.results.collected import compare_runs, read_runs, scored_on_test
from llm_jepa.experiments.results.summary import verdict
from llm_jepa.experiments.screen import Screen

DESCRIPTION = """Write one page, report.html, and report.md beside it, over all finished runs in and below the given folders:
verdict, table, tests, figures, predictions side by side. The page needs no network. Runs of one arm and seed with different
configurations are told apart by what differs."""


def report(arguments: Sequence[str]) -> int:
    """Run `llm-jepa report RUNS [RUNS ...] [--output DIR] [--title T] [--measure NAME]`."""
    parser = ArgumentParser(prog="llm-jepa report", description=DESCRIPTION, exit_on_error=False, allow_abbrev=False)
    parser.add_argument("runs", nargs="+", metavar="RUNS", help="folders of runs, or folders with such folders below them")
    parser.add_argument("--output", metavar="DIR", help="where the report goes (default: the folder that holds all RUNS)")
    parser.add_argument("--title", metavar="T", default="Does LLM-JEPA help here?", help="the page's heading")
    parser.add_argument(
        "--measure", metavar="NAME", help="compare by this measure, such as prefix (default: the task's own)"
    )
    if asks_for_help(arguments):
        parser.print_help()
        return 0
    options = parse(parser, arguments)
    roots = [existing_folder(name) for name in options.runs]
    output = Path(options.output) if options.output else None
    page = write_report(*roots, title=options.title, output=output, measure=options.measure)
    console = Screen()
    runs = scored_on_test(read_runs(*roots, measure=options.measure))
    for sentence in verdict(runs, compare_runs(runs)):
        console.print(sentence, markup=False)
    console.print(f"\nthe page: {page}", markup=False)
    return 0
