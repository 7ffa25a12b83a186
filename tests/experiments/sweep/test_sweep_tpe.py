"""Proposals: repeatable, never twice the same, and better than chance where the grid has a shape."""

from random import Random
from statistics import fmean

from llm_jepa.experiments.sweep.plan import Cell, Plan
from llm_jepa.experiments.sweep.tpe import propose

CELLS = Plan().cells
SCORES: dict[Cell, float] = {(k, weight): 0.5 + 0.05 * k + 0.02 * weight for k, weight in CELLS}


def follow(count: int, *, seed: int) -> list[Cell]:
    tried: list[Cell] = []
    while len(tried) < count:
        tried.append(propose(CELLS, {cell: SCORES[cell] for cell in tried}, tried, seed=seed))
    return tried


def test_proposals_repeat_and_never_name_a_cell_twice() -> None:
    tried = follow(20, seed=0)
    assert tried == follow(20, seed=0)
    assert sorted(tried) == sorted(CELLS)
    assert tried != follow(20, seed=1)


def test_the_best_of_eight_proposals_is_better_than_of_eight_random_cells() -> None:
    proposed = fmean(max(SCORES[cell] for cell in follow(8, seed=seed)) for seed in range(20))
    drawn = fmean(max(SCORES[cell] for cell in Random(seed).sample(CELLS, 8)) for seed in range(2000))
    assert proposed > drawn + 0.01


def test_cells_under_way_are_not_proposed_again() -> None:
    open_ones = [CELLS[0], CELLS[7], CELLS[12], CELLS[13], CELLS[19]]
    known = {CELLS[0]: 0.4}
    assert propose(CELLS, known, open_ones, seed=0) not in open_ones


def test_the_last_cell_is_proposed_whatever_is_known() -> None:
    assert propose(CELLS, SCORES, CELLS[:-1], seed=0) == CELLS[-1]
