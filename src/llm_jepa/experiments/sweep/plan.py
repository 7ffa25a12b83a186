"""The plan of a sweep: what is tried, on which seeds, and on which rows choices are made. Values only; nothing runs here.

A trial is one run: a setting and a seed. What follows from finished trials is in `sweep_survey`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from llm_jepa.errors import UserError
from llm_jepa.experiments.compare.arms import PAPER_SEEDS
from llm_jepa.experiments.results.collected import JEPA, PLAIN
from llm_jepa.tasks.task import TEST, VALIDATION

PAPER_RATES = (1e-5, 2e-5, 4e-5, 8e-5)
"""Learning rates that the paper tries for plain fine-tuning (section 4.1)."""
PAPER_SLOTS = (0, 1, 2, 3, 4)
"""Values of k that the paper tries (section 4.1)."""
PAPER_WEIGHTS = (0.5, 1.0, 2.0, 4.0)
"""Weights (lambda) that the paper tries (section 4.1)."""

Cell = tuple[int, float]
"""A place in the grid: k and weight."""


class Protocol(Enum):
    """The rows on which choices are made; the value is the name of the split.

    Members:
        validation: rows that are neither trained on nor reported.
        paper: the rows that are reported, as the paper did; the best of many is then high by chance.
    """

    validation = VALIDATION
    paper = TEST


class Budget(Enum):
    """How many full runs plain training gets to be tuned with.

    Members:
        paper: one for each learning rate.
        equal: as many as the setting of the JEPA arm rests on, spent on a finer grid of learning rates.
    """

    paper = "paper"
    equal = "equal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """A way through the grid of k and weight.

    Attributes:
        first: share of the training that every cell gets at first, on one seed, in 0..1; None: there is no such rung.
        keep: share of the cells that go on to whole runs, in 0..1.
        sampled: cells of the first rung are proposed one after another by TPE, instead of taking all.
    """

    first: float | None = None
    keep: float = 1.0
    sampled: bool = False

    def kept(self, cells: int) -> int:
        """How many of so many cells go on to whole runs, at least 1."""
        return max(1, math.floor(self.keep * cells))

    def cost(self, cells: int, *, seeds: int = 1) -> float:
        """Cost of so many cells, in whole runs."""
        return self.kept(cells) * seeds + (self.first or 0.0) * cells

    def affordable(self, cells: int, *, share: float, seeds: int = 1) -> int:
        """Return the most of `cells` whose cost is at most `share` of the cost of the whole grid, at least 1."""
        limit = share * cells * seeds
        return max((n for n in range(1, cells + 1) if self.cost(n, seeds=seeds) <= limit), default=1)


SEARCHES: Mapping[str, Search] = {
    "grid": Search(),
    "halving": Search(first=0.25, keep=0.25),
    "tpe": Search(first=0.25, keep=0.25, sampled=True),
}
"""By name: every cell; every cell for a quarter of the training and the best quarter whole; the same with cells by TPE."""

SAMPLED_SHARE = 0.25
"""Share of the grid's cost that a sampled search spends where no number of cells is given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One way of training.

    Attributes:
        arm: plain, jepa or shuffled.
        learning_rate: peak learning rate.
        k: number of [PRED] slots.
        weight: weight of the JEPA term; 0 for plain training.
        fraction: share of the config's epochs or steps, in 0..1.
    """

    arm: str
    learning_rate: float
    k: int
    weight: float
    fraction: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One run: a setting and a seed."""

    setting: Setting
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a sweep tries.

    Attributes:
        learning_rates: for plain training; the best serves the JEPA arm too.
        ks: numbers of [PRED] slots.
        weights: weights of the JEPA term, above 0.
        seeds: of the chosen arms; choices are made on the first `search_seeds` of them.
        search_seeds: number of seeds on which choices are made.
        protocol: the rows on which choices are made.
        budget: how many full runs plain training gets.
        search: the way through the grid.
        tried: cells that a sampled search tries; None: as many as cost a quarter of the grid.
        own_k: the config's k, which plain training keeps.
    """

    learning_rates: tuple[float, ...] = PAPER_RATES
    ks: tuple[int, ...] = PAPER_SLOTS
    weights: tuple[float, ...] = PAPER_WEIGHTS
    seeds: tuple[int, ...] = PAPER_SEEDS
    search_seeds: int = 1
    protocol: Protocol = Protocol.validation
    budget: Budget = Budget.paper
    search: Search = field(default_factory=Search)
    tried: int | None = None
    own_k: int = 0

    def __post_init__(self) -> None:
        """Check the values."""
        for name, values in (("learning_rates", self.learning_rates), ("ks", self.ks), ("weights", self.weights)):
            _check_values(name, values, least=0 if name == "ks" else None)
        _check_values("seeds", self.seeds, least=0)
        if not 1 <= self.search_seeds <= len(self.seeds):
            raise UserError(f"--search_seeds is {self.search_seeds}, but it is 1 to {len(self.seeds)}, the number of seeds")
        cells = len(self.cells)
        if self.tried is not None and not (self.search.sampled and 1 <= self.tried <= cells):
            raise UserError(
                f"--trials is {self.tried}, but it is 1 to {cells}, the cells of the grid, and for `--search tpe`"
            )

    @property
    def cells(self) -> tuple[Cell, ...]:
        """All places of the grid, cheap ones first: by weight, then by k."""
        return tuple((k, weight) for weight in sorted(self.weights) for k in sorted(self.ks))

    @property
    def rates(self) -> tuple[float, ...]:
        """The learning rates in ascending order."""
        return tuple(sorted(self.learning_rates))

    @property
    def choosing(self) -> tuple[int, ...]:
        """The seeds on which choices are made."""
        return self.seeds[: self.search_seeds]

    @property
    def sampled(self) -> int:
        """How many cells the search tries at all."""
        cells = len(self.cells)
        if not self.search.sampled:
            return cells
        return self.tried or self.search.affordable(cells, share=SAMPLED_SHARE, seeds=self.search_seeds)

    @property
    def jepa_cost(self) -> float:
        """Full runs that the JEPA arm's setting rests on: the learning rates, and the search."""
        seeds = self.search_seeds
        return len(self.learning_rates) * seeds + self.search.cost(self.sampled, seeds=seeds)

    @property
    def extra_rates(self) -> tuple[float, ...]:
        """Learning rates that plain training tries beyond `learning_rates`, so that the budgets are equal; else none."""
        if self.budget is Budget.paper:
            return ()
        wanted = math.ceil(self.jepa_cost / self.search_seeds)
        return tuple(rate for rate in refined(self.rates, wanted) if rate not in self.learning_rates)

    def plain(self, rate: float) -> Setting:
        """Plain training at a learning rate."""
        return Setting(arm=PLAIN, learning_rate=rate, k=self.own_k, weight=0.0)

    def jepa(self, rate: float, cell: Cell, *, fraction: float = 1.0) -> Setting:
        """LLM-JEPA at a learning rate and a place of the grid."""
        return Setting(arm=JEPA, learning_rate=rate, k=cell[0], weight=cell[1], fraction=fraction)


def refined(rates: Sequence[float], count: int) -> tuple[float, ...]:
    """Return `count` learning rates: the given ones, and others between them at equal ratios, ascending.

    The wider gaps, and of equal ones the lower, get the more. One given rate is surrounded by a factor of 2 to either side.

    Example:
        >>> refined([1e-05, 2e-05, 4e-05], 4)
        (1e-05, 1.414e-05, 2e-05, 4e-05)
    """
    ends = sorted(rates) if len(rates) > 1 else [rates[0] / 2, rates[0], rates[0] * 2]
    missing = count - len(rates)
    if missing <= 0:
        return tuple(sorted(rates))
    added = [0] * (len(ends) - 1)
    for _ in range(missing):
        steps = [math.log(ends[i + 1] / ends[i]) / (added[i] + 1) for i in range(len(added))]
        added[max(range(len(added)), key=lambda i: (round(steps[i], 9), -i))] += 1
    between = [
        float(f"{ends[i] * (ends[i + 1] / ends[i]) ** (step / (n + 1)):.4g}")
        for i, n in enumerate(added)
        for step in range(1, n + 1)
    ]
    return tuple(sorted({*rates, *between}))


def _check_values(name: str, values: Sequence[float], *, least: int | None) -> None:
    if not values or len(set(values)) < len(values):
        raise UserError(f"--{name} is {list(values)}; give at least one value, and each once")
    wrong = [value for value in values if not math.isfinite(value) or (value <= 0 if least is None else value < least)]
    if wrong:
        raise UserError(f"--{name} has {wrong[0]:g}, but its values are {'above 0' if least is None else 'at least 0'}")
