"""The k [PRED] tokens of the tied-weights predictor (paper, section 3.1), as slots in a sequence of token ids.

Slot j is written as the negative number -(j + 1), so that a segment stays one tuple of integers until the batch is made.
There the slot gets a learned vector instead of a row of the vocabulary.
"""

from collections.abc import Sequence


def slots(k: int) -> tuple[int, ...]:
    """Return the k slots of the predictor, first to last.

    Example:
        >>> slots(3)
        (-1, -2, -3)
    """
    return tuple(-(index + 1) for index in range(k))


def slot_index(token: int) -> int:
    """Return which slot a token is, or -1 for a row of the vocabulary.

    Example:
        >>> [slot_index(token) for token in (-1, -2, 7)]
        [0, 1, -1]
    """
    return -token - 1 if token < 0 else -1


def with_slots(ids: Sequence[int], k: int, *, prepend: bool) -> tuple[int, ...]:
    """Return `ids` with the k slots after them, or before them (the paper's "Prepend" ablation, Table 3)."""
    return (*slots(k), *ids) if prepend else (*ids, *slots(k))
