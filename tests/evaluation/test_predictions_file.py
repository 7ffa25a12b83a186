"""The file of predictions: what a line must hold, and how a bad one is told."""

from pathlib import Path

import pytest

from llm_jepa.errors import UserError
from llm_jepa.evaluation.evaluate import read_predictions
from llm_jepa.records import Prediction

GOOD = '{"name": "a", "prompt": "p", "expected": "e", "generated": "g", "stopped": true, "tokens": 2}'
NO_JSON = ["", GOOD[:-4], "\udcff"]  # the last is a byte that is no UTF-8
LIKELY = GOOD[:-1] + ', "likelihoods": {"letter A": -0.5, "letter B": -1.25}}'
WRONG_KINDS = [('"p"', "1"), ("true", "1"), ("2", "true"), ("2", "2.0"), ('"name": "a", ', ""), ("{", '{"extra": 1, ')]
NO_PREDICTION = ["[1]", "null", *[GOOD.replace(old, new) for old, new in WRONG_KINDS]]
WRONG_LIKELIHOODS = [
    LIKELY.replace(old, new) for old, new in (("-0.5", '"-0.5"'), ("-0.5", "true"), ('{"letter', '[{"letter'))
]
WRONG_LIKELIHOODS[-1] = WRONG_LIKELIHOODS[-1].replace("}}", "}]}")


@pytest.mark.parametrize("line", [*NO_JSON, *NO_PREDICTION])
def test_a_line_that_is_no_prediction_is_named_with_its_number(tmp_path: Path, line: str):
    path = tmp_path / "p.jsonl"
    path.write_bytes(f"{GOOD}\n{line}\n{GOOD}\n".encode("utf-8", "surrogateescape"))
    reason = "no JSON object" if line in NO_JSON else "no prediction"
    with pytest.raises(UserError, match=f"^{path}:2: {reason}"):
        read_predictions(path)


@pytest.mark.parametrize("line", WRONG_LIKELIHOODS)
def test_likelihoods_are_numbers_by_name(tmp_path: Path, line: str):
    path = tmp_path / "p.jsonl"
    path.write_text(f"{line}\n")
    with pytest.raises(UserError, match=f"^{path}:1: 'likelihoods' gives each choice's log-likelihood by its name; remove"):
        read_predictions(path)


def test_likelihoods_are_read_and_lines_without_have_none(tmp_path: Path):
    path = tmp_path / "p.jsonl"
    path.write_text(f"{LIKELY}\n{GOOD}\n")
    assert [each.likelihoods for each in read_predictions(path)] == [{"letter A": -0.5, "letter B": -1.25}, {}]


def test_a_reader_accepts_an_empty_file_and_a_missing_last_line_feed(tmp_path: Path):
    path = tmp_path / "p.jsonl"
    path.write_text("")
    assert read_predictions(path) == []
    path.write_text(f"{GOOD}\n{GOOD}")
    expected = Prediction(name="a", prompt="p", expected="e", generated="g", stopped=True, tokens=2)
    assert read_predictions(path) == [expected, expected]


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path):
    with pytest.raises(UserError, match=r"none.jsonl: no such file; run the evaluation"):
        read_predictions(tmp_path / "none.jsonl")
