"""Hostile run folders, model folders, names and texts do no harm (docs/security.md says what is guarded)."""

import json
import os
import pickle
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st

from llm_jepa.cli import main
from llm_jepa.durable import write
from llm_jepa.errors import UserError
from llm_jepa.experiments.compare.arms import Arm
from llm_jepa.experiments.config import dump_experiment, parse_experiment
from llm_jepa.experiments.secrets import redacted
from llm_jepa.model.load import ModelConfig, load_model, load_tokenizer
from llm_jepa.training.checkpoints import MANIFEST, seal
from llm_jepa.views.tokenize import Tokenizer
from tests.experiments.small_runs import write_base
from tests.helpers import text_code, word_tokenizer

ESCAPES = "\x1b]0;stolen\x07\x1b[2J\u202eevil\x9b31m"
SECRET = "hf_abcdefghijklmnop"


class Theft:
    """What a malicious pickle is made of: reading it would write a file."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return (os.system, ("touch stolen",))


def half_run(here: Path) -> Path:
    """Leave the first checkpoint of the run only, as an interrupted run does; return it."""
    (here / "run" / "results.json").unlink()
    shutil.rmtree(here / "run" / "checkpoints" / "checkpoint-2")
    return here / "run" / "checkpoints" / "checkpoint-1"


def reseal(checkpoint: Path) -> None:
    """Give a changed checkpoint a manifest that fits, as its maker would."""
    (checkpoint / MANIFEST).unlink()
    drafts = checkpoint.parent / "drafts"
    drafts.mkdir()
    seal(checkpoint.rename(drafts / checkpoint.name), checkpoint)


@pytest.mark.parametrize("name", ["optimizer.pt", "scheduler.pt", "rng_state.pth"])
def test_a_pickle_in_a_checkpoint_is_not_run(here: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = half_run(here)
    torch.save({"state": Theft()}, checkpoint / name)
    reseal(checkpoint)
    assert main(["train", "tuned.yaml"]) == 2
    assert "would run code when it is read" in capsys.readouterr().err
    assert not (here / "stolen").exists()


def test_a_pickle_that_nothing_needs_is_not_read(here: Path) -> None:
    checkpoint = half_run(here)
    (checkpoint / "training_args.bin").write_bytes(pickle.dumps(Theft()))
    reseal(checkpoint)
    assert main(["train", "tuned.yaml"]) == 0
    assert not (here / "stolen").exists()


def test_the_pickle_itself_is_a_real_one(here: Path) -> None:
    pickle.loads(pickle.dumps(Theft()))
    assert (here / "stolen").exists()


FOREIGN = {
    "a class of another package": ("objective", {"distance": {"class_path": "os.system", "init_args": {}}}, "'os.system'"),
    "code of the model": ("model", {"name": "model", "trust_remote_code": True}, "trust_remote_code"),
}


@pytest.mark.parametrize("command", ["evaluate run rows.jsonl", "analyze run --no_tsne", "export run final"])
@pytest.mark.parametrize("what", FOREIGN)
def test_code_that_a_run_folder_names_runs_on_request_only(
    here: Path, what: str, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    section, value, named = FOREIGN[what]
    path = here / "run" / "config.yaml"
    fields = yaml.safe_load(path.read_text())
    fields[section] |= value
    path.write_text(yaml.safe_dump(fields))
    assert main(command.split()) == 2
    said = capsys.readouterr().err
    assert named in said
    assert "give `--trust_code` if you trust it" in said


def test_code_of_the_model_may_be_trusted_by_name(here: Path) -> None:
    path = here / "run" / "config.yaml"
    path.write_text(path.read_text().replace("trust_remote_code: false", "trust_remote_code: true"))
    assert main(["export", "run", "final", "--trust_code"]) == 0


def test_a_link_in_the_place_of_a_draft_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    for name in ("report.html", "report.html.partial"):
        (tmp_path / name).symlink_to(tmp_path / "mine")
    write(tmp_path / "report.html", "page")
    assert (tmp_path / "mine").read_text() == "mine"
    assert not (tmp_path / "report.html").is_symlink()
    assert (tmp_path / "report.html").read_text() == "page"


def test_answers_are_not_added_through_a_link(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "model", "rows.jsonl", "--output", "e", "--max_new_tokens", "2"]) == 0
    (here / "e" / "evaluation.json").unlink()
    (here / "e" / "predictions.jsonl").unlink()
    (here / "mine").write_text("one line without an end")
    (here / "e" / "predictions.jsonl").symlink_to(here / "mine")
    assert main(["evaluate", "model", "rows.jsonl", "--output", "e", "--max_new_tokens", "2"]) == 2
    assert "it is a link" in capsys.readouterr().err
    assert (here / "mine").read_text() == "one line without an end"


def test_an_exported_folder_carries_no_other_file_along(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "key").write_text(SECRET)
    (here / "run" / "model" / "notes.txt").symlink_to(here / "key")
    assert main(["export", "run", "final"]) == 2
    assert "'run/model/notes.txt' is a link" in capsys.readouterr().err
    assert not (here / "final").exists()


@given(st.text())
def test_a_folder_of_an_arm_lies_in_that_of_the_comparison(name: str) -> None:
    folder = Arm(name, {}).folder
    assert "/" not in folder
    assert "\\" not in folder
    assert "\0" not in folder
    assert folder not in (".", "..")


def test_names_and_texts_rule_no_terminal(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "d.jsonl").write_text(json.dumps({"text": f"a {ESCAPES}", "code": f"b {ESCAPES}"}) + "\n")
    shown = ""
    for command in (
        ["inspect", "mine.yaml", "--data.train", "d.jsonl"],
        ["data", "describe", "d.jsonl"],
        ["train", "mine.yaml", "--data.train", f"{ESCAPES}.jsonl"],
        ["report", "runs", "--title", ESCAPES, "--output", f"page{ESCAPES}"],
        [ESCAPES],
    ):
        main(command)
        told = capsys.readouterr()
        shown += told.out + told.err
    assert "stolen" in shown
    for control in ("\x1b", "\x07", "\x9b", "\u202e"):
        assert control not in shown


def test_a_text_is_no_template(words) -> None:
    hostile = "{{ 7 * 7 }}{% for a in b %}{# c #}"
    (sample,) = Tokenizer(word_tokenizer()).samples([text_code(user=hostile)])
    spelled = words.decode(sample.sequences[0].ids)
    assert "49" not in spelled
    assert "7 * 7" in spelled or "<unk>" in spelled
    assert Tokenizer(word_tokenizer()).prompt_text(text_code(user=hostile)).count(hostile) == 1


@pytest.mark.parametrize(
    "name", ['it\'s "mine"', "a`touch stolen`b", "$(touch stolen)", "'); import os; os.system('touch stolen"]
)
def test_the_command_that_converts_pickles_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    folder = write_base(tmp_path / name)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    config = ModelConfig(name=name)
    with pytest.raises(UserError, match="not safetensors but pickle") as told:
        load_model(config, load_tokenizer(config), seed=0)
    said = str(told.value)
    words = shlex.split(said[said.index("`python") + 1 : -1])
    assert words[:2] == ["python", "-c"]
    assert len(words) == 3
    assert json.dumps(name) in words[2]
    compile(words[2], "command", "exec")


def test_secrets_stay_out_of_what_is_written(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", SECRET)
    monkeypatch.setenv("WANDB_API_KEY", "0123456789abcdef")
    run = ["train", "mine.yaml", "--data.folder", f"https://me:pass@host/{SECRET}"]
    assert main(run) == 0
    for path in (here / "out").rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert SECRET.encode() not in data, path
            assert b"me:pass" not in data, path
            assert b"0123456789abcdef" not in data, path
    assert "folder: https://me:***@host/***" in (here / "out" / "config.yaml").read_text()
    assert main(run) == 0  # the same command knows its run again


def test_a_token_is_refused_where_it_would_be_kept() -> None:
    with pytest.raises(
        UserError, match=r"^training\.hub_token is not set here; use `hf auth login` or the variable HF_TOKEN"
    ):
        parse_experiment(["--output", "out", "--model.name", "m", "--data.train", "d", "--training.hub_token", SECRET])


@pytest.mark.parametrize(
    ("text", "environment", "shown"),
    [
        ("postgresql://ann:pass%40word@host/db", {}, "postgresql://ann:***@host/db"),
        ("mysql+pymysql://:pass@host", {}, "mysql+pymysql://:***@host"),
        ("http://host:8080/a", {}, "http://host:8080/a"),
        ("a key-1234567 b", {"OPENAI_API_KEY": "key-1234567"}, "a key-1234567 b".replace("key-1234567", "***")),
        ("a s3cr3t-value b", {"DB_PASSWORD": "s3cr3t-value"}, "a *** b"),
        ("token: short", {"HF_TOKEN": "short"}, "token: short"),
        ("monkey business", {"MONKEY": "monkey business"}, "monkey business"),
        ("tokenizer false-value", {"TOKENIZERS_PARALLELISM": "false-value"}, "tokenizer false-value"),
    ],
)
def test_what_counts_as_a_secret(text: str, environment: dict[str, str], shown: str) -> None:
    assert redacted(text, environment=environment) == shown


def test_a_config_without_secrets_is_kept_as_it_is() -> None:
    described = parse_experiment(["--output", "out", "--model.name", "m", "--data.train", "d"])
    assert redacted(dump_experiment(described), environment={}) == dump_experiment(described)
