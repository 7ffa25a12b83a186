"""What `llm-jepa train` says to a user's mistakes: one sentence, exit code 2, nothing begun in the output folder."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from llm_jepa.cli import main

ROOT = Path(__file__).resolve().parents[1]
MODEL = (
    "{model_type: llama, hidden_size: 32, intermediate_size: 48, num_hidden_layers: 2, num_attention_heads: 2, "
    "max_position_embeddings: 64}"
)
ROWS = [{"text": f"line {index}", "code": f"[{index}]"} for index in range(4)]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder with good data in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return tmp_path


def data(content: str | bytes) -> Callable[[Path], list[str]]:
    """Return a mistake in the data file."""

    def make(here: Path) -> list[str]:
        (here / "bad.jsonl").write_bytes(content if isinstance(content, bytes) else content.encode())
        return ["--data.train", "bad.jsonl"]

    return make


def options(*arguments: str) -> Callable[[Path], list[str]]:
    """Return a mistake in the options."""

    def make(here: Path) -> list[str]:
        del here
        return list(arguments)

    return make


def config(text: str) -> Callable[[Path], list[str]]:
    """Return a mistake in the YAML file."""

    def make(here: Path) -> list[str]:
        (here / "bad.yaml").write_text(text)
        return ["--config", "bad.yaml"]

    return make


def filled(here: Path) -> list[str]:
    """Return a foreign output folder."""
    (here / "mine").mkdir()
    (here / "mine" / "notes.txt").write_text("mine")
    return ["--output", "mine"]


def conversation(here: Path) -> list[str]:
    """Return conversations with a system message for a tokenizer without a template."""
    from tests.helpers import word_tokenizer

    words = word_tokenizer()
    words.chat_template = None
    words.save_pretrained(here / "words")
    turns = [{"role": role, "content": "a dog"} for role in ("system", "user", "assistant")]
    (here / "bad.jsonl").write_text(json.dumps({"messages": turns}) + "\n")
    return ["--data.train", "bad.jsonl", "--model.tokenizer", "words"]


MISTAKES: dict[str, tuple[Callable[[Path], list[str]], str]] = {
    "missing file": (
        options("--data.train", "goood.jsonl"),
        "goood.jsonl: no such file or folder; did you mean 'good.jsonl'?",
    ),
    "broken JSON": (data('{"text": "a", "code": "b"}\n{"text": "a",\n'), "bad.jsonl:2"),
    "missing column": (data('{"txt": "a", "code": "b"}\n'), "'txt'"),
    "empty text": (data('{"text": " ", "code": "b"}\n'), "bad.jsonl:1"),
    "empty code": (data('{"text": "a", "code": ""}\n'), "'code'"),
    "wrong type": (data('{"text": 3, "code": "b"}\n'), "'text'"),
    "not UTF-8": (data(b'{"text": "\xff", "code": "b"}\n'), "bad.jsonl:1"),
    "empty file": (data(""), "bad.jsonl"),
    "unknown field": (options("--objective.wieght", "1"), "did you mean 'weight'?"),
    "unknown section": (config("modle: {name: x}\n"), "did you mean 'model"),
    "unknown training field": (options("--training.learnin_rate", "1"), "did you mean 'learning_rate'?"),
    "owned training field": (options("--training.output_dir", "x"), "use `output`"),
    "refused training value": (options("--training.save_strategy", "sometimes"), "training: transformers refuses"),
    "YAML that is none": (config("output: [x\n"), "config: "),
    "no config file": (options("--config", "nowhere.yaml"), "nowhere.yaml"),
    "weight below 0": (options("--objective.weight", "-1"), "weight -1.0"),
    "dropout above 1": (options("--objective.dropout", "1.5"), "1.5"),
    "k below 0": (options("--layout.k", "-1"), "k is -1"),
    "k that is no number": (options("--layout.k", "two"), "layout.k"),
    "unknown distance": (options("--objective.distance", "Cosin"), "Cosine, L2, MeanSquaredError, InfoNCE"),
    "limit 0": (options("--data.limit", "0"), "data.limit is 0"),
    "name and config": (options("--model.name", "x"), "either model.name"),
    "unknown model type": (options("--model.config", "{model_type: lama}"), "did you mean 'llama'?"),
    "unknown model field": (options("--model.config", "{model_type: llama, hiden_size: 3}"), "did you mean 'hidden_size'?"),
    "vocabulary too small": (options("--model.vocabulary", "20"), "model.vocabulary is 20"),
    "template that is not there": (options("--model.template", "nowhere.jinja"), "model.template"),
    "no template for roles": (conversation, "set `model.template` to 'plain'"),
    "all too long": (options("--data.max_length", "2"), "longer than 2 tokens"),
    "one too long": (options("--data.max_length", "2", "--data.over_length", "error"), "good.jsonl:1"),
    "foreign folder": (filled, "'mine' is not empty and holds no run"),
    "architecture that cannot be packed": (
        options("--model.config", "{model_type: mpt, d_model: 32, n_heads: 4, n_layers: 2, max_seq_len: 64}"),
        "packing.one_forward: false",
    ),
    "one pair to shuffle": (options("--data.shuffle_pairs", "true", "--data.limit", "1"), "at least two samples"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_sentence_and_nothing_is_begun(
    here: Path, mistake: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make, sentence = MISTAKES[mistake]
    wrong = make(here)
    common = {"--data.train": "good.jsonl", "--model.config": MODEL, "--model.vocabulary": "300", "--output": "run"}
    right = [word for name, value in common.items() if name not in wrong for word in (name, value)]
    first = wrong if wrong[0] == "--config" else []
    rest = [] if wrong[0] == "--config" else wrong
    assert main(["train", *first, *right, *rest, "--training.use_cpu", "true", "--training.max_steps", "1"]) == 2
    shown = capsys.readouterr()
    errors = [line for line in shown.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, shown.err
    assert sentence in errors[0]
    assert "Traceback" not in shown.err
    begun = [path for path in here.glob("run/*") if path.name not in ("config.yaml", "environment.json")]
    assert begun == []
    if mistake == "foreign folder":
        assert (here / "mine" / "notes.txt").read_text() == "mine"


def without_time(metrics: Path) -> list[dict[str, float]]:
    """The logs of a run, but the seconds, in which equal runs differ."""
    rows = [json.loads(line) for line in metrics.read_text().splitlines()]
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


@pytest.mark.slow
def test_a_terminated_run_ends_as_an_undisturbed_one(here: Path) -> None:
    command = [sys.executable, "-m", "llm_jepa", "train", "--data.train", "good.jsonl", "--model.config", MODEL]
    command += ["--model.vocabulary", "300", "--training.use_cpu", "true", "--training.max_steps", "400"]
    command += ["--training.logging_steps", "7", "--objective.dropout", "0.5", "--training.save_strategy", "no"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}

    def start(output: str) -> "subprocess.Popen[str]":
        with (here / f"{output}.txt").open("a") as told:
            return subprocess.Popen([*command, "--output", output], env=environment, cwd=here, stderr=told, text=True)

    straight = start("straight")
    assert straight.wait(240) == 0
    stopped = start("stopped")
    metrics = here / "stopped" / "metrics.jsonl"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not (metrics.exists() and metrics.read_text().count("\n") > 3):
        time.sleep(0.02)
    stopped.send_signal(signal.SIGTERM)
    stopped.wait(120)
    told = (here / "stopped.txt").read_text()
    assert stopped.returncode == 128 + signal.SIGTERM, told
    assert "the same command continues" in told
    assert not (here / "stopped" / "results.json").exists()
    assert start("stopped").wait(240) == 0
    lines = [without_time(here / run / "metrics.jsonl") for run in ("straight", "stopped")]
    assert lines[0] == lines[1]
    weights = [(here / run / "model" / "model.safetensors").read_bytes() for run in ("straight", "stopped")]
    assert weights[0] == weights[1]
