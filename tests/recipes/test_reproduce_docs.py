"""docs/reproduce.md says what the recipes cost, and names every option of the verb."""

import re
from pathlib import Path

from llm_jepa.cli import main
from llm_jepa.recipes.hours import told
from llm_jepa.recipes.registry import RECIPES

PAGE = (Path(__file__).parents[2] / "docs" / "reproduce.md").read_text(encoding="utf-8")


def test_the_table_has_every_recipe_with_its_computed_cost():
    rows = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in PAGE.splitlines()]
    found = {row[0]: row[1:] for row in rows if row[0] in RECIPES}
    assert found == {name: (recipe.title, *told(recipe)) for name, recipe in RECIPES.items()}


def test_every_option_is_explained(capsys):
    assert main(["reproduce", "--help"]) == 0
    options = set(re.findall(r"(?m)^  (?:-h, )?(--\w+)", capsys.readouterr().out)) - {"--help"}
    assert len(options) == 11
    assert {option for option in options if option not in PAGE} == set()
