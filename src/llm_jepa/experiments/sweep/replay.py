"""What a cheaper search would have found in a grid that was run in full: how near its best cell, at which share of its cost.

A replay draws from the finished table what each search would have seen, many times in random order. It shares two limits
with every replay: the best of the grid is itself the highest of noisy values, and the accuracy after the first epochs of a
long training stands for that of a short one, whose learning rate decays sooner.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from llm_jepa.errors import UserError
from llm_jepa.experiments.results.collected import JEPA, RunSummary, read_runs
from llm_jepa.experiments.results.measures import ABSENT
from llm_jepa.experiments.results.naming import same
from llm_jepa.experiments.results.run_records import SLOTS, WEIGHT
from llm_jepa.experiments.sweep.plan import SAMPLED_SHARE, SEARCHES, Cell, Search
from llm_jepa.experiments.sweep.tpe import propose
from llm_jepa.tasks.task import VALIDATION

ORDERS = 200
"""Random orders of a replay."""

_WHOLE = Search()
_BY_TPE = Search(sampled=True)
_SHORT_FIRST = SEARCHES["halving"]
_TPE_SHORT_FIRST = SEARCHES["tpe"]
COMPARED: Mapping[str, Search] = {
    "random cells": _WHOLE,
    "cells by TPE": _BY_TPE,
    "random cells, the best quarter whole": _SHORT_FIRST,
    "cells by TPE, the best quarter whole (--search tpe)": _TPE_SHORT_FIRST,
}
"""The searches that are replayed; `--search halving` takes all cells, so that it costs more than a quarter."""


@dataclass(frozen=True, slots=True)
class Grid:
    """A grid that was run in full.

    Attributes:
        accuracy: by k, weight and epoch, shares in 0..1; every cell has the same epochs, and the last one counts.
    """

    accuracy: Mapping[tuple[int, float, float], float]

    def __post_init__(self) -> None:
        """Check that no cell is without an epoch that another has."""
        if len(self.accuracy) != len(self.cells) * len(self.epochs):
            raise UserError(
                "the grid has holes: not every k and weight was scored after the same epochs; finish its runs first"
            )

    @property
    def cells(self) -> tuple[Cell, ...]:
        """The places of the grid, by weight and k."""
        return tuple(sorted({(k, weight) for k, weight, _ in self.accuracy}, key=lambda cell: (cell[1], cell[0])))

    @property
    def epochs(self) -> tuple[float, ...]:
        """The epochs after which there are scores, ascending."""
        return tuple(sorted({epoch for *_, epoch in self.accuracy}))

    def whole(self) -> dict[Cell, float]:
        """Accuracy after the last epoch."""
        return {(k, weight): self.accuracy[k, weight, self.epochs[-1]] for k, weight in self.cells}

    def after(self, share: float) -> dict[Cell, float] | None:
        """Accuracy after a share of the training; None where that was not scored."""
        wanted = share * self.epochs[-1]
        near = min(self.epochs, key=lambda epoch: abs(epoch - wanted))
        if abs(near - wanted) > 0.01 * self.epochs[-1]:
            return None
        return {(k, weight): self.accuracy[k, weight, near] for k, weight in self.cells}


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What one search found, over random orders.

    Attributes:
        name: of the search.
        cost: share of the grid's cost, 0..1.
        tried: number of cells it looked at.
        reached: mean accuracy of the cell it chose, as a share of the best cell's.
        worst: the tenth percentile of that share.
        hit: share of the orders in which it chose the best cell, or one equal to it.
    """

    name: str
    cost: float
    tried: int
    reached: float
    worst: float
    hit: float


def replay(
    grid: Grid,
    *,
    share: float = SAMPLED_SHARE,
    orders: int = ORDERS,
    seed: int = 0,
    searches: Mapping[str, Search] = COMPARED,
) -> tuple[Replay, ...]:
    """Return what several searches find in a grid; those whose short runs were not scored are left out.

    Args:
        grid: the finished grid.
        share: cost that each may have, as a share of the grid's, above 0 and at most 1.
        orders: random orders that are averaged over.
        seed: of the orders; the same one gives the same figures.
        searches: what is replayed, by name.

    Example:
        >>> grid = Grid({(k, weight, 1.0): 0.5 + 0.1 * k * weight for k in (0, 1) for weight in (1.0, 2.0)})
        >>> replay(grid, share=0.5, orders=50)[0].cost
        0.5
    """
    found: list[Replay] = []
    for name, search in searches.items():
        first = None if search.first is None else grid.after(search.first)
        cells = search.affordable(len(grid.cells), share=share)
        if search.first is not None and first is None:
            continue
        results = [_once(grid, search, first, cells, f"{seed} {order}") for order in range(orders)]
        found.append(_summary(name, grid, results, cost=search.cost(cells) / len(grid.cells), tried=cells))
    return tuple(found)


def _once(grid: Grid, search: Search, first: Mapping[Cell, float] | None, count: int, order: str) -> float:
    """Return the accuracy of the cell that a search chooses in one order."""
    whole, draw = grid.whole(), random.Random(order)
    seen = whole if first is None else first
    tried = draw.sample([*whole], count)
    if search.sampled:
        seed, tried = draw.randrange(2**31), []
        while len(tried) < count:
            tried.append(propose([*whole], {cell: seen[cell] for cell in tried}, tried, seed=seed))
    kept = sorted(tried, key=lambda cell: -seen[cell])[: search.kept(count)]
    return max(whole[cell] for cell in kept)


def _summary(name: str, grid: Grid, results: Sequence[float], *, cost: float, tried: int) -> Replay:
    best = max(grid.whole().values())
    shares = sorted(result / best if best else 1.0 for result in results)
    return Replay(
        name=name,
        cost=cost,
        tried=tried,
        reached=fmean(shares),
        worst=shares[len(shares) // 10],
        hit=sum(result == best for result in results) / len(results),
    )


def read_grid(*roots: Path) -> Grid:
    """Return the grid that finished runs make, as means over seeds, from accuracy on the validation rows.

    Of several grids below the roots (other learning rates, shorter trainings) it is the one with the most runs.

    Raises:
        UserError: there is no grid, or it has holes.
    """
    groups: list[list[RunSummary]] = []
    for run in read_runs(*roots):
        if run.kind == JEPA and run.results.k is not None and run.results.weight and _score(run) is not None:
            group = next((group for group in groups if _alike(run, group[0])), None)
            if group is None:
                groups.append([run])
            else:
                group.append(run)
    if not groups:
        raise UserError(f"{roots[0]}: no run of the arm 'jepa' has an accuracy on validation rows; finish a grid first")
    runs = max(groups, key=len)
    covered: dict[int, set[Cell]] = {}
    for run in runs:
        covered.setdefault(run.seed, set()).add(_cell(run))
    cells = max(covered.values(), key=len)  # the chosen cell has more seeds than the others
    curves = {(_cell(run), run.seed): _epochs(run) for run in runs if cells <= covered[run.seed]}
    everywhere = set.intersection(*(set(curve) for curve in curves.values()))
    seeds = {seed for _, seed in curves}
    return Grid(
        {
            (*cell, epoch): fmean(curves[cell, seed][epoch] for seed in seeds)
            for cell in cells
            for epoch in sorted(everywhere)
        }
    )


def replay_table(found: Sequence[Replay]) -> Table:
    """Return the table of a replay for the screen."""
    shown = Table(title=f"Replay, {ORDERS} random orders; the whole grid is 100 %", title_justify="left", box=SIMPLE_HEAD)
    for column in ("search", "cells", "cost %", "of the best accuracy, mean %", "worst tenth %", "best cell found %"):
        shown.add_column(column, justify="left" if column == "search" else "right")
    for item in found:
        figures = [f"{100 * value:.1f}" for value in (item.cost, item.reached, item.worst, item.hit)]
        shown.add_row(*map(Text, (item.name, str(item.tried) or ABSENT, *figures)))
    return shown


def _alike(run: RunSummary, other: RunSummary) -> bool:
    names = {*run.settings, *other.settings} - {WEIGHT, SLOTS}
    return same(run.settings, other.settings, sorted(names))


def _cell(run: RunSummary) -> Cell:
    return int(run.results.k or 0), float(run.results.weight or 0)


def _score(run: RunSummary) -> float | None:
    return run.results.accuracy if run.results.split == VALIDATION else run.results.validation


def _epochs(run: RunSummary) -> dict[float, float]:
    """Return the accuracy by epoch; that of the whole training is the one on which choices are made."""
    last = max((line["epoch"] for line in run.metrics if "epoch" in line), default=1.0)
    curve = {line["epoch"]: line["eval_accuracy"] for line in run.metrics if {"epoch", "eval_accuracy"} <= line.keys()}
    whole = _score(run)
    return {round(epoch, 3): score for epoch, score in (curve | ({last: whole} if whole is not None else {})).items()}
