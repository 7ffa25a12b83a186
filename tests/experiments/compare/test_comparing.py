"""`llm-jepa compare`: arms and seeds into runs, runs into a tested table."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tests.experiments.small_runs import experiment, restored_logging, write_base, write_rows

from llm_jepa.errors import UserError
from llm_jepa.experiments.compare.comparing import compare
from llm_jepa.experiments.config import dump_experiment
from llm_jepa.model.load import ModelConfig


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Work in a folder with a tiny model, four rows and a config."""
    monkeypatch.chdir(tmp_path)
    write_rows(Path("rows.jsonl"))
    write_base(Path("base"))
    described = experiment(Path("runs"), Path("rows.jsonl"), ModelConfig(name="base"), max_steps=2, save_strategy="no")
    Path("mine.yaml").write_text(dump_experiment(described))
    with restored_logging():
        yield tmp_path


@pytest.mark.slow
def test_every_arm_is_trained_with_every_seed_and_tested(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = "{strong: {objective.weight: 2.0}}"
    given = ["mine.yaml", "--seeds", "1", "2", "--arms", more, "--evaluation.max_new_tokens", "2", "--workers", "1"]
    assert compare(given) == 0
    found = {
        path.parent.relative_to("runs").as_posix(): json.loads(path.read_text())
        for path in Path("runs").rglob("results.json")
    }
    assert {name: (row["arm"], row["seed"], row["weight"]) for name, row in found.items()} == {
        f"{folder}/seed-{seed}": (arm, seed, weight)
        for folder, arm, weight in (
            ("plain", "plain", 0.0),
            ("jepa", "jepa", 0.1),
            ("shuffled", "shuffled", 0.1),
            ("strong", "strong", 2.0),
        )
        for seed in (1, 2)
    }
    shuffled = yaml.safe_load(Path("runs/shuffled/seed-1/config.yaml").read_text())
    assert shuffled["data"]["shuffle_pairs"] is True
    shown = capsys.readouterr().out
    assert "Holm over" in shown or "undefined" in shown
    assert Path("runs/report.html").is_file()
    times = {path: path.stat().st_mtime_ns for path in Path("runs").rglob("results.json")}
    assert compare(given) == 0
    assert times == {path: path.stat().st_mtime_ns for path in Path("runs").rglob("results.json")}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--seeds", "1", "1"], "--seeds names 1 twice"),
        (["--seeds", "one"], "--seeds: no whole number: 'one'"),
        (["--only", "jep"], "there is no arm 'jep'; did you mean 'jepa'?"),
        (["--arms", "{jepa: {layout.k: 2}}"], "'jepa' twice"),
        (["--arms", "{a: {layout.q: 2}}"], "arm 'a': config: there is no field"),
        (["--objective.weight", "0"], "the arm 'jepa' would be plain training"),
        (["--data.test", "null"], "a comparison needs rows to score"),
        (["--objective.wight", "0"], "there is no field"),
    ],
)
def test_mistakes_are_one_sentence_and_nothing_is_written(options: list[str], message: str, here: Path) -> None:
    with pytest.raises(UserError) as caught:
        compare(["mine.yaml", *options])
    assert message in str(caught.value)
    assert not Path("runs").exists()


def children(process: int) -> set[int]:
    """Return the processes that another one began, from the kernel's table."""
    found: set[int] = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and parent_and_state(int(entry.name))[0] == process:
            found.add(int(entry.name))
    return found


def parent_and_state(process: int) -> tuple[int | None, str]:
    """Return the parent of a process and its state; nothing where it is gone."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None, "gone"
    return int(fields[1]), fields[0]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked up in /proc")
def test_killing_the_command_ends_its_workers_and_keeps_their_work(here: Path) -> None:
    described = experiment(Path("runs"), Path("rows.jsonl"), ModelConfig(name="base"), max_steps=10**6, logging_steps=1)
    Path("mine.yaml").write_text(dump_experiment(described))
    command = [sys.executable, "-m", "llm_jepa", "compare", "mine.yaml", "--only", "plain", "--seeds", "1", "--workers", "1"]
    run = Path("runs/plain/seed-1")
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as compared:
        until = time.monotonic() + 180
        while not (run / "metrics.jsonl").exists() and time.monotonic() < until:
            assert compared.poll() is None
            time.sleep(0.1)
        begun = children(compared.pid)
        os.kill(compared.pid, signal.SIGKILL)
    assert len(begun) >= 2
    until = time.monotonic() + 30
    while time.monotonic() < until and any(parent_and_state(child)[1] not in ("gone", "Z") for child in begun):
        time.sleep(0.1)
    assert {parent_and_state(child)[1] for child in begun} <= {"gone", "Z"}
    assert [*run.glob("checkpoints/checkpoint-*")]
