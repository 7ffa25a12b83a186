"""Examples -> samples, as a run needs them: from the cache, or tokenised in one process or several, with progress."""

import math
import os
from collections.abc import Sequence

from llm_jepa.experiments.experiment import Data
from llm_jepa.experiments.show import Show
from llm_jepa.experiments.token_cache import cache_file, read_cached, write_cached
from llm_jepa.records import Example
from llm_jepa.views.several import in_processes
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
    for sample in in_processes(tokenizer, examples, several, _TOLD) if several > 1 else tokenizer.samples(examples):
        samples.append(sample)
        if len(samples) % _TOLD == 0 or len(samples) == len(examples):
            show.tokenize(len(samples), len(examples))
    return samples
