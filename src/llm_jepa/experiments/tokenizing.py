"""Examples -> samples, as a run needs them: from the cache, or tokenised in one process or several, with progress."""

import math
import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process

from llm_jepa.errors import UserError
from llm_jepa.experiments.experiment import Data
from llm_jepa.experiments.show import Show
from llm_jepa.experiments.token_cache import cache_file, read_cached, write_cached
from llm_jepa.records import Example
from llm_jepa.views.columns import Columns, from_columns, to_columns
from llm_jepa.views.locating import COMPARED
from llm_jepa.views.tokenize import Sample, Tokenizer

WORTH_KEEPING = 5_000
"""Examples from which on samples are kept: fewer are tokenised in less time than it takes to look for them."""

WORTH_WORKERS = 200_000
"""Examples from which on `data.workers: null` takes more than one process: each takes seconds to start."""

_TOLD = 1_000
"""Examples between two reports of progress, and in a task of a worker."""


def tokenized(tokenizer: Tokenizer, examples: Sequence[Example], data: Data, show: Show) -> list[Sample]:
    """Return the sample of each example, in order, whoever made it and when.

    Args:
        tokenizer: what makes samples.
        examples: any number.
        data: whether samples are cached, and how many processes make them.
        show: told what is read and written, and how far the work is.

    Raises:
        UserError: an example cannot be tokenised.
    """
    if not data.cache or len(examples) < WORTH_KEEPING:
        return _made(tokenizer, examples, data, show)
    path = cache_file(tokenizer, examples)
    samples = read_cached(path, examples, show)
    if samples is None:
        samples = _made(tokenizer, examples, data, show)
        if os.environ.get("RANK", "0") == "0":  # as torchrun and accelerate number their processes
            write_cached(path, samples, show)
    return samples


def processes(workers: int | None, examples: int) -> int:
    """Return how many processes tokenise so many examples; one means this process alone.

    Args:
        workers: what the config says; None: one a core where that saves more time than it takes to start them.
        examples: how many there are.
    """
    wanted = workers if workers is not None else len(os.sched_getaffinity(0)) if examples >= WORTH_WORKERS else 1
    return min(wanted, math.ceil(examples / _TOLD))


def _made(tokenizer: Tokenizer, examples: Sequence[Example], data: Data, show: Show) -> list[Sample]:
    samples: list[Sample] = []
    several = processes(data.workers, len(examples))
    for sample in _in_processes(tokenizer, examples, several) if several > 1 else tokenizer.samples(examples):
        samples.append(sample)
        if len(samples) % _TOLD == 0 or len(samples) == len(examples):
            show.tokenize(len(samples), len(examples))
    return samples


def _in_processes(tokenizer: Tokenizer, examples: Sequence[Example], several: int) -> Iterator[Sample]:
    """Yield the samples in order, made by new processes that share nothing with this one."""
    list(tokenizer.samples(_every_kind(examples)))
    tasks = [examples[start : start + _TOLD] for start in range(0, len(examples), _TOLD)]
    pool = ProcessPoolExecutor(several, mp_context=get_context("spawn"), initializer=_begin, initargs=(tokenizer,))
    try:
        for task, columns in zip(tasks, pool.map(_work, tasks), strict=True):
            yield from from_columns(columns, [example.name for example in task])
    except BrokenProcessPool as error:
        raise UserError(
            "a process that tokenised was ended from outside, for lack of memory perhaps; set `data.workers` to 1"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _every_kind(examples: Sequence[Example]) -> list[Example]:
    """Return the first conversations of every sequence of roles.

    A tokenizer learns from them how to take a conversation apart. All processes get what was learned here, so that none
    learns otherwise from the part of the data that it happens to see.
    """
    seen: Counter[tuple[str, ...]] = Counter()
    found: list[Example] = []
    for example in examples:
        roles = tuple([message.role for message in example.messages])
        seen[roles] += 1
        if seen[roles] <= COMPARED:
            found.append(example)
    return found


class _Worker:
    """What a process keeps from one task to the next."""

    tokenizer: Tokenizer


def _begin(tokenizer: Tokenizer) -> None:
    """Get ready in a new process, which ends with the one that started it, even if that is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then ends its workers
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _Worker.tokenizer = tokenizer


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(examples: Sequence[Example]) -> Columns:
    return to_columns(list(_Worker.tokenizer.samples(examples)))
