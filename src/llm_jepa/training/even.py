"""Every sample once an epoch, however many ranks share it: what is missing in the last batches is filled up with blanks.

accelerate gives every rank equally many batches, for which it repeats samples from the beginning. They would be trained and
measured twice, and several ranks would not be one. A blank has no label and no pair, so it adds nothing to any sum, and its
rank still takes part in every exchange between the ranks.
"""

from collections.abc import Iterator, Sized
from typing import Any, cast

from accelerate.data_loader import SeedableRandomSampler
from torch.utils.data import BatchSampler, DataLoader, Sampler

BLANK = -1
"""The index that stands for no sample."""


class Even(Sampler[int]):
    """The indices of a sampler, and then blanks up to a multiple.

    Args:
        sampler: gives the order; it knows its length.
        multiple: samples that all ranks together take at a time.

    Example:
        >>> list(Even(range(5), multiple=4))
        [0, 1, 2, 3, 4, -1, -1, -1]
    """

    def __init__(self, sampler: Any, *, multiple: int) -> None:
        self._sampler, self._multiple = sampler, multiple

    def __len__(self) -> int:
        """Return the number of indices, blanks included."""
        length = len(cast(Sized, self._sampler))
        return length + -length % self._multiple

    def __iter__(self) -> Iterator[int]:
        """Yield the indices."""
        yield from self._sampler
        yield from [BLANK] * (len(self) - len(cast(Sized, self._sampler)))

    def set_epoch(self, epoch: int) -> None:
        """Pass the epoch on to a sampler that draws anew in each."""
        if isinstance(self._sampler, SeedableRandomSampler):
            self._sampler.set_epoch(epoch)


def evened(loader: DataLoader[Any], *, ranks: int) -> DataLoader[Any]:
    """Let a data loader that accelerate prepared for several ranks give blanks instead of repeated samples.

    A loader that drops incomplete batches repeats none, a stream has no length to fill up, and a sampler that makes batches
    of its own for every rank divides them itself: those are left as they are.

    Args:
        loader: changed in place; its data set knows `BLANK`.
        ranks: processes that share it.
    """
    shards: Any = loader.batch_sampler
    if ranks == 1 or shards is None or type(shards.batch_sampler) is not BatchSampler or shards.batch_sampler.drop_last:
        return loader
    batches: BatchSampler = shards.batch_sampler
    batches.sampler = Even(batches.sampler, multiple=batches.batch_size * ranks)
    return loader
