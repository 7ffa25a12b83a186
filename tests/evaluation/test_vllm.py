"""The vLLM back end against a stand-in with the interface of `vllm.LLM`; the engine itself needs a GPU."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tests.evaluation.fake_vllm import LLM, SamplingParams

from llm_jepa.errors import UserError
from llm_jepa.evaluation.answerer import EvaluationItem
from llm_jepa.evaluation.evaluate import evaluate, read_predictions
from llm_jepa.evaluation.vllm import VLLM, Engine, greedy_sampling, load_engine

STOPS = (2, 7)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("vllm")
    vars(module).update(LLM=LLM, SamplingParams=SamplingParams)
    monkeypatch.setitem(sys.modules, "vllm", module)


def item(name: str, *ids: int) -> EvaluationItem:
    return EvaluationItem(name=name, prompt=str(ids), prompt_ids=ids, expected="")


ITEMS = [item("a", 1, 5), item("b", 9, 9, 12), item("c", 30), item("d", 1, 1, 1, 3)]


def answering(engine: Engine, *, room: int | None = None, batch_size: int = 3) -> VLLM:
    return VLLM(
        engine=engine,
        sampling=greedy_sampling(stop_ids=STOPS, max_new_tokens=6),
        decode=lambda ids: " ".join(map(str, ids)),
        stop_ids=STOPS,
        max_new_tokens=6,
        room=room,
        batch_size=batch_size,
    )


@pytest.mark.parametrize("keeps_stop", [True, False])
def test_answers_end_at_a_stop_token_or_at_the_limit(installed: None, keeps_stop: bool):
    engine = LLM("m", keeps_stop=keeps_stop)
    found = evaluate(answering(engine), ITEMS)
    assert [(each.generated, each.stopped, each.tokens) for each in found] == [
        ("4 3", True, 3),
        ("11 10 9 8", True, 5),
        ("29 28 27 26 25 24", False, 6),
        ("", True, 1),
    ]
    assert engine.batches == [[[1, 1, 1, 3], [9, 9, 12], [1, 5]], [[30]]]  # longest first, whole batches, whole prompts


def test_sampling_is_greedy_with_our_stop_tokens_and_limit_alone(installed: None):
    assert vars(greedy_sampling(stop_ids={7, 2}, max_new_tokens=6)) == {
        "temperature": 0.0,
        "max_tokens": 6,
        "stop_token_ids": [2, 7],
        "ignore_eos": True,
        "detokenize": False,
    }


def test_the_engine_is_loaded_without_the_models_own_generation_settings(installed: None):
    engine: Any = load_engine("folder", longest=40, options={"dtype": "bfloat16"})
    assert (engine.model, engine.max_model_len, engine.generation_config, engine.dtype) == ("folder", 40, "vllm", "bfloat16")


def test_what_the_engine_refuses_is_one_sentence(installed: None):
    with pytest.raises(UserError, match=r"^vLLM cannot load 'broken' \(No supported config format found in broken\); leave"):
        load_engine("broken", longest=40)


def test_a_missing_package_is_one_sentence(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(UserError, match=r"^the back end vllm is not installed .*; `pip install vllm`") as told:
        load_engine("folder", longest=40)
    assert "\n" not in str(told.value)


def test_a_prompt_without_room_is_refused_and_not_cut(installed: None):
    with pytest.raises(UserError, match="b has 3 tokens, and with max_new_tokens 6 that makes 9: more than the model's 8"):
        evaluate(answering(LLM("m"), room=8), ITEMS)


class Kill(BaseException):
    """Stands for the process's end."""


def test_a_killed_evaluation_ends_with_the_same_bytes(installed: None, tmp_path: Path):
    whole = evaluate(answering(LLM("m"), batch_size=1), ITEMS, folder=tmp_path / "whole")

    def die(finished: int, _total: int) -> None:
        if finished == 2:
            raise Kill

    with pytest.raises(Kill):
        evaluate(answering(LLM("m"), batch_size=1), ITEMS, folder=tmp_path / "killed", progress=die)
    engine = LLM("m")
    evaluate(answering(engine, batch_size=1), ITEMS, folder=tmp_path / "killed")
    assert engine.batches == [[[1, 5]], [[30]]]
    files = [tmp_path / name / "predictions.jsonl" for name in ("whole", "killed")]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert read_predictions(files[1]) == whole
