"""All recipes by name, and what is known to differ from the paper in every one of them."""

from collections.abc import Mapping

from llm_jepa.errors import UserError, nearest
from llm_jepa.recipes import appendix, figures, tables
from llm_jepa.recipes.recipe import Recipe

RECIPES: Mapping[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        *(tables.TABLE_1, tables.TABLE_2, tables.TABLE_3, tables.TABLE_4, tables.TABLE_5, tables.TABLE_6, tables.TABLE_7),
        *(appendix.TABLE_8, appendix.TABLE_9, appendix.TABLE_10, appendix.TABLE_11),
        *(appendix.TABLE_12, appendix.TABLE_13, appendix.TABLE_14, appendix.TABLE_15),
        *(figures.FIGURE_1, figures.FIGURE_3, figures.FIGURE_4, figures.FIGURE_5),
        *(figures.FIGURE_6, figures.FIGURE_7, figures.FIGURE_8, figures.FIGURE_9),
    )
}

NOTHING: Mapping[str, str] = {"figure-2": "a drawing of the method; it shows no result"}
"""Tables and figures of the paper that have nothing to reproduce, and why."""

EVERYWHERE = (
    "Learning rate, λ and k are the paper's, which it chose on the test rows: the best of 20 cells against the best of 4 "
    "learning rates, without correction. Here nothing is chosen, and all training rows are trained on.",
    "The official code trains on every token and never on the stop token where the pad token is the same one (Llama, "
    "OpenELM, and pretraining); paper_code repeats that, correct trains on the answer and its stop token.",
    "With gradient accumulation the official JEPA arm has a loss and gradients that are too large by the number of "
    "micro-batches, 4, and the plain arm has not; paper_code repeats that.",
    "128 rows a step, as in the paper: one process with 4 micro-batches of 32 stands for its 8 with 4 of 4.",
    "Evaluators are those of llm-jepa; answers are as long as the task needs, and every model's own stop tokens end them.",
    "The control on shuffled pairs is not the paper's: a gain that it has too does not come from what the views say.",
)


def find_recipe(name: str) -> Recipe:
    """Return the recipe of this name.

    Raises:
        UserError: there is none.
    """
    if name in NOTHING:
        raise UserError(f"{name} is {NOTHING[name]}; `llm-jepa reproduce --list` names what can be reproduced")
    if name not in RECIPES:
        raise UserError(f"there is no recipe '{name}'{nearest(name, RECIPES)}; `llm-jepa reproduce --list` has all")
    return RECIPES[name]
