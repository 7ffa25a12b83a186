"""How the answers to a source are made and judged: the task's way, unless the config says otherwise."""

from pathlib import Path
from typing import Any

import pytest
from tests.helpers import plain_model, word_tokenizer

from llm_jepa.errors import UserError
from llm_jepa.evaluation.answerer import Greedy
from llm_jepa.evaluation.choice import Choosing
from llm_jepa.experiments.answers import Limits, answer_limit, answerer, scorer_of
from llm_jepa.experiments.config import dump_experiment, load_experiment, parse_experiment, plain
from llm_jepa.experiments.experiment import Evaluation
from llm_jepa.experiments.scorers import SCORERS
from llm_jepa.scoring.choice import ChoiceScorer
from llm_jepa.scoring.labels import LabelPrefix
from llm_jepa.scoring.numbers import FinalNumber
from llm_jepa.scoring.references import AnyReference
from llm_jepa.scoring.regex import RegexScorer
from llm_jepa.scoring.scorer import Scorer
from llm_jepa.scoring.sql import SqlScorer
from llm_jepa.scoring.text import TextScorer
from llm_jepa.views.tokenize import Tokenizer

GIVEN = ["--output", "run", "--model.name", "x", "--data.train", "gsm8k"]


@pytest.mark.parametrize(
    ("source", "kind", "limit"),
    [
        ("nl_regex", RegexScorer, 128),
        ("nl_rx_turk", RegexScorer, 64),
        ("gsm8k", FinalNumber, 512),
        ("spider", SqlScorer, None),
        ("nq_open", AnyReference, None),
        ("hellaswag", ChoiceScorer, None),
        ("rotten_tomatoes", LabelPrefix, None),
        ("mine.jsonl", TextScorer, 128),
        ("./gsm8k", TextScorer, 128),
    ],
)
def test_a_task_brings_its_scorer_and_its_room(source: str, kind: type[Scorer], limit: int | None, tmp_path: Path) -> None:
    assert type(scorer_of(source, Evaluation(), folder=tmp_path)) is kind
    assert limit is None or answer_limit(source, Evaluation()) == limit


def test_the_evaluations_own_settings_come_first(tmp_path: Path) -> None:
    own = Evaluation(scorer=TextScorer(), max_new_tokens=7)
    assert scorer_of("gsm8k", own, folder=tmp_path) == TextScorer()
    assert answer_limit("gsm8k", own) == 7


def test_only_the_choice_scorer_has_answers_chosen() -> None:
    limits = Limits(stop_ids=[3], max_new_tokens=5, batch_size=2)
    made = {
        kind: type(answerer(plain_model(), Tokenizer(word_tokenizer()), kind(), limits))
        for kind in (ChoiceScorer, TextScorer)
    }
    assert made == {ChoiceScorer: Choosing, TextScorer: Greedy}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--evaluation.scorer", "FinalNumber"], FinalNumber()),
        (["--evaluation.scorer", "llm_jepa.scoring.references.AnyReference"], AnyReference()),
        (
            ["--evaluation.scorer", "LabelPrefix", "--evaluation.scorer.labels", '["Good", "Bad"]'],
            LabelPrefix(labels=("Good", "Bad")),
        ),
        ([], None),
    ],
)
def test_a_config_names_a_scorer_by_its_class_and_survives_the_run_folder(
    options: list[str], expected: Scorer | None
) -> None:
    experiment = parse_experiment([*GIVEN, *options])
    assert experiment.evaluation.scorer == expected
    assert load_experiment(dump_experiment(experiment)) == experiment


def test_yaml_names_a_scorer_with_its_arguments(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("evaluation: {scorer: {class_path: LabelPrefix, init_args: {labels: [Good, Bad]}}}\n")
    assert parse_experiment(["--config", str(path), *GIVEN]).evaluation.scorer == LabelPrefix(labels=("Good", "Bad"))


def test_the_scorer_of_queries_is_written_without_its_process() -> None:
    experiment = parse_experiment(
        [*GIVEN, "--evaluation.scorer", "SqlScorer", "--evaluation.scorer.databases.folder", "data"]
    )
    expected: dict[str, Any] = {
        "class_path": "llm_jepa.scoring.sql.SqlScorer",
        "init_args": {"databases": {"folder": "data"}},
    }
    assert plain(experiment.evaluation.scorer) == expected
    assert plain(load_experiment(dump_experiment(experiment)).evaluation.scorer) == expected


def test_an_unknown_scorer_is_told_with_those_there_are() -> None:
    known = ", ".join(kind.__name__ for kind in SCORERS)
    with pytest.raises(UserError, match=f"the scorers are {known}$") as told:
        parse_experiment([*GIVEN, "--evaluation.scorer", "FinalNumbr"])
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("setting", [{"max_new_tokens": 0}, {"batch_size": 0}])
def test_limits_are_at_least_one(setting: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"evaluation.max_new_tokens and evaluation.batch_size are at least 1"):
        Evaluation(**setting)
