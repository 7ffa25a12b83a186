import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from rich.console import Console
from tests.experiments.small_runs import ROWS, Watch, experiment, restored_logging, run_with, write_base, write_rows
from tests.helpers import plain_model

from llm_jepa.errors import UserError
from llm_jepa.evaluation.evaluate import PREDICTIONS, read_predictions
from llm_jepa.experiments import evaluating, material
from llm_jepa.experiments.evaluating import evaluate
from llm_jepa.experiments.evaluation_folder import RESULT, SETTINGS, weights_fingerprint
from llm_jepa.experiments.experiment import Data
from llm_jepa.experiments.material import Examples
from llm_jepa.model.load import ModelConfig


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a trained run, its base model, one without a chat template, and data."""
    root = tmp_path_factory.mktemp("evaluating")
    rows = write_rows(root / "rows.jsonl")
    write_rows(root / "more.jsonl", [*ROWS, {"text": "lines with a vowel or dog", "code": "dog"}])
    write_base(root / "base")
    write_base(root / "bare", template=False)
    run_with(experiment(root / "run", rows, ModelConfig(name=str(root / "base"))), Watch([4, 5], [3]))
    with restored_logging():
        yield root


@pytest.fixture(autouse=True)
def here(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder of its own, in which the names of `home` are links."""
    for path in home.iterdir():
        if path.name == "run":
            shutil.copytree(path, tmp_path / "run")
        else:
            (tmp_path / path.name).symlink_to(path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(folder: Path | str, name: str = RESULT) -> dict[str, Any]:
    return json.loads((Path(folder) / name).read_text())


def test_a_run_is_scored_with_its_own_settings(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate(["run", "more.jsonl"]) == 0
    result = read("run/evaluation-more")
    predictions = read_predictions(Path("run/evaluation-more") / PREDICTIONS)
    right = [each.expected.replace(" ", "") == each.generated.replace(" ", "") for each in predictions]
    assert (result["examples"], sum(right)) == (5, 4)
    assert [each.name for each in predictions] == [f"more.jsonl:{line}" for line in range(1, 6)]
    assert (result["max_new_tokens"], result["batch_size"]) == (16, 4)
    low, high = result["exact_interval"]
    assert low <= result["exact"] <= high
    assert result["accuracy_interval"] == result["exact_interval"]
    assert (result["measure"], result["accuracy"]) == ("exact", 0.8)
    assert result["titles"] == {"exact": "exact match", "prefix": "prefix match", "stopped": "stop rate"}
    assert result["stop_rate"] == result["stopped"] == 1.0
    assert result["environment"]["packages"]["transformers"]
    assert result["data_fingerprint"] == result["environment"]["data"]["evaluated"]
    shown = capsys.readouterr().out
    assert "exact match" in shown
    assert "100.0 %" in shown


def test_an_option_wins_over_the_run(here: Path) -> None:
    evaluate(["run", "rows.jsonl", "--limit", "2", "--max_new_tokens", "3", "--batch_size", "1", "--output", "deep/er"])
    result = read("deep/er")
    assert (result["examples"], result["max_new_tokens"], result["batch_size"]) == (2, 3, 1)
    assert result["mean_tokens"] <= 3


def test_one_example_has_no_interval(here: Path) -> None:
    assert evaluate(["run", "rows.jsonl", "--limit", "1"]) == 0
    assert read("run/evaluation-rows")["exact_interval"] is None


def test_any_model_folder_is_scored_beside_the_working_folder(here: Path) -> None:
    assert evaluate(["base", "rows.jsonl", "--max_new_tokens", "4"]) == 0
    assert read("evaluation-base-rows")["batch_size"] == 32
    assert evaluate(["run/model/", "rows.jsonl"]) == 0
    assert read("evaluation-model-rows")["model"] == "run/model/"


def test_a_model_without_a_template_is_asked_in_plain_lines(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate(["bare", "rows.jsonl", "--max_new_tokens", "4"]) == 0
    assert "prompts are in the plain format" in capsys.readouterr().err
    prediction = read_predictions(Path("evaluation-bare-rows") / PREDICTIONS)[0]
    assert prediction.prompt == ROWS[0]["text"] + "\n"


def test_generation_stops_at_the_turns_end_and_at_the_tokenizers(here: Path) -> None:
    evaluate(["base", "rows.jsonl", "--max_new_tokens", "2"])
    tokenizer = json.loads(Path("base/tokenizer.json").read_text())
    ids = {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
    assert read("evaluation-base-rows")["stop_ids"] == sorted([ids["<|im_end|>"], ids["<|endoftext|>"]])


def test_a_finished_evaluation_is_shown_again(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate(["run", "rows.jsonl"])
    first = capsys.readouterr()
    monkeypatch.setattr(evaluating, "predict", None)
    assert evaluate(["run", "rows.jsonl"]) == 0
    second = capsys.readouterr()
    assert second.out == first.out
    assert "this evaluation is finished" in second.err


class Killed(BaseException):
    """Stands for the process's end."""


def test_a_killed_evaluation_ends_with_the_same_bytes(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = ["run", "more.jsonl", "--batch_size", "2"]
    evaluate([*command, "--output", "straight"])

    def kill(done: int, total: int) -> None:
        if done >= 2:
            raise Killed

    with monkeypatch.context() as patch:
        real = evaluating.predict
        patch.setattr(evaluating, "predict", lambda *given, **options: real(*given, **options | {"progress": kill}))
        with pytest.raises(Killed):
            evaluate([*command, "--output", "killed"])
    assert not Path("killed", RESULT).exists()
    assert len(read_predictions(Path("killed", PREDICTIONS))) == 2
    evaluate([*command, "--output", "killed"])
    for name in (PREDICTIONS, RESULT, SETTINGS):
        assert Path("killed", name).read_bytes() == Path("straight", name).read_bytes()


def test_progress_tells_the_time_left(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    consoles: list[Console] = []

    def terminal(**options: Any) -> Console:
        consoles.append(Console(**options, force_terminal=True, width=120, record=True))
        return consoles[-1]

    monkeypatch.setattr(evaluating, "Screen", terminal)
    evaluate(["run", "more.jsonl", "--batch_size", "1"])
    shown = consoles[0].export_text()
    assert "generating 5 answers" in shown
    assert "5/5" in shown


def test_retraining_makes_the_old_evaluation_another_models(here: Path) -> None:
    evaluate(["run", "rows.jsonl", "--limit", "2"])
    shutil.rmtree("run/model")
    shutil.copytree("base", "run/model")
    with pytest.raises(UserError, match="an evaluation of another model; give another folder with `--output`"):
        evaluate(["run", "rows.jsonl", "--limit", "2"])


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--limit", "3"], "of other examples"),
        (["--limit", "2", "--max_new_tokens", "5"], "with another max_new_tokens"),
    ],
)
def test_two_evaluations_never_mix(here: Path, options: list[str], sentence: str) -> None:
    evaluate(["run", "rows.jsonl", "--limit", "2"])
    before = {path: path.read_bytes() for path in Path("run/evaluation-rows").iterdir()}
    with pytest.raises(UserError, match=f"holds an evaluation {sentence}; give another folder"):
        evaluate(["run", "rows.jsonl", *options])
    assert {path: path.read_bytes() for path in Path("run/evaluation-rows").iterdir()} == before


def test_another_batch_size_may_continue(here: Path) -> None:
    evaluate(["run", "rows.jsonl"])
    Path("run/evaluation-rows", RESULT).unlink()
    assert evaluate(["run", "rows.jsonl", "--batch_size", "1"]) == 0


def test_nl_regex_gives_the_rows_that_a_run_on_it_held_out(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = yaml.safe_load(Path("run/config.yaml").read_text())
    config["data"] |= {"train": "nl_regex", "test": None, "limit": 7}
    Path("run/config.yaml").write_text(yaml.safe_dump(config))
    asked: list[Data] = []

    def sources(data: Data) -> Examples:
        asked.append(data)
        raise UserError("asked")

    monkeypatch.setattr(material, "read_sources", sources)
    for model in ("run", "base"):
        with pytest.raises(UserError, match="asked"):
            evaluate([model, "nl_regex"])
        with pytest.raises(UserError, match="has the splits train, validation, test, and no 'tets'; did you mean 'test'"):
            evaluate([model, "nl_regex", "--split", "tets"])
    assert [data.limit for data in asked] == [7, None]


def damage(here: Path) -> None:
    """Write the files that the mistakes below are made with."""
    (here / "cut").mkdir()
    shutil.copy(here / "run" / "config.yaml", here / "cut")
    shutil.copytree(here / "run" / "checkpoints", here / "saved" / "checkpoints")
    shutil.copy(here / "run" / "config.yaml", here / "saved")
    write_rows(here / "views.jsonl", [{"views": ["a", "b"]}])  # pyright: ignore[reportArgumentType]
    (here / "long.jsonl").write_text(json.dumps({"text": "dog " * 300, "code": "dog"}))


MISTAKES = {
    "interrupted": (
        ["cut", "rows.jsonl"],
        "the run 'cut' is not finished and has no model yet; give its train command again$",
    ),
    "interrupted with checkpoint": (["saved", "rows.jsonl"], "or take what `llm-jepa export saved FOLDER` writes"),
    "model of an interrupted run": (["cut/model", "rows.jsonl"], "the run 'cut' is not finished"),
    "no model": (["./nowhere", "rows.jsonl"], "there is nothing at './nowhere'"),
    "no GGUF": (["nowhere.gguf", "rows.jsonl"], "there is nothing at 'nowhere.gguf'"),
    "no data": (["run", "nowhere.jsonl"], "nowhere.jsonl: no such file"),
    "split of a file": (["run", "rows.jsonl", "--split", "test"], "a split .* is for Hugging Face data sets"),
    "no answers": (["run", "views.jsonl"], "views.jsonl:1: a list of views has no prompt"),
    "too long": (["run", "long.jsonl"], "more than the model's 256 positions; lower max_new_tokens"),
    "no limit": (["run", "rows.jsonl", "--limit", "0"], "--limit: '0' is no whole number of at least 1"),
    "a word for a number": (["run", "rows.jsonl", "--batch_size", "many"], "--batch_size: 'many' is no whole number"),
    "unknown option": (["run", "rows.jsonl", "--batchsize", "2"], "unrecognized arguments: --batchsize"),
    "no data given": (["run"], "data is missing"),
    "foreign folder": (["run", "rows.jsonl", "--output", "run"], "not empty and holds no evaluation; give another folder"),
    "a file as output": (["run", "rows.jsonl", "--output", "rows.jsonl"], "is no folder and cannot become one"),
    "below a file": (["run", "rows.jsonl", "--output", "rows.jsonl/x"], "is no folder and cannot become one"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_in_one_sentence(here: Path, mistake: str) -> None:
    damage(here)
    arguments, sentence = MISTAKES[mistake]
    with pytest.raises(UserError, match=sentence) as told:
        evaluate(arguments)
    assert "\n" not in str(told.value)


def test_damaged_settings_are_told(here: Path) -> None:
    evaluate(["run", "rows.jsonl"])
    Path("run/evaluation-rows", SETTINGS).write_text("[1, 2]")
    with pytest.raises(UserError, match=r"evaluation-settings\.json: a JSON object is wanted, this is a list"):
        evaluate(["run", "rows.jsonl"])


def test_too_little_memory_names_the_option(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(evaluating, "predict", exhausted)
    with pytest.raises(UserError, match="4 answers at a time; give the same command with a smaller `--batch_size`"):
        evaluate(["run", "rows.jsonl"])


def test_the_fingerprint_knows_every_tensor_and_no_device() -> None:
    model = plain_model()
    before = weights_fingerprint(model)
    assert weights_fingerprint(plain_model()) == before
    with torch.no_grad():
        for parameter in model.parameters():
            parameter[..., 0] += 1e-9
            after = weights_fingerprint(model)
            assert after != before
            before = after
