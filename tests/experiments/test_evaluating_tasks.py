"""`llm-jepa evaluate` and runs on tasks by their names: generated and chosen answers, scorers, back ends."""

import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tests.evaluation.fake_vllm import LLM, SamplingParams
from tests.experiments.small_runs import experiment, restored_logging, write_base, write_rows
from tests.experiments.small_tasks import write_lines, write_tasks

from llm_jepa.errors import UserError
from llm_jepa.evaluation.evaluate import PREDICTIONS, read_predictions
from llm_jepa.experiments import backends
from llm_jepa.experiments.evaluating import evaluate
from llm_jepa.experiments.evaluation_folder import RESULT
from llm_jepa.experiments.experiment import Data, Evaluation
from llm_jepa.experiments.run import run_experiment
from llm_jepa.model.load import ModelConfig
from llm_jepa.scoring.numbers import FinalNumber


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("tasks")
    write_base(root / "base")
    write_rows(root / "rows.jsonl")
    write_tasks(root / "data")
    with restored_logging():
        yield root


@pytest.fixture(autouse=True)
def here(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for path in home.iterdir():
        (tmp_path / path.name).symlink_to(path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(folder: Path | str) -> dict[str, Any]:
    return json.loads((Path(folder) / RESULT).read_text())


def test_a_task_is_its_test_split_with_its_scorer_and_room(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate(["base", "gsm8k", "--limit", "2", "--max_new_tokens", "4"]) == 0
    result = read("evaluation-base-gsm8k")
    assert (result["measure"], result["examples"], result["accuracy"]) == ("final_number", 2, 0.0)
    assert result["scorer"] == {"class_path": "llm_jepa.scoring.numbers.FinalNumber"}
    names = [each.name for each in read_predictions(Path("evaluation-base-gsm8k") / PREDICTIONS)]
    assert names == ["gsm8k_test.jsonl:4", "gsm8k_test.jsonl:7"]  # a fixed draw from all over
    shown = capsys.readouterr().out
    assert "final answer" in shown
    assert "tokens an answer" in shown


def test_another_split_and_another_folder_can_be_named(here: Path) -> None:
    shutil.copytree(here / "data", here / "elsewhere")
    options = ["--split", "validation", "--folder", "elsewhere", "--limit", "3", "--max_new_tokens", "2"]
    assert evaluate(["base", "gsm8k", *options]) == 0
    names = [each.name for each in read_predictions(Path("evaluation-base-gsm8k") / PREDICTIONS)]
    assert len(names) == 3
    assert {name.split(":")[0] for name in names} == {"gsm8k_train.jsonl"}


def test_hellaswag_is_answered_by_choice(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate(["base", "hellaswag"]) == 0
    result = read("evaluation-base-hellaswag")
    assert (result["measure"], result["answers"], result["examples"]) == ("letter", "chosen", 6)
    assert not {"stop_rate", "mean_tokens"} & result.keys()
    for each in read_predictions(Path("evaluation-base-hellaswag") / PREDICTIONS):
        letters = {name: value for name, value in each.likelihoods.items() if name.startswith("letter ")}
        assert sorted(each.likelihoods) == sorted([*letters, *(f"ending {letter}" for letter in "ABCD")])
        assert each.generated == max(letters, key=letters.__getitem__).removeprefix("letter ")
    captured = capsys.readouterr()
    assert "right letter" in captured.out
    assert "right ending, not normalised" in captured.out
    assert "weighing 6 answers" in captured.err


def test_another_scorer_judges_the_same_answers_anew(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = ["base", "rows.jsonl", "--max_new_tokens", "3"]
    evaluate(command)
    before = Path("evaluation-base-rows", PREDICTIONS).read_bytes()
    monkeypatch.setattr("llm_jepa.evaluation.answerer.generate", None)
    evaluate([*command, "--scorer", "FinalNumber"])
    assert read("evaluation-base-rows")["measure"] == "final_number"
    assert Path("evaluation-base-rows", PREDICTIONS).read_bytes() == before
    evaluate(command)
    assert read("evaluation-base-rows")["measure"] == "exact"


def test_a_measure_without_examples_is_unknown_and_says_why(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evaluate(["base", "rows.jsonl", "--max_new_tokens", "3", "--scorer", "FinalNumber"])
    captured = capsys.readouterr()
    assert "unknown  (4 left out)" in captured.out
    assert "none of 4 examples counts for 'final answer'" in " ".join(captured.err.split())
    assert read("evaluation-base-rows")["accuracy"] is None


def test_chosen_and_generated_answers_never_mix(here: Path) -> None:
    evaluate(["base", "hellaswag"])
    with pytest.raises(UserError, match=r"with answers of another kind \(generated or chosen\)"):
        evaluate(["base", "hellaswag", "--scorer", "TextScorer"])


def test_paraphrases_are_refused(here: Path) -> None:
    write_lines(here / "own" / "paraphrase_flickr8k.jsonl", [{"paraphrases": ["a dog", "dog"]}])
    with pytest.raises(UserError, match=r"^paraphrase_flickr8k.jsonl:1: a list of views has no prompt"):
        evaluate(["base", "paraphrase", "--split", "flickr8k", "--folder", "own"])


MISTAKES = {
    "no test split": (["base", "paraphrase"], "paraphrase has no split 'test'"),
    "no such split": (["base", "gsm8k", "--split", "valdation"], "did you mean 'validation'"),
    "no file": (["base", "spider", "--folder", "nowhere"], "nowhere/spider_test.jsonl"),
    "choices of other data": (["base", "rows.jsonl", "--scorer", "ChoiceScorer"], "there are no endings to choose from"),
    "no back end": (["base", "rows.jsonl", "--backend", "vlm"], "backend"),
    "no scorer": (["base", "rows.jsonl", "--scorer", "Numbers"], "scorer"),
    "vllm is missing": (["base", "rows.jsonl", "--backend", "vllm"], "the back end vllm is not installed"),
    "vllm and choices": (["base", "hellaswag", "--backend", "vllm"], "chosen by likelihood; leave `--backend` out"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_in_one_sentence(mistake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    arguments, sentence = MISTAKES[mistake]
    with pytest.raises(UserError, match=sentence) as told:
        evaluate(arguments)
    assert "\n" not in str(told.value)


def test_vllm_is_given_the_prompts_whole(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module, made = ModuleType("vllm"), []

    def load(**options: Any) -> LLM:
        made.append(LLM(**{name: value for name, value in options.items() if name != "revision"}))
        return made[-1]

    vars(module).update(LLM=load, SamplingParams=SamplingParams)
    monkeypatch.setitem(sys.modules, "vllm", module)
    assert evaluate(["base", "rows.jsonl", "--max_new_tokens", "5", "--backend", "vllm"]) == 0
    assert read("evaluation-base-rows")["backend"] == "vllm"
    (engine,) = made
    assert (engine.model, engine.dtype) == ("base", "float32")
    asked = [ids for batch in engine.batches for ids in batch]
    assert len(asked) == 4
    assert engine.max_model_len == max(map(len, asked)) + 5
    with pytest.raises(UserError, match="by another back end"):
        evaluate(["base", "rows.jsonl", "--max_new_tokens", "5"])


def test_vllm_reads_no_gguf() -> None:
    asking: Any = type("Asking", (), {"scorer": FinalNumber(), "source": ModelConfig(name="a.gguf")})
    with pytest.raises(UserError, match=r"'a.gguf' is GGUF; leave `--backend` out"):
        backends.make_answerer(backends.Backend.vllm, asking, [])


def trained(here: Path, data: Data, evaluation: Evaluation) -> dict[str, Any]:
    """Return the results of a run of two steps."""
    settings = {"max_steps": 2, "save_strategy": "no"}
    described = experiment(here / "run", here / "rows.jsonl", ModelConfig(name="base"), **settings)
    run = run_experiment(replace(described, data=data, evaluation=evaluation))
    return json.loads(run.results.read_text())


def test_a_run_on_a_task_is_scored_by_its_scorer(here: Path) -> None:
    data = Data(train="gsm8k", limit=4, eval_limit=2)
    results = trained(here, data, Evaluation(max_new_tokens=3, batch_size=2))
    assert (results["split"], results["measure"], results["examples"]) == ("test", "final_number", 2)
    assert results["validation"]["measure"] == "final_number"
    assert results["titles"]["final_number"] == "final answer"
    assert results["accuracy"] == results["final_number"]


def test_a_run_can_be_chosen_from_and_is_scored_like_its_evaluation(here: Path) -> None:
    results = trained(here, Data(train="rows.jsonl", test="hellaswag"), Evaluation(batch_size=4))
    assert results["measure"] == "letter"
    assert "stop_rate" not in results
    assert evaluate(["run", "hellaswag"]) == 0
    scored = read("run/evaluation-hellaswag")
    for name in ("examples", "accuracy", "letter", "letter_probability", "ending", "ending_raw"):
        assert scored[name] == results[name]
    files = [Path(folder, PREDICTIONS).read_bytes() for folder in ("run", "run/evaluation-hellaswag")]
    assert files[0] == files[1]


def test_a_runs_scorer_is_for_its_own_data_and_a_new_task_has_its_own(here: Path) -> None:
    evaluation = Evaluation(max_new_tokens=3, batch_size=2, scorer=FinalNumber())
    results = trained(here, Data(train="rows.jsonl", test="nl_rx_turk"), evaluation)
    assert results["measure"] == "final_number"
    evaluate(["run", "rows.jsonl"])
    evaluate(["run", "nl_rx_turk"])
    evaluate(["run", "hellaswag"])
    measures = {name: read(f"run/evaluation-{name}")["measure"] for name in ("rows", "nl_rx_turk", "hellaswag")}
    assert measures == {"rows": "final_number", "nl_rx_turk": "final_number", "hellaswag": "letter"}


def test_a_damaged_result_is_told(here: Path) -> None:
    command = ["base", "rows.jsonl", "--max_new_tokens", "2"]
    evaluate(command)
    Path("evaluation-base-rows", RESULT).write_text("[1, 2]")
    with pytest.raises(UserError, match=r"evaluation\.json: a JSON object is wanted, this is a list; remove it"):
        evaluate(command)


def test_rows_that_leave_no_room_for_an_answer_are_refused_before_the_training(tmp_path: Path) -> None:
    long = write_rows(tmp_path / "long.jsonl", [{"text": "lines " * 300, "code": "dog"}])
    rows = write_rows(tmp_path / "rows.jsonl")
    described = experiment(tmp_path / "run", rows, ModelConfig(name=str(write_base(tmp_path / "base"))))
    described = replace(described, data=replace(described.data, test=str(long)))
    with pytest.raises(UserError, match=r"^long\.jsonl:1 has .* more than the model's 256 positions"):
        run_experiment(described)
    assert not (tmp_path / "run").exists()
