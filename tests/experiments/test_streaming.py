"""A run over a stream: what it needs, what it refuses, and that it trains, scores and continues like any other."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from tests.helpers import largest_difference

from llm_jepa.errors import UserError
from llm_jepa.experiments import material
from llm_jepa.experiments.experiment import Data, Evaluation, Experiment
from llm_jepa.experiments.files import RunFolder
from llm_jepa.experiments.material import prepare_material, read_sources
from llm_jepa.experiments.preflight.command import check
from llm_jepa.experiments.run import run_experiment
from llm_jepa.model.load import ModelConfig
from llm_jepa.objective.jepa import JEPA

TINY = {"model_type": "llama", "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}


@pytest.fixture
def described(tmp_path: Path) -> Experiment:
    rows = [{"text": f"lines with {index} dogs", "code": f"dog {index}"} for index in range(60)]
    for name, part in (("train", rows), ("test", rows[:3])):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part))
    return Experiment(
        output=str(tmp_path / "run"),
        model=ModelConfig(config=TINY, vocabulary=300),
        data=Data(train=str(tmp_path / "train.jsonl"), test=str(tmp_path / "test.jsonl"), stream=True, buffer=16),
        objective=JEPA(weight=0.5, dropout=0.5),
        evaluation=Evaluation(max_new_tokens=3),
        training={"max_steps": 6, "save_steps": 3, "per_device_train_batch_size": 4, "use_cpu": True},
    )


def final_weights(run: RunFolder) -> dict[str, Any]:
    return load_file(run.model / "model.safetensors")


def test_a_run_over_a_stream_ends_like_any_other_and_continues_exactly(described, tmp_path):
    run = run_experiment(described)
    results = json.loads(run.results.read_text())
    assert results["steps"] == 6
    assert set(json.loads(run.environment.read_text())["data"]) == {"train_head", "test"}
    assert [path.name for path in sorted(run.checkpoints.glob("checkpoint-*"))] == ["checkpoint-3", "checkpoint-6"]

    expected = final_weights(run)
    run.results.unlink()
    run_experiment(described)  # a run that is trained and not scored takes no further step
    assert json.loads(run.results.read_text())["steps"] == 6
    assert largest_difference(expected, final_weights(run)) == 0

    again = replace(described, output=str(tmp_path / "again"))
    other = run_experiment(again)
    other.results.unlink()
    shutil.rmtree(other.checkpoints / "checkpoint-6")
    shutil.rmtree(other.model)
    run_experiment(again)
    assert largest_difference(expected, final_weights(other)) == 0


def test_the_beginning_of_the_stream_is_what_everything_is_checked_with(described, monkeypatch):
    monkeypatch.setattr(material, "HEAD", 10)
    made = prepare_material(described)
    assert made.examples.streamed
    assert [sample.name for sample in made.train] == [f"train.jsonl:{number}" for number in range(1, 11)]
    assert len(made.test) == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"training": {}}, "^data.stream: a stream has no end, so say how many steps to train; set training.max_steps$"),
        ({"training": {"max_steps": -1}}, "^data.stream: a stream has no end"),
        ({"evaluation": Evaluation(each_epoch=True)}, "^evaluation.each_epoch: a stream has no epochs"),
        ({"training": {}, "max_flops": 1e9}, "^max_flops needs the number of training rows, and a stream tells none"),
    ],
)
def test_what_needs_the_number_of_rows_is_refused(described, change, message):
    with pytest.raises(UserError, match=message):
        replace(described, **change)


def test_a_limit_and_data_that_are_no_file_are_refused(described):
    with pytest.raises(UserError, match=r"^data\.limit draws from all over the data"):
        replace(described.data, limit=3)
    for name in ("gsm8k", "nl_regex"):
        with pytest.raises(UserError, match=f"^data.stream: '{name}' is small and read whole; name a file, a folder"):
            read_sources(replace(described.data, train=name))


def test_preflight_says_that_it_counts_rows(described):
    with pytest.raises(UserError, match=r"^preflight counts the training rows, which a stream does not tell"):
        check(described, steps=1)
