"""The command: builds the workload, measures memory, then speed, then times, and shows the tables."""

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import datasets
import torch
from rich.console import Console
from transformers.utils import logging

from benchmarks.memory import memory
from benchmarks.report import Report, append, show
from benchmarks.steps import optimizer_seconds
from benchmarks.throughput import throughput
from benchmarks.timing import measure
from benchmarks.variants import check_losses, plan, with_dropout
from benchmarks.workload import QUICK, SIZES, Workload, load
from llm_jepa.errors import UserError
from llm_jepa.packing.layout import Layout, plain_forest

WIDTH = 140
"""Columns of the tables where the output is no terminal."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmarks; return 2 for a mistake in what was given, else 0, whether or not targets are met."""
    options = _parser().parse_args(arguments)
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH)
    _settle()
    try:
        workload = load(size=QUICK if options.quick else SIZES[options.size], data=options.data, tokenizer=options.tokenizer)
        report = _measure(workload, options, console)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    show(report, console)
    if options.out is not None:
        append(report, options.out)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--size", choices=sorted(SIZES), default="135m", help="shape of the model (default: 135m)")
    parser.add_argument("--rounds", type=_positive, help="rounds on the clock (default: 15 for 4m, 4 for 135m)")
    parser.add_argument("--quick", action="store_true", help="a tiny model and one round: does it run?")
    parser.add_argument("--data", type=Path, help="a data file (default: NL-RX-SYNTH, or generated sentences)")
    parser.add_argument("--tokenizer", type=Path, help="a tokenizer's folder (default: SmolLM2's, or one trained here)")
    parser.add_argument("--out", type=Path, help="append a Markdown table and a line of JSON to this file")
    return parser


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is less than 1")
    return value


def _settle() -> None:
    """Use one thread everywhere, and keep the libraries from printing."""
    torch.set_num_threads(1)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    datasets.disable_progress_bars()


def _measure(workload: Workload, options: argparse.Namespace, console: Console) -> Report:
    """Return all measurements; memory comes first, while this process is small and quiet."""
    rounds = options.rounds or workload.size.rounds
    with console.status("") as status, tempfile.TemporaryDirectory() as folder:
        peaks = memory(workload, progress=status.update)
        status.update("tokenising and packing")
        speed = throughput(workload)
        chosen = plan(workload, Path(folder))
        results = measure(chosen.variants, rounds=rounds, clear=chosen.clear, progress=status.update)
        check_losses(results)
        status.update("AdamW")
        adam = optimizer_seconds(chosen.optimizer, rounds=rounds)
    tokens = [sum(make(sample).tokens for sample in workload.samples) for make in (Layout(k=1).forest, plain_forest)]
    return Report(
        setting={
            "size": "quick" if options.quick else options.size,
            "vocabulary": workload.vocabulary,
            "batch": workload.size.batch,
            "rounds": rounds,
            "examples": len(workload.samples),
        },
        results=tuple(with_dropout(results)),
        optimizer=adam,
        memory=peaks,
        throughput=speed,
        token_ratio=tokens[0] / tokens[1],
    )
