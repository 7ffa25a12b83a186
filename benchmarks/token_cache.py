"""`python -m benchmarks.token_cache`: what the samples of NL-RX-SYNTH take, tokenised and from the cache.

CPU seconds of one process; and with `--workers`, on as many copies of the rows as `--copies` says, the seconds on the clock
that one process takes and that so many take, their start included.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.machine import sentence
from benchmarks.workload import FOLDER, TOKENIZERS
from llm_jepa.experiments.experiment import Data
from llm_jepa.experiments.show import QUIET
from llm_jepa.experiments.token_cache import VARIABLE, cache_file
from llm_jepa.experiments.tokenizing import tokenized
from llm_jepa.model.load import ModelConfig, load_tokenizer
from llm_jepa.tasks.files import read_examples
from llm_jepa.views.tokenize import Tokenizer

ROWS = "nl_rx_synth_train.jsonl.gz"


def measure(tokenizer: str, rounds: int) -> dict[str, float]:
    """Return the least CPU seconds of each way, and the size of the file in bytes.

    Args:
        tokenizer: a folder of `TOKENIZERS`.
        rounds: how often each way is measured, one after the other.
    """
    loaded = load_tokenizer(ModelConfig(name=str(TOKENIZERS / tokenizer)))
    examples = read_examples(str(FOLDER / ROWS))
    with tempfile.TemporaryDirectory() as folder:
        os.environ[VARIABLE] = folder
        ways = {"tokenised": False, "tokenised and kept": True, "from the cache": True}
        taken: dict[str, list[float]] = {name: [] for name in ways}
        size = 0
        for _ in range(rounds):
            for file in Path(folder).rglob("*.safetensors"):
                file.unlink()
            for name, cache in ways.items():
                maker, data = Tokenizer(loaded), Data(train=ROWS, cache=cache)
                began = time.process_time()
                tokenized(maker, examples, data, QUIET)
                taken[name].append(time.process_time() - began)
            size = cache_file(Tokenizer(loaded), examples).stat().st_size
    return {"examples": len(examples), "bytes": size, **{name: round(min(values), 3) for name, values in taken.items()}}


def by_workers(tokenizer: str, *, workers: int, copies: int) -> dict[str, float]:
    """Return the seconds on the clock of one process and of several, without a cache."""
    loaded = load_tokenizer(ModelConfig(name=str(TOKENIZERS / tokenizer)))
    examples = read_examples(str(FOLDER / ROWS)) * copies
    taken: dict[str, float] = {"examples": len(examples)}
    for count in (1, workers):
        began = time.monotonic()
        tokenized(Tokenizer(loaded), examples, Data(train=ROWS, cache=False, workers=count), QUIET)
        taken[f"processes: {count}, s on the clock"] = round(time.monotonic() - began, 2)
    return taken


def main(arguments: list[str]) -> int:
    """Print what was measured as JSON, and the machine."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.token_cache", description=__doc__)
    parser.add_argument("--tokenizer", default="llama-3.1", help="a folder of tokenizers beside the project")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, help="also measure so many processes")
    parser.add_argument("--copies", type=int, default=25, help="of the rows, for --workers")
    given = parser.parse_args(arguments)
    found = measure(given.tokenizer, given.rounds)
    if given.workers is not None:
        found |= by_workers(given.tokenizer, workers=given.workers, copies=given.copies)
    sys.stdout.write(f"{json.dumps(found)}\n{sentence()}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
