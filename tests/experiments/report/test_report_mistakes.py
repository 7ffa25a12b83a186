"""What is left out of a report, and what ends it."""

import re
from pathlib import Path

import pytest
from tests.experiments.sample_runs import results, write_config, write_environment, write_run

from llm_jepa.errors import UserError
from llm_jepa.experiments.report.writing import write_report


def test_runs_that_did_not_finish_are_said(tmp_path: Path) -> None:
    write_run(tmp_path, results("plain", 82, 0.5))
    folder = write_run(tmp_path, results("jepa", 82, 0.5), metrics=[{"step": 1}])
    write_config(folder, "jepa", 82, weight=1.0, k=1)
    (folder / "results.json").unlink()
    page = write_report(tmp_path, title="t").read_text(encoding="utf-8")
    assert "Not shown: 1 run that did not finish" in page


def test_other_training_rows_are_said_and_other_test_rows_refused(tmp_path: Path) -> None:
    for arm in ("plain", "jepa"):
        write_environment(write_run(tmp_path, results(arm, 82, 0.5)), train=arm)
    page = write_report(tmp_path, title="t").read_text(encoding="utf-8")
    assert "Not all runs were trained on the same rows: &#39;plain&#39;; on others &#39;jepa&#39;." in page
    write_environment(write_run(tmp_path, results("other", 82, 0.5)), test="cc")
    with pytest.raises(UserError, match=r"others than those of .* by the checksums in environment"):
        write_report(tmp_path, title="t")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.yaml", "a: ["),
        ("config.yaml", "text"),
        ("environment.json", "{"),
        ("analysis.json", "[]"),
        ("analysis.json", '{"singular_values": ["high"]}'),
        ("analysis.json", '{"tsne": {"text": [[1]]}}'),
        ("samples.jsonl", '{"name": 1}\n'),
        ("verdicts.jsonl", "{\n"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, name: str, content: str) -> None:
    write_run(tmp_path, results("plain", 82, 0.5))
    folder = write_run(tmp_path, results("jepa", 82, 0.5))
    (folder / name).write_text(content)
    with pytest.raises(UserError, match=re.escape(str(folder / name))):
        write_report(tmp_path, title="t")


def test_a_report_cannot_be_written_where_a_file_lies(tmp_path: Path) -> None:
    write_run(tmp_path, results("plain", 82, 0.5))
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="is no folder and cannot become one"):
        write_report(tmp_path, title="t", output=tmp_path / "file")
