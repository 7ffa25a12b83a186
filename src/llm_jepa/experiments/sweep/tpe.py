"""Which cell of the grid to try next, by the tree-structured Parzen estimator of optuna; a pure function of what was tried.

The sampler is made anew for every proposal and told all that is known, so nothing of it has to be kept or resumed. It sees
the places of k and weight in their order, since adjacent cells score alike (paper, limitations).
"""

import random
from collections.abc import Collection, Mapping, Sequence

import optuna
from optuna.distributions import BaseDistribution, IntDistribution
from optuna.samplers import TPESampler
from optuna.trial import create_trial

from llm_jepa.experiments.sweep.plan import Cell

_STARTUP = 4
"""Cells that are drawn at random before the estimator begins."""
_ASKED = 30


def propose(cells: Sequence[Cell], known: Mapping[Cell, float], tried: Collection[Cell], *, seed: int) -> Cell:
    """Return a cell that was not tried.

    Args:
        cells: the grid.
        known: accuracy of the cells that have one, 0..1.
        tried: cells that were tried, known or not; those under way count as bad as the worst known one, so that several
            processes do not crowd around one place.
        seed: of what is drawn; the same arguments give the same cell.
    """
    free = [cell for cell in cells if cell not in tried]
    draw = random.Random(f"tpe {seed} {len(tried)}")
    if len(tried) < _STARTUP or not known or len(free) == 1:
        return draw.choice(free)
    ks, weights = sorted({k for k, _ in cells}), sorted({weight for _, weight in cells})
    space: dict[str, BaseDistribution] = {
        "k": IntDistribution(0, len(ks) - 1),
        "weight": IntDistribution(0, len(weights) - 1),
    }
    sampler = TPESampler(seed=draw.randrange(2**31), n_startup_trials=1)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    worst = min(known.values())
    for cell in tried:
        place = {"k": ks.index(cell[0]), "weight": weights.index(cell[1])}
        study.add_trial(create_trial(params=place, distributions=space, value=known.get(cell, worst)))
    for _ in range(_ASKED):
        asked = study.ask(space).params
        cell = (ks[asked["k"]], weights[asked["weight"]])
        if cell in free:
            return cell
    return draw.choice(free)
