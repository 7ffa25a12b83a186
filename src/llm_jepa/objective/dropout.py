"""Loss dropout (paper, section 5.2): which optimizer steps leave the JEPA term out."""

import random


def dropped(*, rate: float, seed: int, step: int) -> bool:
    """Return whether the JEPA term is left out of this optimizer step.

    The coin has a generator of its own, seeded by (seed, step): the same on all ranks, unchanged by resuming, and
    independent of every other draw. Rates 0 and 1 are exact.

    Example:
        >>> [dropped(rate=rate, seed=82, step=7) for rate in (0.0, 1.0)]
        [False, True]
    """
    return random.Random(f"loss dropout {seed} {step}").random() < rate
