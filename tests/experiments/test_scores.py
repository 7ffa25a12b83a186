"""Verdicts -> figures and table."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from llm_jepa.experiments.scores import intervals, scores, table, verdicts
from llm_jepa.records import Example, Message, Prediction
from llm_jepa.scoring.choice import ChoiceScorer
from llm_jepa.scoring.numbers import FinalNumber
from llm_jepa.scoring.scorer import Measure, Scorer, Verdicts
from llm_jepa.scoring.text import TextScorer


def example(answer: str, **extra: str) -> Example:
    return Example(name="a", messages=(Message(role="assistant", content=answer),), extra=extra)


def prediction(
    generated: str, *, tokens: int = 2, stopped: bool = True, likelihoods: Mapping[str, float] | None = None
) -> Prediction:
    ends: dict[str, Any] = {"stopped": stopped, "tokens": tokens, "likelihoods": likelihoods or {}}
    return Prediction(name="a", prompt="", expected="", generated=generated, **ends)


@dataclass(frozen=True)
class Length(Scorer):
    """A number, not a share: characters too many."""

    @property
    def measures(self) -> tuple[Measure, ...]:
        return (Measure(name="length", title="too long", what="characters", unit="characters"),)

    def __call__(self, example: Example, prediction: Prediction) -> Verdicts:
        return {"length": float(len(prediction.generated) - len(example.answer))}


def shown(scorer: Scorer, result: dict[str, Any]) -> dict[str, str]:
    """Return the cells of the table by their titles."""
    found = table(scorer, result)
    console = Console(width=200, record=True, quiet=True)
    titles, cells = ([console.render_str(str(cell)).plain for cell in column.cells] for column in found.columns)
    return dict(zip(titles, cells, strict=True))


EXAMPLES = [example("dog"), example("cat"), example("ring"), example(" ")]
ANSWERS = [prediction("dog"), prediction("cat and dog", tokens=8, stopped=False), prediction("lake"), prediction("x")]


def test_every_measure_stands_by_its_name_and_the_first_is_the_accuracy() -> None:
    found = verdicts(TextScorer(), EXAMPLES, ANSWERS)
    assert scores(TextScorer(), found, ANSWERS) == {
        "examples": 4,
        "measure": "exact",
        "accuracy": pytest.approx(1 / 3),
        "titles": {"exact": "exact match", "prefix": "prefix match", "stopped": "stop rate"},
        "exact": pytest.approx(1 / 3),
        "prefix": pytest.approx(2 / 3),
        "stopped": 0.75,
        "excluded": {"exact": 1, "prefix": 1},
        "stop_rate": 0.75,
        "mean_tokens": 3.5,
    }


def test_nothing_left_out_is_not_mentioned() -> None:
    found = verdicts(TextScorer(), EXAMPLES[:3], ANSWERS[:3])
    assert not {"excluded", "unknown"} & scores(TextScorer(), found, ANSWERS[:3]).keys()


def test_a_measure_that_counts_nothing_is_null_with_a_reason() -> None:
    examples, answers = [example("no number"), example("none here")], ANSWERS[:2]
    found = verdicts(FinalNumber(), examples, answers)
    result = scores(FinalNumber(), found, answers)
    assert result["accuracy"] is None
    assert result["final_number"] is None
    assert result["excluded"]["final_number"] == 2
    assert result["unknown"]["final_number"].startswith("none of 2 examples counts for 'final answer': the number after")
    assert intervals(FinalNumber(), found) == {"final_number_interval": None, "accuracy_interval": None}
    assert shown(FinalNumber(), result | intervals(FinalNumber(), found))["final answer"] == "unknown  (2 left out)"


def test_chosen_answers_have_neither_stop_rate_nor_tokens() -> None:
    likelihoods = {f"letter {letter}": float(-place) for place, letter in enumerate("ABCD")}
    answers = [prediction("A", tokens=0, likelihoods=likelihoods)] * 2
    examples = [example("A"), example("B")]
    result = scores(ChoiceScorer(), verdicts(ChoiceScorer(), examples, answers), answers)
    assert result["accuracy"] == 0.5
    assert not {"stop_rate", "mean_tokens"} & result.keys()
    assert result["ending"] is None
    assert "tokens an answer" not in shown(ChoiceScorer(), result)


@pytest.mark.parametrize("right", [0, 10])
def test_all_wrong_and_all_right_are_scores_like_others(right: int) -> None:
    """The official evaluation divides by what it lacks at 0 % and at 100 %."""
    answers = [prediction("dog" if index < right else "cat") for index in range(10)]
    examples = [example("dog")] * 10
    found = verdicts(TextScorer(), examples, answers)
    result = scores(TextScorer(), found, answers) | intervals(TextScorer(), found)
    share = right / 10
    assert (result["accuracy"], result["accuracy_interval"]) == (share, (share, share))
    assert shown(TextScorer(), result)["exact match"] == f"{100 * share:.1f} %"


def test_the_interval_is_the_binomial_one_over_what_counts() -> None:
    answers = [prediction("dog" if index < 30 else "cat") for index in range(60)]
    examples = [example("dog")] * 50 + [example("")] * 10
    found = intervals(TextScorer(), verdicts(TextScorer(), examples, answers))
    draws = np.random.default_rng(3).binomial(50, 0.6, size=100_000) / 50
    low, high = np.quantile(draws, [0.025, 0.975])
    assert found["exact_interval"] == found["accuracy_interval"]
    assert found["accuracy_interval"] == pytest.approx((low, high), abs=0.021)


def test_a_number_has_an_interval_of_means_and_its_unit() -> None:
    answers = [prediction("x" * (index % 7)) for index in range(40)]
    examples = [example("")] * 40
    found = verdicts(Length(), examples, answers)
    values = [verdict["length"] for verdict in found]
    draws = np.random.default_rng(9).choice(np.array(values, dtype=float), size=(20_000, 40)).mean(axis=1)
    result = scores(Length(), found, answers) | intervals(Length(), found)
    low, high = np.quantile(draws, [0.025, 0.975])
    assert result["accuracy_interval"] == pytest.approx((low, high), abs=0.05)
    cells = shown(Length(), result)
    assert cells["too long"].startswith("2.875 characters  (95 % interval 2.")
    assert cells["stop rate"] == "100.0 %"


def test_the_table_tells_the_interval_and_what_was_left_out() -> None:
    found = verdicts(TextScorer(), EXAMPLES, ANSWERS)
    cells = shown(TextScorer(), scores(TextScorer(), found, ANSWERS) | intervals(TextScorer(), found))
    assert list(cells) == ["examples", "exact match", "prefix match", "stop rate", "tokens an answer"]
    assert cells["exact match"] == "33.3 %  (95 % interval 0.0 % to 100.0 %; 1 left out)"
    assert cells["prefix match"] == "66.7 %  (1 left out)"
    assert cells["tokens an answer"] == "3.5"
