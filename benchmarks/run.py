"""The command: for each part builds the workload, measures memory, then speed, then times, and shows the tables."""

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import datasets
import torch
from rich.console import Console
from transformers.utils import logging

from benchmarks.memory import memory
from benchmarks.parts import SUITE, Part
from benchmarks.plot import speed_figure
from benchmarks.report import Report, append, show, show_verdicts
from benchmarks.steps import optimizer_seconds
from benchmarks.throughput import throughput
from benchmarks.timing import measure
from benchmarks.variants import check_losses, plan, with_dropout
from benchmarks.workload import FOLDER, QUICK, SIZES, load
from llm_jepa.errors import UserError
from llm_jepa.packing.layout import Layout, plain_forest

WIDTH = 150
"""Columns of the tables where the output is no terminal."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmarks; return 2 for a mistake in what was given, else 0, whether or not targets are met."""
    options = _parser().parse_args(arguments)
    console = terminal()
    settle()
    reports: list[Report] = []
    try:
        for part in _parts(options):
            reports.append(_measure(part, options, console))
            show(reports[-1], console)
            if options.out is not None:
                append(reports[-1], options.out)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    show_verdicts(reports, console)
    if options.plot is not None:
        options.plot.write_text(speed_figure(reports), encoding="utf-8")
    return 0


def terminal() -> Console:
    """Return a console, wide enough for the tables where it is no terminal."""
    console = Console()
    return console if console.is_terminal else Console(width=WIDTH)


def settle() -> None:
    """Use one thread everywhere, and keep the libraries from printing."""
    torch.set_num_threads(1)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    datasets.disable_progress_bars()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--size", choices=sorted(SIZES), help="only the parts with this shape of model")
    parser.add_argument("--data", help="only the parts on this task, or a data file of your own")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the files of tasks lie")
    parser.add_argument("--tokenizer", type=Path, help="a tokenizer's folder (default: the shape's)")
    parser.add_argument("--rounds", type=_positive, help="rounds on the clock (default: 2 to 5)")
    parser.add_argument("--memory_batch", type=_positive, help="samples of the step whose memory is measured")
    parser.add_argument("--quick", action="store_true", help="a tiny model and one round: does it run?")
    parser.add_argument("--out", type=Path, help="append a Markdown table and a line of JSON a part to this file")
    parser.add_argument("--plot", type=Path, help="write the figure of the ratios to this .svg file")
    return parser


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is less than 1")
    return value


def _parts(options: argparse.Namespace) -> Sequence[Part]:
    """Return the parts of the suite that were asked for, or the one that is not in it."""
    if options.quick:
        return [Part(size="4m", data=options.data, peaks=True)]
    chosen = [part for part in SUITE if options.size in (None, part.size) and options.data in (None, part.data)]
    return chosen or [Part(size=options.size or "135m", data=options.data)]


def _measure(part: Part, options: argparse.Namespace, console: Console) -> Report:
    """Return all measurements; memory comes first, while this process is small and quiet."""
    size = QUICK if options.quick else SIZES[part.size]
    size = replace(size, batch=part.batch or size.batch, memory_batch=2 * part.batch if part.batch else size.memory_batch)
    size = replace(size, memory_batch=options.memory_batch or size.memory_batch)
    rounds = options.rounds or part.rounds or size.rounds
    with console.status("") as status, tempfile.TemporaryDirectory() as folder:
        status.update(f"{part.title}: reading")
        workload = load(size=size, data=part.data, folder=options.folder, tokenizer=options.tokenizer)
        peaks = memory(workload, all_of_them=part.peaks, progress=status.update)
        status.update("tokenising and packing")
        speed = throughput(workload)
        chosen = plan(workload, Path(folder), names=part.names)
        results = measure(chosen.variants, rounds=rounds, warm=size.warm, clear=chosen.clear, progress=status.update)
        check_losses(results)
        status.update("AdamW")
        adam = optimizer_seconds(chosen.optimizer, rounds=rounds)
    tokens = [sum(make(sample).tokens for sample in workload.samples) for make in (Layout(k=1).forest, plain_forest)]
    return Report(
        setting={
            "size": "quick" if options.quick else part.size,
            "data": part.data or "default",
            "vocabulary": workload.vocabulary,
            "batch": workload.size.batch,
            "memory_batch": workload.size.memory_batch,
            "rounds": rounds,
            "examples": len(workload.samples),
        },
        results=tuple(with_dropout(results)),
        optimizer=adam,
        memory=peaks,
        throughput=speed,
        token_ratio=tokens[0] / tokens[1],
    )
