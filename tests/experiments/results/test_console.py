from pathlib import Path

from rich.console import Console
from tests.experiments.sample_runs import results, write_run, write_sweep

from llm_jepa.experiments.results.collected import read_runs
from llm_jepa.experiments.results.console import tell


def _printed(root: Path, width: int = 120) -> str:
    console = Console(width=width, record=True, file=(root / "out").open("w"), color_system=None)
    tell(read_runs(root), console)
    console.file.close()
    return console.export_text()


def test_arms_measures_and_tests_are_printed(tmp_path: Path) -> None:
    text = _printed(write_sweep(tmp_path))
    assert "plain" in text
    assert "Cosine, shuffled" in text
    assert "jepa over shuffled: +" in text
    assert "(5 seeds, Holm over 4)" in text


def test_many_arms_are_told_in_tables_whose_numbers_are_whole(tmp_path: Path) -> None:
    for arm in ("plain", "jepa", "shuffled", "weight 1", "weight 10", "loss dropout 0.75", "plain, official labels"):
        for seed, accuracy in ((82, 0.5), (23, 0.25)):
            write_run(tmp_path, results(arm, seed, accuracy, stop_rate=0.9))
    text, whole = _printed(tmp_path, width=80), _printed(tmp_path, width=400)
    assert "…" not in text
    assert text.count("Stop rate") > whole.count("Stop rate") == 1
    assert text.count("90.0 ± 0.0") == whole.count("90.0 ± 0.0") == 7


def test_one_seed_has_no_deviation_and_no_p(tmp_path: Path) -> None:
    text = _printed(write_sweep(tmp_path, arms=("plain", "jepa"), seeds=(82,)))
    assert "1 seed" in text
    text = " ".join(text.split())
    assert "one seed: no test is possible" in text
    assert "p =" not in text
    assert "± " not in text.replace("Mean ± sample standard deviation over seeds", "")


def test_an_arm_named_like_markup_is_shown_as_it_is(tmp_path: Path) -> None:
    write_run(tmp_path, results("[red]plain[/]", 82, 0.5))
    text = _printed(tmp_path)
    assert "[red]plain[/]" in text
    assert "Cosine" not in text


def test_a_measure_that_some_seeds_lack_says_so(tmp_path: Path) -> None:
    write_run(tmp_path, results("plain", 1, 0.5, stop_rate=0.9))
    write_run(tmp_path, results("plain", 2, 0.5))
    assert "90.0 (1 of 2 seeds)" in _printed(tmp_path)


def test_no_negative_zero_is_printed(tmp_path: Path) -> None:
    write_run(tmp_path, results("plain", 1, 0.5, cosine_gap=-0.0001))
    assert "−0.000" not in _printed(tmp_path)
