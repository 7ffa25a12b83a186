"""Outcome of a recipe -> `paper.html`, `paper.md` and `paper.json`: the paper's numbers, ours and the difference."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader

from llm_jepa.experiments.files import write_json
from llm_jepa.experiments.report.differences import visible
from llm_jepa.experiments.report.page import templates, write_page
from llm_jepa.experiments.results.measures import ABSENT
from llm_jepa.recipes.beside import Beside, Tested, beside, tested
from llm_jepa.recipes.outcome import Outcome
from llm_jepa.recipes.registry import EVERYWHERE
from llm_jepa.recipes.sections import Section

PAGE = "paper"
ROWS = ("Setting", "Preset", "Paper", "Ours", "Difference", "n", "Note")
TESTS = ("Comparison", "Preset", "Paper", "Ours")


def write_recipe_page(outcome: Outcome, extras: Sequence[Section], links: Sequence[tuple[str, str]]) -> Path:
    """Write the page and its numbers into the recipe's folder; return the path of the HTML page.

    Args:
        outcome: what came of the recipe.
        extras: what is shown beside the numbers.
        links: names and addresses of the reports, relative to the page.
    """
    plan, recipe = outcome.plan, outcome.plan.recipe
    rows, tests = beside(outcome), tested(outcome)
    scaled = plan.scale.changes(recipe, plan.place)
    values: dict[str, Any] = {
        "title": f"{recipe.name.replace('-', ' ').capitalize()}: {recipe.title}",
        "scale": plan.scale.name,
        "shows": recipe.shows,
        "scaled": scaled,
        "deviations": [*recipe.deviations, *EVERYWHERE],
        "sections": [*_numbers(rows), *_tests(tests), *extras],
        "links": links,
        "colours": [],
    }
    folder, environment = plan.pages, _environment()
    write_page(folder / f"{PAGE}.md", environment.get_template("recipe.md.jinja").render(values))
    page = folder / f"{PAGE}.html"
    write_page(page, environment.get_template("recipe.html.jinja").render(values))
    record = {
        "recipe": recipe.name,
        "scale": plan.scale.name,
        "scaled": list(scaled),
        "seeds": list(plan.seeds),
        "presets": [preset.value for preset in plan.presets],
        "rows": [asdict(row) for row in rows],
        "tests": [asdict(test) for test in tests],
        "deviations": values["deviations"],
    }
    write_json(folder / f"{PAGE}.json", record)
    return page


def cells(row: Beside) -> tuple[str, ...]:
    """Return a row of the table beside the paper, as text; `ROWS` names the columns."""
    difference = None if row.ours is None or row.paper_mean is None else row.ours - row.paper_mean
    told = ABSENT if difference is None else f"{difference:+z,.2f}".replace("-", "−")
    return (
        row.setting,
        row.preset,
        row.paper or ABSENT,
        _mean(row),
        told,
        str(row.n) if row.n else ABSENT,
        row.note,
    )


def _mean(row: Beside) -> str:
    if row.ours is None:
        return ABSENT
    spread = "" if row.deviation is None else f" ± {row.deviation:,.2f}"
    return f"{row.ours:,.2f}{spread}".replace("-", "−")


def _numbers(rows: Sequence[Beside]) -> list[Section]:
    """Return one table a study and measure; without the column of notes where there are none."""
    found: dict[tuple[str, str], list[Beside]] = {}
    for row in rows:
        found.setdefault((row.study, row.measure), []).append(row)
    return [
        Section(
            title=f"{study}: {measure}",
            text=("Mean ± sample standard deviation over n runs.",),
            columns=ROWS[:width],
            rows=[cells(row)[:width] for row in group],
        )
        for (study, measure), group in found.items()
        for width in (len(ROWS) - (not any(row.note for row in group)),)
    ]


def _tests(tests: Sequence[Tested]) -> list[Section]:
    """Return one table a study."""
    text = (
        "Gain in points of the first over the second, and p of the paired one-tailed t-test. The paper's is not "
        "corrected for the search that came before it; ours is corrected over all comparisons of this page with the same "
        "preset.",
    )
    return [
        Section(
            title=f"{study}: gains",
            text=text if place == 0 else (),
            columns=TESTS,
            rows=[(test.comparison, test.preset, test.paper or ABSENT, test.ours) for test in tests if test.study == study],
        )
        for place, study in enumerate(dict.fromkeys(test.study for test in tests))
    ]


def _environment() -> Environment:
    environment = templates()
    own = PackageLoader("llm_jepa", "recipes")
    environment.loader = ChoiceLoader([own, environment.loader]) if environment.loader else own
    environment.filters["visible"] = visible
    return environment
