"""The benchmarks run end to end; what they measure at this size means nothing."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from benchmarks.workload import QUICK, load

from llm_jepa.errors import UserError

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("bench") / "results.md"
    file.write_text("before\n", encoding="utf-8")
    command = [sys.executable, "-m", "benchmarks", "--quick", "--out", str(file), "--plot", str(file.with_suffix(".svg"))]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "MISSED" in done.stdout or "met" in done.stdout
    assert "LLM-JEPA" in file.with_suffix(".svg").read_text(encoding="utf-8")
    return file.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def record(written: str) -> dict[str, Any]:
    return json.loads(next(line for line in written.splitlines() if line.startswith("{")))


def test_results_are_appended_as_markdown_and_json(written: str) -> None:
    assert written.startswith("before\n## ")
    assert "| our NTP |" in written


def test_tokens_follow_from_the_layouts(record: dict[str, Any]) -> None:
    cost = {result["name"]: result["cost"] for result in record["results"]}
    ntp, one, four = (cost[name] for name in ("our NTP", "LLM-JEPA shared, k = 1", "LLM-JEPA shared, k = 4"))
    assert four["tokens"] - one["tokens"] == 3 * one["samples"]
    assert one["tokens"] > ntp["tokens"] == cost["plain Trainer"]["tokens"]
    assert cost["official, 3 x 512"]["positions"] == 1536
    assert cost["official, 2 x 512"]["positions"] == 1024
    assert ntp["logits"] < cost["plain Trainer"]["logits"] == cost["plain Trainer"]["positions"]


def test_loss_dropout_is_the_exact_mixture(record: dict[str, Any]) -> None:
    seconds = {result["name"]: result["seconds"][0] for result in record["results"]}
    full, half, most = (
        seconds[name]
        for name in (
            "LLM-JEPA shared, k = 1",
            "LLM-JEPA shared, dropout 0.5",
            "LLM-JEPA shared, dropout 0.75",
        )
    )
    assert most - half == pytest.approx((half - full) / 2)


def test_k_and_the_layout_show_in_tokens_and_operations(record: dict[str, Any]) -> None:
    cost = {result["name"]: result["cost"] for result in record["results"]}
    none, one = (cost[f"LLM-JEPA shared, k = {k}"] for k in (0, 1))
    assert one["tokens"] - none["tokens"] == one["samples"]
    assert cost["LLM-JEPA separate, framed"]["tokens"] > cost["LLM-JEPA separate, bare"]["tokens"] > one["tokens"]
    assert cost["plain Trainer"]["labels"] == cost["our NTP"]["labels"] == cost["our NTP"]["logits"]


def test_every_target_has_a_verdict(record: dict[str, Any]) -> None:
    assert len(record["verdicts"]) >= 8
    assert all(isinstance(verdict["met"], bool) for verdict in record["verdicts"])


def test_a_missing_tokenizer_is_told_in_one_sentence() -> None:
    with pytest.raises(UserError) as caught:
        load(size=QUICK, data=None, folder=Path("nowhere"), tokenizer=Path("no/such/folder"))
    assert str(caught.value) == "no/such/folder: no such folder; give one with a tokenizer.json"
