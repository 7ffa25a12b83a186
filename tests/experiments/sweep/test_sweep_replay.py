"""Replays of a finished grid: what each search reaches, and how grids are read from run folders."""

import json
from pathlib import Path

import pytest
from tests.experiments.sample_runs import results, write_config, write_run

from llm_jepa.errors import UserError
from llm_jepa.experiments.sweep.replay import COMPARED, Grid, read_grid, replay

KS, WEIGHTS, EPOCHS = (0, 1, 2, 3, 4), (0.5, 1.0, 2.0, 4.0), (1.0, 2.0, 3.0, 4.0)


def smooth(*epochs: float) -> Grid:
    """Accuracy grows with k and weight, and with the epochs; the order of the cells is the same after each."""
    return Grid(
        {(k, w, e): 0.4 + 0.02 * k + 0.03 * WEIGHTS.index(w) + 0.05 * e for k in KS for w in WEIGHTS for e in epochs}
    )


def flat() -> Grid:
    return Grid({(k, w, e): 0.5 for k in KS for w in WEIGHTS for e in EPOCHS})


def test_every_search_keeps_to_a_quarter_of_the_cost() -> None:
    found = replay(smooth(*EPOCHS), orders=2)
    assert [(item.tried, item.cost) for item in found] == [(5, 0.25), (5, 0.25), (11, 4.75 / 20), (11, 4.75 / 20)]


def test_where_all_cells_are_equal_every_search_reaches_all() -> None:
    assert {(item.reached, item.worst, item.hit) for item in replay(flat(), orders=5)} == {(1.0, 1.0, 1.0)}


def test_with_the_whole_cost_whole_runs_find_the_best() -> None:
    assert replay(smooth(4.0), share=1.0, orders=5)[0].hit == 1.0


def test_random_cells_find_the_best_as_often_as_chance_says() -> None:
    only = {name: COMPARED[name] for name in ["random cells"]}
    (found,) = replay(smooth(*EPOCHS), orders=2000, searches=only)
    assert found.hit == pytest.approx(0.25, abs=0.04)  # 5 of 20 cells


def test_short_runs_that_rank_alike_find_the_best_as_often_as_they_see_it() -> None:
    only = {name: search for name, search in COMPARED.items() if search.first and not search.sampled}
    (found,) = replay(smooth(*EPOCHS), orders=1000, searches=only)
    assert found.hit == pytest.approx(11 / 20, abs=0.06)


def test_following_the_scores_beats_chance_on_a_smooth_grid() -> None:
    random_cells, by_tpe, short, tpe_short = replay(smooth(*EPOCHS), orders=40)
    assert by_tpe.reached > random_cells.reached
    assert tpe_short.reached >= short.reached
    assert random_cells.worst <= random_cells.reached <= 1


def test_the_same_seed_gives_the_same_figures_and_another_one_others() -> None:
    grid = smooth(*EPOCHS)
    assert replay(grid, orders=4) == replay(grid, orders=4)
    assert replay(grid, orders=4) != replay(grid, orders=4, seed=1)


def test_without_scores_after_a_quarter_of_the_training_short_runs_are_left_out() -> None:
    assert [item.name for item in replay(smooth(2.0, 4.0), orders=2)] == ["random cells", "cells by TPE"]


def test_a_grid_with_holes_is_refused() -> None:
    whole = dict(smooth(*EPOCHS).accuracy)
    del whole[3, 2.0, 1.0]
    with pytest.raises(UserError, match="the grid has holes"):
        Grid(whole)


def write_cell(root: Path, k: int, weight: float, seed: int, *, rate: float = 2e-5, epochs: bool = True) -> None:
    last = 0.5 + 0.01 * k + 0.001 * (seed == 82)
    row = results("jepa", seed, 0.9, weight=weight, k=k, validation={"exact": last})
    lines = [{"step": e, "epoch": float(e), "eval_accuracy": last - 0.1 * (4 - e)} for e in (1, 2, 4)] if epochs else None
    folder = write_run(root / f"{k}-{weight}-{rate}", row, metrics=lines)
    write_config(folder, "jepa", seed, weight=weight, k=k, rate=rate)


def test_a_grid_is_read_as_means_over_seeds_on_the_validation_rows(tmp_path: Path) -> None:
    for k in (0, 1):
        for weight in (1.0, 2.0):
            for seed in (82, 23):
                write_cell(tmp_path, k, weight, seed)
    grid = read_grid(tmp_path)
    assert grid.cells == ((0, 1.0), (1, 1.0), (0, 2.0), (1, 2.0))
    assert grid.epochs == (1.0, 2.0, 4.0)
    assert grid.accuracy[1, 2.0, 4.0] == pytest.approx(0.5105)
    assert grid.accuracy[1, 2.0, 1.0] == pytest.approx(0.2105)


def test_runs_of_other_settings_and_of_the_chosen_cell_alone_take_no_part(tmp_path: Path) -> None:
    for k in (0, 1):
        write_cell(tmp_path, k, 1.0, 82)
    write_cell(tmp_path, 0, 1.0, 82, rate=8e-5)
    folder = write_run(tmp_path / "plain", results("plain", 82, 0.9, weight=0.0, k=0, validation={"exact": 0.9}))
    write_config(folder, "plain", 82, weight=0.0, k=0)
    assert read_grid(tmp_path).cells == ((0, 1.0), (1, 1.0))


def test_more_seeds_of_the_chosen_cell_leave_the_grid_whole(tmp_path: Path) -> None:
    for k in (0, 1):
        write_cell(tmp_path, k, 1.0, 82)
    write_cell(tmp_path, 1, 1.0, 23)
    grid = read_grid(tmp_path)
    assert grid.cells == ((0, 1.0), (1, 1.0))
    assert grid.accuracy[1, 1.0, 4.0] == pytest.approx(0.511)  # of the seed that all cells have


def test_without_runs_scored_on_validation_rows_there_is_no_grid(tmp_path: Path) -> None:
    folder = write_run(tmp_path, results("jepa", 82, 0.9, weight=1.0, k=1))
    (folder / "metrics.jsonl").write_text(json.dumps({"step": 1, "epoch": 1.0}) + "\n")
    with pytest.raises(UserError, match="no run of the arm 'jepa' has an accuracy on validation rows"):
        read_grid(tmp_path)
