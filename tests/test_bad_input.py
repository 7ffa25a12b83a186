"""Every mistake of the corpus: exit code 2, one sentence on the standard error, no traceback, nothing half-written."""

import hashlib
import re
import shlex
from pathlib import Path

import pytest
import yaml

from llm_jepa.cli import main
from tests.corpus.case import Case
from tests.corpus.commands import COMMANDS
from tests.corpus.configs import CONFIGS
from tests.corpus.data import DATA
from tests.corpus.models import MODELS
from tests.corpus.runs import RUNS

CORPUS: dict[str, Case] = {
    f"{topic}: {name}": case
    for topic, cases in (
        ("data", DATA),
        ("config", CONFIGS),
        ("model", MODELS),
        ("run", RUNS),
        ("command", COMMANDS),
    )
    for name, case in cases.items()
}
SENTENCES: dict[str, str] = yaml.safe_load((Path(__file__).parent / "corpus" / "sentences.yaml").read_text(encoding="utf-8"))
"""The whole answer to every mistake; `…` stands for words of a library, which differ by version."""

PROGRESS = re.compile(r"reading .*|loading .*|generating .*|continuing from .*|there is no chat template.*|\s*")
"""What a command tells while it works; anything else on the standard error is the answer."""


def contents(folder: Path) -> dict[str, str]:
    """Return a checksum of every file below a folder, and a mark for every folder, by path."""
    found: dict[str, str] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            found[path.relative_to(folder).as_posix()] = hashlib.sha256(path.read_bytes()).hexdigest()
        else:
            found[path.relative_to(folder).as_posix()] = "folder"
    return found


@pytest.mark.parametrize("name", CORPUS)
@pytest.mark.filterwarnings("ignore")  # libraries warn of the damage before they refuse it
def test_a_mistake_of_the_corpus_is_answered_by_its_sentence(
    here: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    case = CORPUS[name]
    for step in case.steps:
        step(here)
    before = contents(here)
    capsys.readouterr()
    assert main(shlex.split(case.command)) == 2
    shown = capsys.readouterr()
    assert "Traceback" not in shown.err
    assert shown.out == ""
    answers = [line for line in shown.err.splitlines() if not PROGRESS.fullmatch(line)]
    assert len(answers) == 1, shown.err
    pattern = re.escape(f"error: {SENTENCES[name]}").replace("…", ".+")
    assert re.fullmatch(pattern, answers[0].rstrip()), answers[0]
    after = contents(here)
    written = {path for path in after if after[path] != before.get(path)}
    assert {path for path in written if path not in case.leaves} == set()
    assert before.keys() - after.keys() == set()


def test_the_corpus_is_large_and_every_mistake_has_its_sentence() -> None:
    assert len(CORPUS) >= 350
    assert SENTENCES.keys() == CORPUS.keys()
    assert not [name for name, sentence in SENTENCES.items() if len(sentence.replace("…", "")) < 20]
