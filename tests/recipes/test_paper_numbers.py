"""Every number that a recipe says is the paper's stands in the paper's text, and is named as the paper names it."""

import re

import pytest

from llm_jepa.experiments.compare.arms import PAPER_SEEDS
from llm_jepa.recipes.appendix import TEXTS_11
from llm_jepa.recipes.recipe import Recipe
from llm_jepa.recipes.registry import NOTHING, RECIPES
from llm_jepa.recipes.tables import TEXTS_1


@pytest.fixture(scope="module")
def paper(shared) -> str:
    """The paper's text without white space, its minus signs and quotes as on a keyboard."""
    text = (shared / "paper" / "llm-jepa.txt").read_text(encoding="utf-8")
    return re.sub(r"\s+", "", text.translate(str.maketrans("−’‘", "-''")))


def stated(recipe: Recipe) -> list[str]:
    return [claim.paper.text for study in recipe.studies for claim in study.claims if claim.paper is not None]


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES.keys())
def test_every_mean_and_deviation_is_in_the_paper(recipe, paper):
    missing = [text for text in stated(recipe) if text.replace(" ", "") not in paper]
    assert missing == []


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES.keys())
def test_every_p_value_is_in_the_paper(recipe, paper):
    given = [gain.p for study in recipe.studies for gain in study.gains if gain.p is not None]
    assert [p for p in given if p not in paper] == []


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES.keys())
def test_models_that_the_paper_names_are_the_ones_trained(recipe, paper):
    for study in recipe.studies:
        title = study.model.title.split(",")[0]
        assert title in paper
        assert study.model.name.endswith(title)


@pytest.mark.parametrize(
    ("name", "count"),
    [
        *(("table-2", 2), ("table-3", 7), ("table-4", 4), ("table-5", 4), ("table-6", 36), ("table-8", 12), ("table-9", 4)),
        *(("table-10", 7), ("table-12", 8), ("table-13", 6), ("table-14", 8), ("table-15", 8), ("figure-3", 2)),
    ],
)
def test_no_number_of_a_table_is_left_out(name, count):
    assert len(stated(RECIPES[name])) == count


def test_there_is_one_entry_for_every_table_and_figure():
    names = [*(f"table-{number}" for number in range(1, 16)), *(f"figure-{number}" for number in range(1, 10))]
    assert sorted([*RECIPES, *NOTHING]) == sorted(names)
    assert list(NOTHING) == ["figure-2"]


@pytest.mark.parametrize("text", [*TEXTS_1, *TEXTS_11])
def test_texts_shown_side_by_side_are_those_of_the_paper(text, paper):
    assert text.replace(" ", "").removeprefix("l") in paper  # the paper's "ines containing" lacks its first letter


def test_texts_shown_side_by_side_are_test_rows(real_rows):
    asked = {row["messages"][1]["content"].strip() for row in real_rows("nl_rx_synth_test", 10_000)}
    assert [text for text in (*TEXTS_1, *TEXTS_11) if text not in asked] == []


def test_the_seeds_and_the_learning_rates_are_the_papers():
    assert PAPER_SEEDS == (82, 23, 37, 84, 4)
    for recipe in RECIPES.values():
        assert recipe.seeds in (PAPER_SEEDS, (82,))
        assert {study.settings["training.learning_rate"] for study in recipe.studies} <= {1e-5, 2e-5, 4e-5, 8e-5}
