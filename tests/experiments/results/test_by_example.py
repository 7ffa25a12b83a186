import json
from pathlib import Path

import pytest
from tests.experiments.sample_runs import results, write_run, write_verdicts

from llm_jepa.errors import UserError
from llm_jepa.experiments.results.by_example import Duel, duels
from llm_jepa.experiments.results.collected import compare_runs, read_runs


def _rows(right: str) -> list[dict]:
    """Predictions that are right where the text has a 1."""
    row = {"prompt": "p", "expected": "a", "stopped": True, "tokens": 1}
    return [row | {"name": f"t:{i}", "generated": "a" if sign == "1" else "b"} for i, sign in enumerate(right)]


def _duels(root: Path) -> tuple[Duel, ...]:
    runs = read_runs(root)
    return duels(runs, compare_runs(runs)[0])


def _write(root: Path, right: dict[str, dict[int, str]], *, verdicts: bool = False) -> None:
    for arm, seeds in right.items():
        for seed, signs in seeds.items():
            accuracy = 0.123 if verdicts else signs.count("1") / len(signs)
            folder = write_run(root, results(arm, seed, accuracy), predictions=_rows(signs))
            if verdicts:
                write_verdicts(folder, _rows(signs))


def test_each_seed_has_its_counts_and_a_corrected_p(tmp_path: Path) -> None:
    _write(tmp_path, {"plain": {1: "1100" * 5, 2: "1000" * 5}, "jepa": {1: "1111" * 5, 2: "1001" * 5}})
    first, second = _duels(tmp_path)
    assert (first.seed, first.examples, first.only_treatment, first.only_control) == (1, 20, 10, 0)
    assert first.p == pytest.approx(2 * 2 * 0.5**10)
    assert second.p == pytest.approx(2 * 0.5**5)
    assert first.cells == ("1", "20", "10", "0", "+50.0 [+30.0, +70.0]", "p = 0.0039 (20 examples, Holm over 2)")


def test_models_that_never_differ_have_no_p(tmp_path: Path) -> None:
    _write(tmp_path, {"plain": {1: "1100"}, "jepa": {1: "1100"}})
    (found,) = _duels(tmp_path)
    assert found.cells[-1] == "no example differs"


def test_verdicts_of_the_scorer_come_before_equality_of_text(tmp_path: Path) -> None:
    _write(tmp_path, {"plain": {1: "1100"}, "jepa": {1: "1110"}}, verdicts=True)
    (found,) = _duels(tmp_path)
    assert (found.only_treatment, found.only_control) == (1, 0)


def test_without_verdicts_a_lenient_measure_is_not_compared(tmp_path: Path) -> None:
    write_run(tmp_path, results("plain", 1, 0.9), predictions=_rows("1100"))
    write_run(tmp_path, results("jepa", 1, 0.75), predictions=_rows("1110"))
    assert _duels(tmp_path) == ()


def test_examples_that_only_one_run_counts_are_left_out(tmp_path: Path) -> None:
    _write(tmp_path, {"plain": {1: "1100"}, "jepa": {1: "1110"}}, verdicts=True)
    path = tmp_path / "jepa" / "seed-1" / "verdicts.jsonl"
    path.write_text(path.read_text().replace('"t:2", "exact": 1.0', '"t:2", "exact": null'))
    (found,) = _duels(tmp_path)
    assert (found.examples, found.only_treatment) == (3, 0)


def test_a_measure_with_values_between_is_not_compared(tmp_path: Path) -> None:
    _write(tmp_path, {"plain": {1: "1100"}, "jepa": {1: "1110"}}, verdicts=True)
    path = tmp_path / "jepa" / "seed-1" / "verdicts.jsonl"
    path.write_text(path.read_text().replace("1.0", "0.5", 1))
    assert _duels(tmp_path) == ()


@pytest.mark.parametrize("line", [{"name": "t:1"}, {"name": 3, "exact": 1.0}, {"name": "t:1", "exact": True}])
def test_a_damaged_verdict_is_named_with_its_line(tmp_path: Path, line: dict) -> None:
    _write(tmp_path, {"plain": {1: "1100"}, "jepa": {1: "1110"}}, verdicts=True)
    with (tmp_path / "jepa" / "seed-1" / "verdicts.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")
    with pytest.raises(UserError, match=r"verdicts\.jsonl:5: a verdict has 'name'"):
        _duels(tmp_path)
