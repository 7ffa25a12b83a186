"""Times of several variants, taken in turn: every round runs each once, in a new order.

What disturbs the machine for a while then disturbs all of them. The minimum over the rounds is the least disturbed run, the
median tells whether it was luck. The clock counts the processor's seconds of this process: with one thread and nobody else
on the machine, those on the wall. Clearing gradients and choosing what is trained happen outside it.
"""

import gc
import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor


def nothing() -> None:
    """Do nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one run computes, counted from shapes.

    Attributes:
        samples: number of samples.
        labels: label tokens, which carry next-token loss.
        tokens: tokens that are no pads, predictor slots included.
        positions: rows x length, pads included, over all forwards.
        logits: positions for which logits are made.
        flops: operations of forward and backward by the project's `CostModel`, attention included.
    """

    samples: float
    labels: float
    tokens: float
    positions: float
    logits: float
    flops: float

    def mixed(self, other: "Cost", share: float) -> "Cost":
        """Return (1 - share) of this cost and `share` of the other, for the same samples."""
        keep = 1 - share
        return Cost(
            samples=self.samples,
            labels=self.labels,
            tokens=keep * self.tokens + share * other.tokens,
            positions=keep * self.positions + share * other.positions,
            logits=keep * self.logits + share * other.logits,
            flops=keep * self.flops + share * other.flops,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One way to make a training step.

    Attributes:
        name: stands in the table.
        run: forward and backward over all samples of the batch, returning the loss; this is timed.
        cost: what `run` computes.
        prepare: done before every run, not timed.
        rare: run in every second round only, because it is a side figure.
        once: run in the first round only, because it is very slow.
    """

    name: str
    run: Callable[[], Tensor]
    cost: Cost
    prepare: Callable[[], object] = nothing
    rare: bool = False
    once: bool = False

    def runs_in(self, turn: int) -> bool:
        """Return whether it is run in this round, counted from 0."""
        return turn == 0 if self.once else turn % 2 == 0 or not self.rare


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What was measured of one variant.

    Attributes:
        name: the variant's name.
        seconds: CPU seconds per sample, one value a round.
        cost: what one run computes.
        loss: the loss in the first round.
    """

    name: str
    seconds: tuple[float, ...]
    cost: Cost
    loss: float

    @property
    def best(self) -> float:
        """The minimum, in seconds per sample."""
        return min(self.seconds)

    @property
    def median(self) -> float:
        """The median, in seconds per sample."""
        return statistics.median(self.seconds)

    def mixed(self, other: "Result", share: float, *, name: str) -> "Result":
        """Return the exact expectation of a step that is this one, or with probability `share` the other."""
        seconds = tuple(
            (1 - share) * mine + share * theirs for mine, theirs in zip(self.seconds, other.seconds, strict=True)
        )
        return Result(name=name, seconds=seconds, cost=self.cost.mixed(other.cost, share), loss=self.loss)


def measure(
    variants: Sequence[Variant],
    *,
    rounds: int,
    warm: bool,
    clear: Callable[[], None],
    progress: Callable[[str], None],
) -> list[Result]:
    """Return the results in the order of `variants`.

    Args:
        variants: what is measured.
        rounds: rounds on the clock.
        warm: run each variant once before; without it the minimum over the rounds has to do.
        clear: drops all gradients; called before every run.
        progress: told what is about to run.
    """
    for variant in variants if warm else ():
        progress(f"warm-up: {variant.name}")
        clear()
        variant.prepare()
        variant.run()
    losses = [0.0] * len(variants)
    seconds: list[list[float]] = [[] for _ in variants]
    order = random.Random(0)
    for turn in range(rounds):
        chosen = [index for index, variant in enumerate(variants) if variant.runs_in(turn)]
        order.shuffle(chosen)
        for index in chosen:
            progress(f"round {turn + 1} of {rounds}: {variants[index].name}")
            clear()
            taken, loss = _time(variants[index])
            seconds[index].append(taken / variants[index].cost.samples)
            losses[index] = loss if turn == 0 else losses[index]
    return [
        Result(name=variant.name, seconds=tuple(times), cost=variant.cost, loss=loss)
        for variant, times, loss in zip(variants, seconds, losses, strict=True)
    ]


def _time(variant: Variant) -> tuple[float, float]:
    """Return the seconds of one run, with no garbage collection inside, and its loss."""
    variant.prepare()
    gc.collect()
    gc.disable()
    try:
        start = time.process_time()
        loss = variant.run()
        return time.process_time() - start, float(loss)
    finally:
        gc.enable()
