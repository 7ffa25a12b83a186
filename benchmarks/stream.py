"""Memory and speed over a long stream of synthetic rows: reading, tokenising and packing as in training, without a model.

The rows are written to a named pipe by another process, so the corpus never exists: what grows, grows here. Every row is
another one. Usage: `python -m benchmarks.stream --rows 10000000`.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import psutil

from benchmarks.workload import FOLDER, SIZES, load
from llm_jepa.packing.collate import Collator
from llm_jepa.packing.layout import Layout
from llm_jepa.tasks.row_stream import RowStream
from llm_jepa.training.stream import Stream, StreamSource
from llm_jepa.views.tokenize import Tokenizer

BATCH = 32
MIB = 2**20


@dataclass(frozen=True, slots=True)
class Reading:
    """What the process needs after so many rows: its memory in MiB, and its rows a CPU second since the start."""

    rows: int
    memory: float
    speed: float


def main() -> int:
    """Run the stream and print lines of memory and speed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stream", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--buffer", type=int, default=10_000, help="rows that are shuffled together")
    options = parser.parse_args()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    tokenizer = Tokenizer(load(size=SIZES["135m"], data=None, folder=FOLDER, tokenizer=None).tokenizer)
    readings = list[Reading]()
    for reading in measure(tokenizer, rows=options.rows, buffer=options.buffer):
        readings.append(reading)
        print(f"{reading.rows:>12,} rows  {reading.memory:>8,.1f} MiB  {reading.speed:>8,.0f} rows a CPU second", flush=True)
    memory = [reading.memory for reading in readings]
    print(f"memory: {memory[0]:,.1f} MiB at first, then {min(memory):,.1f} to {max(memory):,.1f} MiB")
    return 0


def measure(tokenizer: Tokenizer, *, rows: int, buffer: int, readings: int = 40) -> Iterator[Reading]:
    """Yield what the process needs, about `readings` times.

    Args:
        tokenizer: makes the samples.
        rows: how many rows to go through.
        buffer: rows that are shuffled together.
        readings: how often.
    """
    process, began = psutil.Process(), time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        pipe = Path(folder) / "rows.jsonl"
        os.mkfifo(pipe)
        writer = get_context("spawn").Process(target=write_rows, args=(str(pipe), rows), daemon=True)
        writer.start()
        source = StreamSource(rows=RowStream(source=str(pipe)), tokenizer=tokenizer, window=buffer, limit=512)
        layout = Layout(k=1)
        collate = Collator(layout=layout, pad=0, full=True, plain=True)
        batches = iter(Stream(source, collate, layout, batch=BATCH, seed=0))
        every = max(rows // readings // BATCH, 1)
        for index in range(1, rows // BATCH + 1):
            next(batches)
            if index % every == 0:
                done = index * BATCH
                yield Reading(done, process.memory_info().rss / MIB, done / (time.process_time() - began))
        writer.kill()


def write_rows(path: str, rows: int) -> None:
    """Write distinct rows of a text and a code, one JSON object a line."""
    words = ("lines", "words", "strings", "numbers", "vowels", "letters", "capitals", "dogs", "rings", "trucks")
    with open(path, "w", encoding="utf-8") as pipe:
        for index in range(rows):
            digits = f"{index:08d}"
            text = f"{words[index % 10]} with {words[index // 10 % 10]} before {digits} or {words[index // 100 % 10]}"
            pipe.write(json.dumps({"text": text, "code": f"(.*[{digits[4:]}].*)|({digits}){{{index % 7 + 1},}}"}) + "\n")


if __name__ == "__main__":
    raise SystemExit(main())
