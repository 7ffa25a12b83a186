"""The fuzzer in short: a few hundred inputs of a fixed seed, and that it finds what breaks the rule."""

from pathlib import Path

import pytest

from benchmarks import fuzz
from llm_jepa.errors import UserError

INPUTS = 320


def test_mutated_inputs_are_read_or_refused_with_a_sentence(tmp_path: Path) -> None:
    report = fuzz.fuzz(iter(range(INPUTS)), seed=1, folder=tmp_path)
    assert report.findings == []
    assert report.inputs == INPUTS
    assert {outcome for _, outcome in report.outcomes} == {"read", "refused"}


@pytest.mark.parametrize("name", fuzz.SOURCES)
def test_what_is_mutated_is_valid(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(fuzz.SOURCES[name]())
    fuzz.read(tmp_path / name)


@pytest.mark.parametrize(
    ("error", "finding"),
    [
        (ValueError("a fault of the program"), "a fault of the program"),
        (SystemExit(2), "SystemExit"),
        (UserError("two\nlines"), "no sentence"),
    ],
)
def test_anything_but_a_sentence_is_a_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, finding: str
) -> None:
    def broken(path: Path) -> None:
        del path
        raise error

    monkeypatch.setattr(fuzz, "read", broken)
    report = fuzz.fuzz(iter([8]), seed=0, folder=tmp_path)
    assert len(report.findings) == 1
    assert report.findings[0].startswith("input 8, rows.jsonl: ")
    assert finding in report.findings[0]


def test_the_same_seed_and_number_give_the_same_input(tmp_path: Path) -> None:
    found: list[bytes] = []
    for _ in range(2):
        fuzz.fuzz(iter([6]), seed=5, folder=tmp_path)
        found.append((tmp_path / "config.yaml").read_bytes())
    assert found[0] == found[1] != fuzz.SOURCES["config.yaml"]()


def test_the_command_counts_and_succeeds(capsys: pytest.CaptureFixture[str]) -> None:
    assert fuzz.main(["--inputs", "8", "--seed", "3"]) == 0
    assert capsys.readouterr().out.endswith("8 inputs, 0 findings\n")
