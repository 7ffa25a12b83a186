"""The command line from outside: help, exit codes, one sentence for a mistake, and a whole round."""

import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from llm_jepa import cli
from llm_jepa.cli import main
from llm_jepa.experiments.config import dump_experiment
from llm_jepa.experiments.experiment import Data, Experiment
from llm_jepa.model.load import LoRA, ModelConfig
from tests.experiments.small_runs import restored_logging, write_base, write_rows

VERBS = tuple(cli.VERBS)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Work in an empty folder, and put back what the commands set for the whole process."""
    monkeypatch.chdir(tmp_path)
    with restored_logging():
        yield tmp_path


def test_help_lists_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert re.findall(r"^  (\w+) +\w", shown, flags=re.MULTILINE) == list(VERBS)


def test_no_verb_shows_the_help_and_fails(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "usage: llm-jepa VERB" in capsys.readouterr().out


def test_help_is_quick_because_it_loads_nothing_heavy() -> None:
    code = "import sys; from llm_jepa.cli import main; main(['--help']); print({'torch', 'transformers'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout.endswith("set()\n")


def test_the_version_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert re.fullmatch(r"llm-jepa \d+\.\d+\.\d+\S*\n", capsys.readouterr().out)


@pytest.mark.parametrize("flag", ["--help", "-h"])
@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(verb: str, flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code = main([verb, flag])
    except SystemExit as ended:  # argparse's own way to end after a help text
        code = ended.code
    assert code == 0
    shown = capsys.readouterr()
    assert f"usage: llm-jepa {verb}" in shown.out
    assert not re.search(r"0x[0-9a-f]{6}", shown.out)  # the address of an object is no explanation
    assert not shown.err


@pytest.mark.parametrize(("verb", "most"), [("evaluate", 9), ("export", 4)])
def test_a_verb_has_few_options(verb: str, most: int, capsys: pytest.CaptureFixture[str]) -> None:
    main([verb, "--help"])
    options = set(re.findall(r"^  (--\w+)", capsys.readouterr().out, flags=re.MULTILINE))
    assert (
        options
        == {
            "evaluate": {
                *("--output", "--limit", "--split", "--folder", "--max_new_tokens", "--batch_size"),
                *("--scorer", "--backend", "--trust_code"),
            },
            "export": {"--checkpoint", "--overwrite", "--adapter", "--trust_code"},
        }[verb]
    )
    assert len(options) == most


def prepare(folder: Path) -> None:
    """Write what the mistakes are made with: data, a model, and a run that has not come far."""
    write_rows(folder / "rows.jsonl")
    (folder / "torn.jsonl").write_text('{"text": "a", "code"')
    write_base(folder / "model")
    (folder / "run").mkdir()
    described = Experiment(output="run", model=ModelConfig(name="model", lora=LoRA()), data=Data(train="rows.jsonl"))
    (folder / "run" / "config.yaml").write_text(dump_experiment(described))


MISTAKES = {
    "unknown verb": ("evalute", "unknown command 'evalute'; did you mean 'evaluate'?"),
    "evaluate nothing": ("evaluate", "model, data are missing"),
    "evaluate on nothing": ("evaluate model", "data is missing"),
    "no such model": ("evaluate ./nowhere rows.jsonl", "there is nothing at './nowhere'"),
    "no such hub model": ("evaluate some/model rows.jsonl", "check the name and the network"),
    "no such GGUF": ("evaluate nowhere.gguf rows.jsonl", "there is nothing at 'nowhere.gguf'"),
    "unfinished run": ("evaluate run rows.jsonl", "not finished and has no model yet; give its train command again"),
    "no such data": ("evaluate model nowhere.jsonl", "no such file"),
    "torn data": ("evaluate model torn.jsonl", "torn.jsonl:1: not valid JSON"),
    "a split of a file": ("evaluate model rows.jsonl --split x", "leave it out"),
    "too few": ("evaluate model rows.jsonl --limit 0", "'0' is no whole number of at least 1"),
    "no number": ("evaluate model rows.jsonl --batch_size x", "'x' is no whole number of at least 1"),
    "too many tokens": ("evaluate model rows.jsonl --max_new_tokens 9999", "lower max_new_tokens"),
    "an option too much": ("evaluate model rows.jsonl --seed 3", "unrecognized arguments: --seed"),
    "an option cut short": ("evaluate model rows.jsonl --lim 3", "unrecognized arguments: --lim"),
    "an option without value": ("evaluate model rows.jsonl --limit", "--limit: expected one argument"),
    "foreign output": ("evaluate model rows.jsonl --output model", "not empty and holds no evaluation"),
    "export nothing": ("export", "run, folder are missing"),
    "export nowhere": ("export run", "folder is missing"),
    "no such run": ("export nowhere out", "there is no folder 'nowhere'"),
    "no run": ("export model out", "holds no run (no config.yaml)"),
    "no checkpoint": ("export run out", "no checkpoint yet; give its train command again"),
    "no such checkpoint": ("export run out --checkpoint 5", "no whole checkpoint of step 5; there are: none"),
    "onto the run": ("export run run --overwrite", "is part of the run or holds it"),
    "onto what is no model": ("export run other --overwrite", "something else than a model"),
    "export option": ("export run out --merge", "unrecognized arguments: --merge"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_sentence_and_exit_code_2(here: Path, mistake: str, capsys: pytest.CaptureFixture[str]) -> None:
    prepare(here)
    (here / "other").mkdir()
    (here / "other" / "notes.txt").write_text("mine")
    command, sentence = MISTAKES[mistake]
    capsys.readouterr()
    assert main(command.split()) == 2
    shown = capsys.readouterr()
    assert not shown.out
    *progress, error = [line for line in shown.err.splitlines() if line.strip()]
    assert error.startswith("error: ")
    assert sentence in error
    assert set(progress) <= {"reading the data", "loading the model", "generating 4 answers"}
    assert (here / "other" / "notes.txt").exists()


def test_a_damaged_config_of_a_run_is_told(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prepare(here)
    (here / "run" / "config.yaml").write_text("output: run\nmodell: {}\n")
    capsys.readouterr()
    assert main(["export", "run", "out"]) == 2
    assert capsys.readouterr().err.startswith("error: run/config.yaml: config: data.train is missing")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EDQUOT])
def test_a_full_or_closed_disk_is_told(
    number: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(arguments: list[str]) -> int:
        raise OSError(number, "no way", "results.json")

    monkeypatch.setitem(cli.VERBS, "export", fail)
    assert main(["export"]) == 2
    assert capsys.readouterr().err == (
        "error: cannot write 'results.json': no way; free the way and give the same command\n"
    )


def test_other_faults_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(arguments: list[str]) -> int:
        raise OSError(errno.EIO, "broken")

    monkeypatch.setitem(cli.VERBS, "export", fail)
    with pytest.raises(OSError, match="broken"):
        main(["export"])


def test_an_interruption_has_the_shells_exit_code(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(arguments: list[str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setitem(cli.VERBS, "evaluate", interrupt)
    assert main(["evaluate"]) == 130
    assert capsys.readouterr().err.startswith("interrupted; the same command continues")


def test_sigterm_has_the_shells_exit_code_and_its_handler_is_given_back(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def terminated(arguments: list[str]) -> int:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)
        return 0

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setitem(cli.VERBS, "evaluate", terminated)
    assert main(["evaluate"]) == 143
    assert capsys.readouterr().err == "terminated; the same command continues from what is saved\n"
    assert signal.getsignal(signal.SIGTERM) == before


CONFIG = """
output: run
model:
  config: {model_type: llama, hidden_size: 32, intermediate_size: 48, num_hidden_layers: 2, num_attention_heads: 2,
    max_position_embeddings: 256}
  vocabulary: 300
data: {train: nl_regex, limit: 24, eval_limit: 4}
layout: {k: 2}
training: {max_steps: 4, save_strategy: steps, save_steps: 2, learning_rate: 0.01, use_cpu: true}
evaluation: {max_new_tokens: 8}
"""


@pytest.mark.slow
def test_a_whole_round(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "tiny.yaml").write_text(CONFIG)
    assert main(["train", "tiny.yaml"]) == 0
    assert main(["evaluate", "run", "nl_regex"]) == 0
    assert main(["export", "run", "final"]) == 0
    assert main(["export", "run", "middle", "--checkpoint", "2"]) == 0
    assert main(["evaluate", "final", "nl_regex", "--limit", "2", "--max_new_tokens", "8"]) == 0
    assert "tokens an answer" in capsys.readouterr().out
    trained = json.loads((here / "run" / "results.json").read_text())
    scored = json.loads((here / "run" / "evaluation-nl_regex" / "evaluation.json").read_text())
    # The test rows of the run, asked with its own settings: the very predictions that its own scoring wrote.
    for name in ("examples", "exact", "prefix", "stop_rate", "mean_tokens"):
        assert scored[name] == trained[name]
    predictions = [here / "run" / folder / "predictions.jsonl" for folder in (".", "evaluation-nl_regex")]
    assert predictions[0].read_bytes() == predictions[1].read_bytes()
    weights = [(here / name / "model.safetensors").read_bytes() for name in ("run/model", "final", "middle")]
    assert weights[0] == weights[1] != weights[2]
    assert yaml.safe_load((here / "run" / "config.yaml").read_text())["layout"]["k"] == 2
    assert (here / "evaluation-final-nl_regex" / "evaluation.json").exists()
