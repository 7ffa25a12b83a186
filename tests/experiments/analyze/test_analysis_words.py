"""What is said of embeddings: a collapse is named, and Table 14's small numbers are not taken for structure."""

from pathlib import Path

import pytest
import torch

from llm_jepa.analysis.structure import Reading, measure
from llm_jepa.experiments.analyze.measures import number, table
from llm_jepa.experiments.analyze.record import Analysed
from llm_jepa.experiments.analyze.words import WARNING, headline, remarks, sentence
from llm_jepa.experiments.experiment import Data, Experiment
from llm_jepa.experiments.files import RunFolder
from llm_jepa.experiments.subjects import Subject
from llm_jepa.model.load import ModelConfig

POINT = torch.full((8,), 20.0)


def draw(seed: int, rows: int = 60) -> torch.Tensor:
    return torch.randn(rows, 8, generator=torch.Generator().manual_seed(seed))


def analysed(label: str, reading: Reading, *, run: bool = True, remark: str = "") -> Analysed:
    described = Experiment(output="x", model=ModelConfig(name=label), data=Data(train="x"))
    folder = RunFolder(Path(label)) if run else None
    subject = Subject(name=label, label=label, experiment=described, run=folder, remark=remark)
    return Analysed(subject=subject, weights="00", structure=measure(reading))


SPREAD = Reading(text=draw(0), code=draw(1))
COLLAPSED = Reading(text=POINT + draw(0) / 50, code=POINT + draw(1) / 50)
SHRUNK = Reading(text=draw(0) / 50, code=draw(1) / 50)
CLOSER = Reading(text=draw(0), code=draw(0) + draw(1) / 20)
CLOSE = Reading(text=POINT + draw(0) / 50, code=POINT + draw(0) / 50)


def told(reading: Reading, **more) -> str:
    return sentence(analysed("b", reading, **more), analysed("a", SPREAD))


def test_a_collapse_is_named_with_its_numbers_and_table_14_is_not_believed() -> None:
    text = told(COLLAPSED)
    assert text.startswith(
        "b: collapsed: all embeddings point in one direction and hardly tell examples apart (cosine 1.000"
    )
    assert "1.7 % of the Texts find their partner among 60, chance 1.7 %" in text
    assert "Beside a the top singular values of Enc(Text) − Enc(Code) fall to 1/50 and the least-squares error to 1/" in text
    assert text.endswith(WARNING)


def test_a_model_that_nobody_trained_here_is_not_said_to_have_collapsed() -> None:
    assert told(COLLAPSED, run=False).startswith("b: all embeddings point in one direction")


def test_smaller_embeddings_alone_are_no_structure_either() -> None:
    text = told(SHRUNK)
    assert "divided by Code's own spread they are 1 and 1 times as large, so most of the fall is one of size" in text
    assert text.endswith(WARNING)


def test_views_that_came_closer_are_told_from_that() -> None:
    text = told(CLOSER)
    assert text.startswith("b: not collapsed (")
    assert "fell by more than the embeddings shrank" in text
    assert WARNING not in text


def test_one_direction_in_which_partners_are_found_is_no_collapse() -> None:
    assert told(CLOSE).startswith("b: not collapsed: embeddings lie close together, yet tell examples apart")


def test_views_that_have_nothing_to_do_with_each_other_are_called_that() -> None:
    assert "hardly tell which views belong together" in told(SPREAD)


def test_where_nothing_fell_nothing_is_said_of_it() -> None:
    assert "Beside" not in told(SPREAD)


def test_the_first_model_is_not_compared_with_itself() -> None:
    first = analysed("a", COLLAPSED)
    assert "Beside" not in sentence(first, first)


def test_a_collapse_of_what_is_predicted_is_one_though_the_encodings_stay_apart() -> None:
    before = Reading(text=draw(0), code=draw(1), predicted=draw(2), target=draw(1))
    after = Reading(text=draw(0), code=draw(1), predicted=COLLAPSED.text, target=COLLAPSED.code)
    text = sentence(analysed("b", after), analysed("a", before))
    assert text.startswith("b: collapsed")
    assert "of the predictions find" in text
    assert "singular values of Pred(Enc(Text)) − Enc(Code) fall" in text


@pytest.mark.parametrize(
    ("readings", "expected"),
    [
        ([SPREAD], "The embeddings have not collapsed onto one direction."),
        ([COLLAPSED], "The embeddings have collapsed onto one direction."),
        ([SPREAD, CLOSER], "None of the 2 models has collapsed onto one direction."),
        ([SPREAD, COLLAPSED], "1 of 2 models has collapsed onto one direction: m1."),
        ([COLLAPSED, COLLAPSED], "2 of 2 models have collapsed onto one direction: m0, m1."),
    ],
)
def test_the_headline_counts(readings: list[Reading], expected: str) -> None:
    assert headline([analysed(f"m{i}", reading) for i, reading in enumerate(readings)]) == expected


def test_too_few_pairs_for_a_linear_map_are_told_and_left_out_of_the_comparison() -> None:
    few = [
        Reading(text=item[:8], code=other[:8]) for item, other in ((draw(0), draw(1)), (POINT + draw(0), POINT + draw(1)))
    ]
    first, second = analysed("a", few[0]), analysed("b", Reading(text=few[0].text / 50, code=few[0].code / 50))
    assert "least-squares" not in sentence(second, first)
    (found,) = remarks([first, second], left_out=0)
    assert found.startswith("a, b: no more pairs (8) than hidden units, so a linear map fits anything")


def test_remarks_say_how_models_were_read_and_what_was_left_out() -> None:
    item = analysed("a", SPREAD, remark="a: read otherwise.")
    assert remarks([item], left_out=1) == [
        "a: read otherwise.",
        "1 pair did not fit into the context of every model and was left out.",
    ]
    assert remarks([item], left_out=2)[1].startswith("2 pairs did not fit into the context of every model and were")


def test_the_table_has_a_row_for_predictions_only_where_there_are_some() -> None:
    plain = table([analysed("a", SPREAD)])
    labels = {row.label for _, rows in plain for row, _ in rows}
    assert "Least-squares error" in labels
    assert not any(label.startswith("Pred") for label in labels)
    both = table(
        [analysed("a", SPREAD), analysed("b", Reading(text=draw(0), code=draw(1), predicted=draw(2), target=draw(1)))]
    )
    cells = {row.label: cells for _, rows in both for row, cells in rows}
    assert cells["Pred: gap"][0] == "–"
    assert cells["Pred: gap"][1] != "–"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (3953.11, "3,953"),
        (4.0449, "4.04"),
        (0.99999, "1.00"),
        (9.999, "10.0"),
        (-0.5, "−0.500"),
        (0.0, "0"),
        (4e-13, "4e−13"),
    ],
)
def test_numbers_have_three_digits(value: float, shown: str) -> None:
    assert number(value) == shown
