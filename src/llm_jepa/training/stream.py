"""Micro-batches of a corpus that is never in memory.

The rows are read in windows, each window is shuffled, and micro-batch j holds the next rows of the shuffled order: it is a
function of the data, the seed and j alone. So it does not matter how many processes and workers share the work, and a
training continues where it was by counting: what was trained is passed over without parsing or tokenising it. At the
end of the data it begins anew, with windows shuffled in another way.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count, islice
from typing import Any, TypeAlias

import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from llm_jepa.errors import UserError
from llm_jepa.packing.collate import OverLength, within_length
from llm_jepa.packing.layout import Layout
from llm_jepa.tasks.row_stream import RawRow, RowStream
from llm_jepa.views.pairs import recombine
from llm_jepa.views.tokenize import Sample, Tokenizer

Collate: TypeAlias = Callable[[list[dict[str, object]]], Mapping[str, Any]]

FAILURE = "failure"
"""Key of a batch that is an error: raised in a worker of the data loader it would come with a traceback in its text."""


@dataclass(frozen=True, kw_only=True)
class StreamSource:
    """What micro-batches are made of.

    Attributes:
        rows: the corpus.
        tokenizer: makes samples of its rows.
        window: rows that are shuffled together, and held in memory by every worker.
        limit: longest sample, in tokens of context.
        over_length: what happens to a longer one.
        shuffle_pairs: give every sample the second view of another one in its window: the control.
    """

    rows: RowStream
    tokenizer: Tokenizer
    window: int
    limit: int
    over_length: OverLength = OverLength.drop
    shuffle_pairs: bool = False


class Stream(IterableDataset[dict[str, Any]]):
    """The micro-batches of one process, without an end.

    Args:
        source: what they are made of.
        collate: packs samples.
        layout: how samples become segments, which tells how long they are.
        batch: rows of a micro-batch; it has fewer samples where some are too long, at least one.
        seed: of the order.
        rank: which process this is.
        ranks: how many there are; they share the micro-batches in turn.

    Attributes:
        done: micro-batches of this process to pass over: empty ones come in their place.
    """

    def __init__(
        self,
        source: StreamSource,
        collate: Collate,
        layout: Layout,
        *,
        batch: int,
        seed: int,
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        self._source, self._collate, self._layout = source, collate, layout
        self._batch, self._seed = batch, seed
        self._rank, self._ranks = rank, ranks
        self.done = 0

    @classmethod
    def of_process(cls, source: StreamSource, collate: Collate, layout: Layout, args: TrainingArguments) -> "Stream":
        """Return the share of this process of a training with these arguments."""
        shared = {"rank": args.process_index, "ranks": args.world_size}
        return cls(source, collate, layout, batch=args.per_device_train_batch_size, seed=args.seed, **shared)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield micro-batches; in a worker of a data loader, those that fall to it."""
        worker = get_worker_info()
        own, workers = (0, 1) if worker is None else (worker.id, worker.num_workers)
        try:
            for index, (window, place) in enumerate(self._places()):
                turn, rank = divmod(index, self._ranks)
                if rank == self._rank and turn % workers == own:
                    yield {} if turn < self.done else self._make(window, place)
        except UserError as error:
            yield {FAILURE: error}

    def loader(self, *, workers: int, pin_memory: bool) -> DataLoader[Any]:
        """Return a loader of the micro-batches, which draws from no generator but its own."""
        generator = torch.Generator().manual_seed(self._seed)
        return DataLoader(self, batch_size=None, num_workers=workers, pin_memory=pin_memory, generator=generator)

    def _places(self) -> Iterator[tuple["_Window", int]]:
        """Yield the window and the first place in its order for every micro-batch of all processes."""
        for turn in count():
            rows, number = self._source.rows.rows(), 0
            for number in count():
                window = _Window(list(islice(rows, self._source.window)), self._seed, turn, number)
                if not window.rows:
                    break
                for place in range(0, len(window.rows), self._batch):
                    yield window, place
            if number == 0:
                raise UserError(f"{self._source.rows.source}: there are no rows; give data that has some")

    def _make(self, window: "_Window", place: int) -> dict[str, Any]:
        """Return the micro-batch from this place on; where no sample fits, that of the next row with one that does."""
        order = window.order
        samples = self._fitting(window, order[place : place + self._batch])
        if not samples:
            later = chain(order[place + self._batch :], order[:place])
            samples = next((found for row in later if (found := self._fitting(window, [row]))), [])
        if not samples:
            problem = f"this and the next {len(order) - 1} samples are longer than {self._source.limit} tokens"
            raise UserError(f"{window.rows[0][0]}: {problem}; raise `data.max_length`")
        return dict(self._collate([{"sample": sample} for sample in samples]))

    def _fitting(self, window: "_Window", rows: Sequence[int]) -> list[Sample]:
        """Return the samples of these rows of the window that are not too long."""
        samples = self._samples([window.rows[row] for row in rows])
        if self._source.shuffle_pairs:
            donors = self._samples([window.rows[window.donors[row]] for row in rows])
            samples = [recombine(*both) if len(both[0].views) > 1 else both[0] for both in zip(samples, donors, strict=True)]
        return within_length(samples, self._layout, limit=self._source.limit, policy=self._source.over_length, some=False)[0]

    def _samples(self, rows: Sequence[RawRow]) -> list[Sample]:
        return list(self._source.tokenizer.samples(self._source.rows.example(row) for row in rows))


class _Window:
    """Rows that are shuffled together; orders are drawn when they are first asked for."""

    def __init__(self, rows: list[RawRow], seed: int, turn: int, number: int) -> None:
        self.rows = rows
        self._order_key, self._pairs_key = f"{seed}/{turn}/{number}", f"{seed}/pairs/{number}"
        self._order: list[int] | None = None
        self._donors: Mapping[int, int] | None = None

    @property
    def order(self) -> list[int]:
        """The rows of the window, shuffled; in another way each time the data begin anew."""
        if self._order is None:
            self._order = _shuffled(len(self.rows), self._order_key)
        return self._order

    @property
    def donors(self) -> Mapping[int, int]:
        """For every row the one whose view it gets: another one, and the same each time the data begin anew."""
        if self._donors is None:
            if len(self.rows) < 2:
                raise UserError(f"{self.rows[0][0]}: shuffled pairs need two rows in a window; change `data.buffer` by one")
            order = _shuffled(len(self.rows), self._pairs_key)
            self._donors = dict(zip(order, order[1:] + order[:1], strict=True))
        return self._donors


class PassOver(TrainerCallback):
    """Tells a stream how many micro-batches were trained before.

    Args:
        stream: the stream.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Count the steps of the checkpoint that training resumes from."""
        del control, kwargs
        self._stream.done = state.global_step * args.gradient_accumulation_steps


def _shuffled(size: int, key: str) -> list[int]:
    order = list(range(size))
    random.Random(key).shuffle(order)  # a text as the seed is hashed the same way on every machine
    return order
