"""Blanks fill up the last batches of several ranks, and add nothing."""

from typing import Any

import pytest
import torch
from accelerate.data_loader import BatchSamplerShard, SeedableRandomSampler
from tests.helpers import conversations
from torch.utils.data import BatchSampler, DataLoader, SequentialSampler

from llm_jepa.packing.collate import Collator
from llm_jepa.packing.layout import Layout
from llm_jepa.training.even import BLANK, Even, evened
from llm_jepa.training.trainer import Samples


def shares(count: int, *, batch: int, ranks: int, drop_last: bool = False) -> list[list[list[int]]]:
    """Return the batches of every rank, as accelerate shards them, made even."""
    found: list[list[list[int]]] = []
    for rank in range(ranks):
        batches = BatchSampler(SequentialSampler(range(count)), batch, drop_last)
        shard: Any = BatchSamplerShard(batches, num_processes=ranks, process_index=rank)
        loader: DataLoader[Any] = DataLoader(Samples(conversations(count)), batch_sampler=shard, collate_fn=list)
        found.append(list(evened(loader, ranks=ranks).batch_sampler))  # pyright: ignore[reportArgumentType]
    return found


@pytest.mark.parametrize("count", [1, 7, 8, 9, 20])
def test_every_sample_comes_once_and_all_ranks_have_equally_many_batches(count: int) -> None:
    first, second = shares(count, batch=4, ranks=2)
    assert len(first) == len(second)
    seen = [index for batch in (*first, *second) for index in batch]
    assert sorted(index for index in seen if index != BLANK) == list(range(count))


def test_the_last_batches_are_those_of_one_process_and_then_blanks() -> None:
    assert shares(5, batch=2, ranks=2) == [[[0, 1], [4, BLANK]], [[2, 3], [BLANK, BLANK]]]


def test_incomplete_batches_that_are_dropped_stay_dropped() -> None:
    assert shares(5, batch=2, ranks=2, drop_last=True) == [[[0, 1]], [[2, 3]]]


def test_a_new_epoch_reaches_the_sampler_that_draws() -> None:
    drawing = SeedableRandomSampler(range(50), data_seed=1, generator=torch.Generator())
    even = Even(drawing, multiple=8)
    even.set_epoch(3)
    third = list(even)
    even.set_epoch(3)
    assert list(even) == third
    even.set_epoch(4)
    assert list(even) != third


@pytest.mark.parametrize("one_forward", [True, False])
def test_a_batch_of_blanks_has_one_row_without_labels_and_pairs(one_forward: bool) -> None:
    collate = Collator(layout=Layout(k=1), pad=0, one_forward=one_forward)
    batch = collate([Samples(conversations(2))[BLANK]] * 3)["full"]
    assert batch["input_ids"].tolist() == [[0]]
    assert [batch[name].numel() for name in ("label", "predicted", "target", "sequence")] == [0, 0, 0, 0]
    assert int(batch["tokens"]) == 0


def test_blanks_leave_the_other_samples_as_they_are() -> None:
    samples = Samples(conversations(3))
    collate = Collator(layout=Layout(k=1), pad=0)
    alone, filled = collate([samples[0], samples[1]]), collate([samples[0], samples[1], samples[BLANK]])
    assert all(torch.equal(alone["full"][name], filled["full"][name]) for name in alone["full"])
