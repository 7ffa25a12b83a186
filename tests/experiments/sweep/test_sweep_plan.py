"""The plan: its cells, its budgets, and what it refuses."""

import pytest

from llm_jepa.errors import UserError
from llm_jepa.experiments.sweep.plan import SEARCHES, Budget, Plan, refined


def test_the_default_plan_is_the_papers() -> None:
    plan = Plan()
    assert plan.learning_rates == (1e-5, 2e-5, 4e-5, 8e-5)
    assert {k for k, _ in plan.cells} == {0, 1, 2, 3, 4}
    assert {weight for _, weight in plan.cells} == {0.5, 1.0, 2.0, 4.0}
    assert plan.seeds == (82, 23, 37, 84, 4)
    assert (len(plan.cells), plan.choosing, plan.extra_rates) == (20, (82,), ())


@pytest.mark.parametrize(
    ("options", "cost", "extra"),
    [
        ({}, 24, 20),
        ({"search": SEARCHES["halving"]}, 4 + 5 + 5, 10),  # 20 quarters of a training, and the best 5 whole
        ({"search": SEARCHES["tpe"]}, 4 + 11 / 4 + 2, 5),
        ({"search_seeds": 5}, 5 * 24, 20),  # each further rate takes five runs as well
        ({"ks": (1,), "weights": (1.0,)}, 5, 1),
    ],
)
def test_equal_budgets_give_plain_training_as_many_runs_as_the_jepa_setting_rests_on(
    options: dict, cost: float, extra: int
) -> None:
    plan = Plan(budget=Budget.equal, **options)
    assert plan.jepa_cost == cost
    assert len(plan.extra_rates) == extra
    assert not set(plan.extra_rates) & set(plan.learning_rates)


@pytest.mark.parametrize(
    ("rates", "count", "expected"),
    [
        ((1e-5, 4e-5), 3, (1e-5, 2e-5, 4e-5)),
        ((1e-5, 2e-5, 8e-5), 4, (1e-5, 2e-5, 4e-5, 8e-5)),  # the wider gap first
        ((1e-5, 2e-5, 4e-5), 4, (1e-5, 1.414e-5, 2e-5, 4e-5)),  # of equal gaps the lower
        ((1e-5, 8e-5), 4, (1e-5, 2e-5, 4e-5, 8e-5)),
        ((2e-5,), 3, (1.414e-5, 2e-5, 2.828e-5)),
        ((4e-5, 1e-5), 2, (1e-5, 4e-5)),
        ((1e-5, 4e-5), 1, (1e-5, 4e-5)),
    ],
)
def test_finer_learning_rates_keep_the_given_ones(rates: tuple[float, ...], count: int, expected: tuple[float, ...]) -> None:
    assert refined(rates, count) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "cells", "kept", "cost"),
    [("grid", 20, 20, 20.0), ("halving", 20, 5, 10.0), ("halving", 3, 1, 1.75), ("tpe", 11, 2, 4.75)],
)
def test_a_search_costs_its_short_and_its_whole_runs(name: str, cells: int, kept: int, cost: float) -> None:
    assert (SEARCHES[name].kept(cells), SEARCHES[name].cost(cells)) == (kept, cost)


def test_a_sampled_search_tries_as_many_cells_as_cost_a_quarter_of_the_grid() -> None:
    assert Plan(search=SEARCHES["tpe"]).sampled == 11  # 11 quarters and 2 whole: 4.75 of 5
    assert Plan(search=SEARCHES["tpe"], tried=6).sampled == 6
    assert Plan(search=SEARCHES["halving"]).sampled == 20


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"learning_rates": (0.0,)}, "--learning_rates has 0, but its values are above 0"),
        ({"learning_rates": (float("nan"),)}, "--learning_rates has nan"),
        ({"weights": (1.0, 1.0)}, "--weights is .* each once"),
        ({"weights": ()}, "--weights is .* at least one"),
        ({"ks": (-1,)}, "--ks has -1, but its values are at least 0"),
        ({"seeds": (1, 1)}, "--seeds is"),
        ({"search_seeds": 6}, "--search_seeds is 6, but it is 1 to 5"),
        ({"search_seeds": 0}, "--search_seeds is 0"),
        ({"tried": 3}, "--trials is 3, .* for `--search tpe`"),
        ({"tried": 21, "search": SEARCHES["tpe"]}, "--trials is 21, but it is 1 to 20"),
    ],
)
def test_what_cannot_be_planned_is_refused(options: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Plan(**options)
