"""An evaluation killed by the system (SIGKILL, no chance to tidy up) ends with the bytes of an undisturbed one."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.experiments.small_runs import write_base, write_rows
from tests.experiments.small_tasks import ending_row, write_lines

from llm_jepa.evaluation.evaluate import PREDICTIONS
from llm_jepa.experiments.evaluation_folder import RESULT

COUNT = 120
COMMANDS = {
    "generated": ["base", "rows.jsonl", "--max_new_tokens", "24", "--batch_size", "2"],
    "chosen": ["base", "hellaswag", "--folder", ".", "--batch_size", "2"],
}


def start(folder: Path, arguments: list[str]) -> subprocess.Popen[bytes]:
    """Start the command; one thread, so that rounding is the same each time."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "llm_jepa", "evaluate", *arguments]
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def finish(folder: Path, arguments: list[str]) -> None:
    process = start(folder, arguments)
    _, told = process.communicate(timeout=300)
    assert process.returncode == 0, told.decode()


def kill_after_some_lines(folder: Path, arguments: list[str], path: Path) -> None:
    """Start the command and kill it as soon as the file has a few lines."""
    process = start(folder, arguments)
    end = time.monotonic() + 300
    while time.monotonic() < end and process.poll() is None:
        if path.exists() and path.read_bytes().count(b"\n") >= 4:
            break
        time.sleep(0.001)
    process.kill()
    process.communicate()


@pytest.mark.slow
@pytest.mark.parametrize("kind", COMMANDS)
def test_a_killed_process_goes_on_and_ends_with_the_same_bytes(kind: str, tmp_path: Path) -> None:
    write_base(tmp_path / "base")
    words = ["lines", "with", "a", "number", "or", "the", "word", "dog", "before", "every", "vowel"]
    rows = [{"text": " ".join(words[: 1 + number % 11] * (1 + number % 3)), "code": "dog"} for number in range(COUNT)]
    write_rows(tmp_path / "rows.jsonl", rows)
    write_lines(tmp_path / "hellaswag_test.jsonl", [ending_row(number, words=1 + number % 9) for number in range(COUNT)])
    finish(tmp_path, [*COMMANDS[kind], "--output", "straight"])
    killed = [*COMMANDS[kind], "--output", "killed"]
    kill_after_some_lines(tmp_path, killed, tmp_path / "killed" / PREDICTIONS)
    left = (tmp_path / "killed" / PREDICTIONS).read_bytes()
    assert 4 <= left.count(b"\n") < COUNT
    assert not (tmp_path / "killed" / RESULT).exists()
    finish(tmp_path, killed)
    for name in (PREDICTIONS, RESULT):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "straight" / name).read_bytes()
