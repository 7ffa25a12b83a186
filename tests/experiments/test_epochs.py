"""Accuracy by epoch, and time budgets: neither leaves a trace in what is trained, and nothing is lost or done twice."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from tests.experiments.small_runs import experiment, restored_logging, run_in_pieces, write_base, write_rows

from llm_jepa.cli import main
from llm_jepa.errors import UserError
from llm_jepa.evaluation.answerer import Greedy
from llm_jepa.experiments.config import dump_experiment
from llm_jepa.experiments.experiment import Data, Evaluation, Experiment
from llm_jepa.experiments.files import RunFolder
from llm_jepa.experiments.interruption import Interrupted
from llm_jepa.experiments.run import run_experiment
from llm_jepa.model.load import ModelConfig
from llm_jepa.objective.jepa import JEPA
from llm_jepa.training.deadline import Deadline

STEPS, EPOCHS = 6, 3
OVER = Deadline(0.0)
"""A time that was over long ago: every call does the least that it can."""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_base(tmp_path_factory.mktemp("models") / "base")


def described(folder: Path, base: Path, *, each_epoch: bool = True, name: str = "run", **training: Any) -> Experiment:
    """Six steps of two rows: three epochs of two steps; answers are made three at a time, in two batches."""
    settings = {"max_steps": STEPS, "per_device_train_batch_size": 2, "save_strategy": "epoch", "logging_steps": 1}
    made = experiment(folder / name, write_rows(folder / "rows.jsonl"), ModelConfig(name=str(base)), **(settings | training))
    objective = JEPA(weight=0.1, dropout=0.5)
    return replace(made, objective=objective, evaluation=Evaluation(max_new_tokens=8, batch_size=3, each_epoch=each_epoch))


def metrics(run: RunFolder) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


def scored(run: RunFolder) -> list[dict[str, Any]]:
    return [row for row in metrics(run) if "eval_accuracy" in row]


def results(run: RunFolder) -> dict[str, Any]:
    return {name: value for name, value in json.loads(run.results.read_text()).items() if name != "seconds"}


def answers(run: RunFolder) -> dict[str, bytes]:
    return {str(path.relative_to(run.root)): path.read_bytes() for path in sorted(run.root.rglob("predictions.jsonl"))}


def weights(run: RunFolder) -> bytes:
    return (run.model / "model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def whole(base: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return run_experiment(described(tmp_path_factory.mktemp("whole"), base))


def test_every_epoch_has_one_line_with_its_scores_and_costs(whole):
    lines = scored(whole)
    assert [(line["step"], line["epoch"]) for line in lines] == [(2, 1.0), (4, 2.0), (6, 3.0)]
    expected = {"step", "epoch", "eval_accuracy", "eval_stop_rate", "tokens", "flops"}
    assert [set(line) for line in lines] == [expected] * EPOCHS
    assert lines[0]["flops"] < lines[1]["flops"] < lines[2]["flops"]


def test_every_logged_step_tells_its_costs(whole):
    lines = [json.loads(line) for line in whole.metrics.read_text().splitlines()]
    steps = [line for line in lines if "loss" in line]
    assert [line["step"] for line in steps] == list(range(1, STEPS + 1))
    for name in ("tokens", "flops", "seconds"):
        values = [line[name] for line in lines if "loss" in line or "eval_accuracy" in line]
        assert values == sorted(values)
        assert 0 < values[0] < values[-1]
        assert values[-1] == pytest.approx(json.loads(whole.results.read_text())[name], rel=0.5)


def test_the_last_epoch_is_scored_as_the_finished_run(whole):
    found = results(whole)
    assert found["epoch_split"] == "test"
    assert scored(whole)[-1]["eval_accuracy"] == found["accuracy"]
    assert (whole.epochs / "step-6" / "predictions.jsonl").read_bytes() == (whole.root / "predictions.jsonl").read_bytes()


@pytest.mark.parametrize("strategy", ["epoch", "no", "steps"])
def test_training_is_the_same_with_and_without_it(strategy, whole, base, tmp_path):
    options = {"save_strategy": strategy, "save_steps": 5}
    without = run_experiment(described(tmp_path, base, each_epoch=False, name="without", **options))
    assert weights(without) == weights(whole)
    assert metrics(without) == [line for line in metrics(whole) if "eval_accuracy" not in line]
    assert not without.epochs.exists()
    if strategy != "epoch":
        run = run_experiment(described(tmp_path, base, **options))
        assert (weights(run), metrics(run), answers(run)) == (weights(whole), metrics(whole), answers(whole))


@pytest.mark.parametrize("strategy", ["epoch", *(pytest.param(name, marks=pytest.mark.slow) for name in ("no", "steps"))])
def test_a_run_that_is_out_of_time_again_and_again_ends_as_an_undisturbed_one(strategy, whole, base, tmp_path):
    run, calls = run_in_pieces(described(tmp_path, base, save_strategy=strategy, save_steps=5))
    assert calls >= STEPS + EPOCHS
    assert metrics(run) == metrics(whole)
    assert results(run) == results(whole)
    assert answers(run) == answers(whole)
    assert weights(run) == weights(whole)


def test_a_kill_while_an_epoch_is_scored_repeats_no_batch_and_loses_none(whole, base, tmp_path, monkeypatch):
    answer, batches = Greedy.answer, []

    def killed_at_the_fourth(self, items):
        batches.append([item.name for item in items])
        if len(batches) == 4:
            raise KeyboardInterrupt
        return answer(self, items)

    monkeypatch.setattr(Greedy, "answer", killed_at_the_fourth)
    again = described(tmp_path, base)
    with pytest.raises(KeyboardInterrupt):
        run_experiment(again)
    run = run_experiment(again)
    assert len(batches) == 2 * (EPOCHS + 1) + 1
    assert batches[3] == batches[4]
    assert metrics(run) == metrics(whole)
    assert answers(run) == answers(whole)


def test_answers_of_steps_that_are_not_saved_are_made_again(base, tmp_path, whole):
    again = described(tmp_path, base)
    stale = RunFolder(Path(again.output)).epochs / "step-4"
    with pytest.raises(Interrupted):
        run_experiment(again, deadline=OVER)
    stale.mkdir(parents=True)
    (stale / "predictions.jsonl").write_text((whole.epochs / "step-4" / "predictions.jsonl").read_text().replace('"', '\\"'))
    run = run_experiment(again)
    assert answers(run) == answers(whole)


def test_validation_rows_are_scored_where_there_are_any(base, tmp_path):
    made = described(tmp_path, base, max_steps=2)
    rows = made.data.train
    run = run_experiment(replace(made, data=replace(made.data, validation=rows)))
    assert results(run)["epoch_split"] == "validation"


def test_a_run_without_rows_to_score_is_refused_before_it_begins(base, tmp_path):
    made = described(tmp_path, base)
    with pytest.raises(UserError, match=r"each_epoch needs held-out rows"):
        run_experiment(replace(made, data=Data(train=made.data.train)))
    assert not Path(made.output).exists()


def test_an_interruption_survives_the_way_between_processes():
    import pickle

    for interrupted in (Interrupted(2, 7), Interrupted(None, 3)):
        back = pickle.loads(pickle.dumps(interrupted))
        assert (back.signal, back.step, str(back)) == (interrupted.signal, interrupted.step, str(interrupted))


@pytest.mark.parametrize(
    ("minutes", "told"), [("0", "above 0"), ("-1", "above 0"), ("soon", "--max_minutes: no number: 'soon'")]
)
def test_a_wrong_budget_is_one_sentence(minutes, told, base, tmp_path, capsys):
    (tmp_path / "run.yaml").write_text(dump_experiment(described(tmp_path, base)))
    with restored_logging():
        assert main(["train", str(tmp_path / "run.yaml"), f"--max_minutes={minutes}"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert told in error


def test_the_command_ends_with_75_until_the_run_is_finished(base, tmp_path, capsys):
    (tmp_path / "run.yaml").write_text(dump_experiment(described(tmp_path, base, each_epoch=False, max_steps=2)))
    codes = []
    with restored_logging():
        while not codes or codes[-1]:
            codes.append(main(["train", str(tmp_path / "run.yaml"), "--max_minutes", "0.0001"]))
    assert set(codes[:-1]) == {75}
    assert "saved after step 1; the same command continues" in capsys.readouterr().err
    assert load_file(tmp_path / "run" / "model" / "model.safetensors")
