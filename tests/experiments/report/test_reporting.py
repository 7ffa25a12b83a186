from pathlib import Path

import pytest
from tests.experiments.sample_runs import results, write_run, write_sweep

from llm_jepa.cli import main


def test_the_verb_writes_the_page_and_prints_the_verdict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_sweep(tmp_path, arms=("plain", "jepa"), seeds=(1, 2))
    assert main(["report", str(tmp_path), "--title", "Mine", "--output", str(tmp_path / "out")]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "JEPA with weight 0.05 scored" in said
    assert "the page:" in said
    assert "<h1>Mine</h1>" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "there is no folder 'nowhere'"),
        (["."], "no results.json in it or below it"),
        (["broken"], "results.json: no JSON"),
        (["tasks"], "compare runs of one task"),
        ([], "runs is missing"),
        (["good", "--colour", "red"], "--colour"),
    ],
)
def test_a_mistake_is_one_sentence(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    if arguments != ["."]:
        write_run(tmp_path / "good", results("plain", 1, 0.5))
        (write_run(tmp_path / "broken", results("plain", 1, 0.5)) / "results.json").write_text("{")
        write_run(tmp_path / "tasks", results("plain", 1, 0.5))
        titles = {"accuracy": "Accuracy"}
        write_run(tmp_path / "tasks", results("jepa", 1, 0.5) | {"measure": "accuracy", "titles": titles, "accuracy": 0.5})
    monkeypatch.chdir(tmp_path)
    assert main(["report", *arguments]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert message in said


def _two_measures(root: Path) -> None:
    titles = {"exact": "exact match", "prefix": "prefix match"}
    for arm, shares in (("plain", (0.2, 0.3, 0.25)), ("jepa", (0.35, 0.42, 0.36))):
        for seed, share in enumerate(shares):
            more = {"titles": titles, "measure": "exact", "prefix": share, "accuracy": 0.0}
            metrics = [{"epoch": 1.0, "flops": 1e12, "eval_accuracy": 0.0}]
            write_run(root, results(arm, seed, 0.0) | more, metrics=metrics)


def test_runs_are_compared_by_another_of_their_measures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _two_measures(tmp_path)
    assert main(["report", str(tmp_path), "--measure", "prefix"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "scored 37.7 % against 25.0 % for plain training" in said
    page = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "Compared by prefix match, as asked for with --measure." in page
    assert "| Prefix match (%) | 25.0 ± 5.0 | 37.7 ± 3.8 |" in page
    assert "| Exact match (%) | 0.0 ± 0.0 | 0.0 ± 0.0 |" in page
    assert "by epoch" not in page

    assert main(["report", str(tmp_path)]) == 0
    page = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "--measure" not in page
    assert "exact match by epoch" in page


def test_a_measure_that_runs_were_not_scored_by_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _two_measures(tmp_path)
    assert main(["report", str(tmp_path), "--measure", "prefx"]) == 2
    said = capsys.readouterr().err
    assert "not scored by 'prefx'; did you mean 'prefix'?; --measure takes exact, prefix" in said
    assert said.count("\n") == 1
