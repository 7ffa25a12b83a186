"""A part of a data set that stands for the whole: many files are ordered, and their first rows all have one label."""

import random
from collections.abc import Sequence

from llm_jepa.records import Example


def draw(examples: Sequence[Example], limit: int | None) -> tuple[Example, ...]:
    """Return so many of the examples, drawn from all over and in their order; the same ones on every call.

    Args:
        examples: the rows of a source.
        limit: how many; None, or more than there are: all.
    """
    if limit is None or limit >= len(examples):
        return tuple(examples)
    return tuple(examples[index] for index in sorted(random.Random(0).sample(range(len(examples)), limit)))
