from collections.abc import Sequence
from pathlib import Path

from llm_jepa.experiments.results.collected import Results, RunSummary
from llm_jepa.experiments.results.costs import at_equal_compute, spendings


def _run(arm: str, seed: int, metrics: Sequence[dict[str, float]], *, flops: float | None = None) -> RunSummary:
    found = Results(split="test", examples=10, accuracy=0.5, flops=flops)
    return RunSummary(folder=Path(arm), arm=arm, seed=seed, results=found, metrics=tuple(metrics))


def _curve(*points: tuple[float, float]) -> list[dict[str, float]]:
    return [{"flops": flops, "eval_accuracy": accuracy} for flops, accuracy in points]


def test_scores_stand_at_the_operations_logged_last() -> None:
    lines = [{"flops": 1e15}, {"eval_accuracy": 0.2}, {"flops": 2e15, "eval_accuracy": 0.4}]
    (found,) = spendings([_run("plain", 1, lines)])
    assert found.curves == (((1.0, 20.0), (2.0, 40.0)),)


def test_seeds_share_the_mean_of_their_operations() -> None:
    runs = [_run("plain", 1, _curve((1e15, 0.2), (2e15, 0.4))), _run("plain", 2, _curve((3e15, 0.3)))]
    (found,) = spendings(runs)
    assert found.curves == (((2.0, 20.0), (2.0, 40.0)), ((2.0, 30.0),))


def test_final_scores_stand_in_only_where_no_run_was_scored_on_the_way() -> None:
    ends = [_run("plain", 1, [], flops=3e15), _run("jepa", 1, [], flops=None)]
    assert [(each.arm, each.curves) for each in spendings(ends)] == [("plain", (((3.0, 50.0),),))]
    assert at_equal_compute(spendings(ends)) == []
    mixed = [*ends, _run("jepa", 2, _curve((1e15, 0.1)))]
    assert [each.arm for each in spendings(mixed)] == ["jepa"]


def test_a_level_shows_the_last_score_within_it_and_nothing_after_the_end() -> None:
    runs = [
        _run("plain", 1, _curve((1e15, 0.2), (2e15, 0.4))),
        _run("plain", 2, _curve((1e15, 0.3), (2e15, 0.5))),
        _run("jepa", 1, _curve((2e15, 0.3), (4e15, 0.6))),
    ]
    assert at_equal_compute(spendings(runs)) == [
        (1.0, ["25.0 ± 7.1", "–"]),
        (2.0, ["45.0 ± 7.1", "30.0"]),
        (3.0, ["–", "30.0"]),
        (4.0, ["–", "60.0"]),
    ]
