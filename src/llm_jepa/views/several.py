"""Tokenising in several processes, with the samples of one, in the same order.

The processes are new ones that share nothing with this one (torch's threads do not survive a fork). What they run is in
this module, which needs little else: they would import everything again.
"""

import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process

from llm_jepa.errors import UserError
from llm_jepa.records import Example
from llm_jepa.views.columns import Columns, from_columns, to_columns
from llm_jepa.views.locating import COMPARED
from llm_jepa.views.tokenize import Sample, Tokenizer


def in_processes(tokenizer: Tokenizer, examples: Sequence[Example], several: int, size: int) -> Iterator[Sample]:
    """Yield the sample of each example, in order, made by new processes.

    Args:
        tokenizer: what makes samples.
        examples: any number.
        several: processes.
        size: examples that a process gets at a time.

    Raises:
        UserError: an example cannot be tokenised, or a process was ended from outside.
    """
    list(tokenizer.samples(_every_kind(examples)))
    tasks = [examples[start : start + size] for start in range(0, len(examples), size)]
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
