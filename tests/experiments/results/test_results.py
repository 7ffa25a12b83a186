import json
import math
from pathlib import Path

import pytest
from tests.experiments.sample_runs import results, write_run, write_sweep

from llm_jepa.errors import UserError
from llm_jepa.experiments.results.collected import Results, arms, compare_runs, notes, read_runs, scored_on_test


def test_runs_are_read_in_the_order_of_arms_and_seeds(tmp_path: Path) -> None:
    runs = read_runs(write_sweep(tmp_path, seeds=(23, 4)))
    assert [(run.arm, run.seed) for run in runs] == [
        (arm, seed) for arm in ("plain", "jepa", "shuffled", "jepa weight 1") for seed in (4, 23)
    ]
    assert arms(runs) == ("plain", "jepa", "shuffled", "jepa weight 1")
    assert runs[0].folder == tmp_path / "plain" / "seed-4"
    assert runs[0].metrics[0]["step"] == 0
    assert "arm" not in runs[0].metrics[0]


def test_only_the_required_keys_are_needed(tmp_path: Path) -> None:
    write_run(tmp_path, results("plain", 82, 0.5, steps=3, validation={"exact": 0.4}))
    (run,) = read_runs(tmp_path)
    assert run.results == Results(split="test", examples=2000, accuracy=0.5, validation=0.4)
    assert run.metrics == ()


def test_null_and_not_finite_values_count_as_not_measured(tmp_path: Path) -> None:
    write_run(tmp_path, results("plain", 82, 0.5, effective_rank=math.nan, cosine_gap=None))
    (run,) = read_runs(tmp_path)
    assert (run.results.effective_rank, run.results.cosine_gap) == (None, None)


def test_no_runs_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no results\.json"):
        read_runs(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"arm": ""}, "'arm'"),
        ({"arm": "jepa\u202e"}, "'arm'"),
        ({"arm": 3}, "'arm'"),
        ({"seed": "82"}, "'seed'"),
        ({"seed": True}, "'seed'"),
        ({"split": None}, "'split'"),
        ({"examples": 0}, "'examples'"),
        ({"exact": None}, "'exact'"),
        ({"exact": math.nan}, "'exact'"),
        ({"exact": 53.1}, "'exact' is 53.1; it must be a share between 0 and 1"),
        ({"prefix": -0.1}, "'prefix'"),
        ({"effective_rank": "high"}, "'effective_rank' is 'high'; it must be a number"),
    ],
)
def test_wrong_values_are_named_with_their_file(tmp_path: Path, change: dict, message: str) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "results.json").write_text(json.dumps(results("plain", 82, 0.5) | change))
    with pytest.raises(UserError, match=message) as raised:
        read_runs(tmp_path)
    assert str(folder / "results.json") in str(raised.value)


@pytest.mark.parametrize("text", ["", "{", "[1]", "\x00", b"\xff\xfe".decode("latin-1")])
def test_a_broken_results_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "results.json").write_text(text, encoding="latin-1")
    with pytest.raises(UserError, match=r"results\.json: "):
        read_runs(tmp_path)


def test_a_broken_line_of_metrics_is_named_with_its_number(tmp_path: Path) -> None:
    folder = write_run(tmp_path, results("plain", 82, 0.5), metrics=[{"step": 1}, {"step": 2}])
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('\n{"step": 3, "lo')
    with pytest.raises(UserError, match=r"metrics\.jsonl:4: "):
        read_runs(tmp_path)


def test_the_same_arm_and_seed_twice_is_an_error(tmp_path: Path) -> None:
    write_run(tmp_path / "a", results("plain", 82, 0.5))
    write_run(tmp_path / "b", results("plain", 82, 0.6))
    with pytest.raises(UserError, match="are also in"):
        read_runs(tmp_path)


def test_scores_on_different_rows_are_not_compared(tmp_path: Path) -> None:
    write_run(tmp_path, results("plain", 82, 0.5))
    write_run(tmp_path, results("jepa", 82, 0.6, examples=200) | {"examples": 200})
    with pytest.raises(UserError, match="score both on the same rows"):
        read_runs(tmp_path)


def test_a_search_on_validation_rows_is_left_out(tmp_path: Path) -> None:
    write_run(tmp_path / "search", results("jepa", 82, 0.6) | {"split": "validation", "examples": 100})
    assert len(scored_on_test(read_runs(tmp_path))) == 1
    write_run(tmp_path, results("jepa", 82, 0.5))
    (run,) = scored_on_test(read_runs(tmp_path))
    assert run.results.accuracy == 0.5


def test_every_arm_is_compared_with_plain_and_jepa_with_shuffled(tmp_path: Path) -> None:
    found = compare_runs(read_runs(write_sweep(tmp_path)))
    assert [(item.treatment, item.control) for item in found] == [
        ("jepa", "plain"),
        ("shuffled", "plain"),
        ("jepa weight 1", "plain"),
        ("jepa", "shuffled"),
    ]
    assert {item.tests for item in found} == {4}


def test_seeds_without_partner_are_left_out_and_said(tmp_path: Path) -> None:
    for arm, seeds in (("plain", (4, 23, 37)), ("jepa", (23, 37, 99)), ("other", (1,))):
        for seed in seeds:
            write_run(tmp_path, results(arm, seed, 0.5 + seed / 1000 * (arm == "jepa")))
    runs = read_runs(tmp_path)
    (found,) = compare_runs(runs)
    assert found.seeds == (23, 37)
    assert notes(runs) == (
        "'plain' is compared with 'jepa' without seed 4, which only 'plain' has.",
        "'jepa' is compared with 'plain' without seed 99, which only 'jepa' has.",
        "'plain' is not compared with 'other': no seed in common.",
    )


def test_values_that_diverged_are_said(tmp_path: Path) -> None:
    write_run(tmp_path, results("plain", 82, 0.0), metrics=[{"step": 1, "loss": math.nan}, {"step": 2, "loss": math.inf}])
    assert notes(read_runs(tmp_path)) == ("'plain', seed 82: 2 logged values are not finite; the figures leave them out.",)
