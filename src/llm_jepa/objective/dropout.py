"""Loss dropout (paper, section 5.2): which optimizer steps, or micro-batches, leave the JEPA term out."""

import random


def dropped(*, rate: float, seed: int, step: int, micro_batch: int | None = None) -> bool:
    """Return whether the JEPA term is left out of this optimizer step, or of one micro-batch of it.

    The coin has a generator of its own, seeded by its place: the same on all ranks, unchanged by resuming, and independent
    of every other draw. Rates 0 and 1 are exact.

    Example:
        >>> [dropped(rate=rate, seed=82, step=7) for rate in (0.0, 1.0)]
        [False, True]
    """
    place = f"{seed} {step}" if micro_batch is None else f"{seed} {step} {micro_batch}"
    return random.Random(f"loss dropout {place}").random() < rate
