"""`llm-jepa reproduce`: a table or figure of the paper, trained and measured, beside the paper's numbers."""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from llm_jepa.errors import UserError
from llm_jepa.experiments.commands import Count, asks_for_help, existing_folder, split_options
from llm_jepa.experiments.compare.arms import PAPER_SEEDS
from llm_jepa.experiments.config import dump_experiment
from llm_jepa.experiments.files import RunFolder, check_run
from llm_jepa.experiments.interruption import Interrupted
from llm_jepa.experiments.minutes import add_minutes, deadline
from llm_jepa.experiments.pool import run_all
from llm_jepa.experiments.presets import Preset
from llm_jepa.experiments.quiet import quiet_libraries
from llm_jepa.experiments.report.writing import write_report
from llm_jepa.experiments.screen import Screen
from llm_jepa.recipes.beside import beside
from llm_jepa.recipes.hours import cost, recipe_cost
from llm_jepa.recipes.outcome import Outcome
from llm_jepa.recipes.page import ROWS, cells, write_recipe_page
from llm_jepa.recipes.plan import Plan, Planned
from llm_jepa.recipes.recipe import Recipe
from llm_jepa.recipes.registry import NOTHING, RECIPES, find_recipe
from llm_jepa.recipes.scales import SCALES, Place, Scale
from llm_jepa.training.deadline import Deadline

DESCRIPTION = """Make a table or figure of the paper anew: train every arm with every seed, with the options of
`correct` and with those
of the official code (`paper_code`), and set the paper's numbers, ours and the difference side by side. --scale tiny
runs all of it with a
small model on a CPU in minutes, which shows that the recipe works and nothing about the paper. The same command
continues what was
interrupted; recipes that share runs make them once."""


def reproduce(arguments: Sequence[str]) -> int:
    """Run `llm-jepa reproduce --list` or `llm-jepa reproduce NAME [options]`.

    Returns:
        0 when all is done, 75 when the time was over.
    """
    parser = _parser()
    if asks_for_help(arguments):
        parser.print_help()
        return 0
    options, rest = split_options(parser, arguments)
    if rest:
        raise UserError(f"there is no option '{rest[0]}'; `llm-jepa reproduce --help` names them")
    console = Screen()
    if options.list:
        console.print(_list())
        return 0
    if options.name is None:
        raise UserError("name a table or figure, such as table-2; `llm-jepa reproduce --list` names them all")
    plan = _plan(options)
    if options.plan:
        _show_plan(plan, console)
        return 0
    quiet_libraries(console)
    return run_plan(plan, console, workers=options.workers, ends=deadline(options))


def run_plan(plan: Plan, console: Console, *, workers: int | None, ends: Deadline) -> int:
    """Make all runs of a plan that are not there, then its reports and its page; return the exit code."""
    began = time.monotonic()
    try:
        for stage in plan.stages():
            left = unfinished(stage)
            if left:
                console.print(f"{len(left)} of {len(stage)} runs to make", markup=False)
                run_all(left, console=console, workers=_workers(workers, plan.scale), deadline=ends)
    except Interrupted as stop:
        console.print(f"{stop}; the same command continues", markup=False)
        return stop.exit_code
    page, rows = conclude(plan)
    console.print(rows)
    console.print(f"\n{(time.monotonic() - began) / 60:.1f} minutes; the page: {page}", markup=False)
    return 0


def unfinished(jobs: Sequence[Planned]) -> list[Planned]:
    """Return the runs that are still to be made.

    Raises:
        UserError: a folder holds a run with another config.
    """
    for job in jobs:
        check_run(RunFolder(Path(job.experiment.output)), dump_experiment(job.experiment), overwrite=False)
    return [job for job in jobs if not RunFolder(Path(job.experiment.output)).results.exists()]


def conclude(plan: Plan) -> tuple[Path, Table]:
    """Measure what the recipe shows beside its runs, write reports and page; return the page's path and the table."""
    outcome = Outcome(plan)
    extras = [section for extra in plan.recipe.extras for section in extra.sections(outcome)]
    page = write_recipe_page(outcome, extras, _reports(outcome))
    shown = Table(title=plan.recipe.title, title_justify="left", box=SIMPLE_HEAD)
    for column in ROWS[:-1]:
        shown.add_column(column)
    rows = beside(outcome)
    for study, measure in dict.fromkeys((row.study, row.measure) for row in rows):
        shown.add_row(Text(f"{study}: {measure}", style="bold"))
        for row in rows:
            if (row.study, row.measure) == (study, measure):
                shown.add_row(*(Text(cell) for cell in cells(row)[:-1]))
    return page, shown


def _reports(outcome: Outcome) -> list[tuple[str, str]]:
    """Write a report for every study and preset; return their names and their addresses from the recipe's page.

    Two stages have none: the runs that share a pretrained model are no independent pairs, which a report would take
    them for.
    """
    plan, links = outcome.plan, list[tuple[str, str]]()
    for study in plan.chosen():
        for preset in plan.presets:
            folders = [folder for arm in plan.arms(study) for folder in outcome.folders(study, preset, arm.name)]
            if not folders or not study.scored or study.pretrained is not None:
                continue
            remarks = [f"Options: {preset.value}. Scale: {plan.scale.name}.", *plan.scale.changes(plan.recipe, plan.place)]
            title = f"{study.title}, {preset.value}"
            page = write_report(*folders, title=title, output=outcome.page(study, preset), remarks=remarks)
            links.append((title, page.relative_to(plan.pages).as_posix()))
    return links


def _workers(given: int | None, scale: Scale) -> int | None:
    """Return how many runs are made at a time: as asked for; on an accelerator one."""
    return 1 if given is None and scale.gpu and torch.cuda.is_available() else given


def _plan(options: argparse.Namespace) -> Plan:
    recipe, scale = find_recipe(options.name), SCALES[options.scale]
    root = Path(options.output or ("runs/reproduce" if scale.gpu else f"runs/reproduce-{scale.name}"))
    data = None if options.data_folder is None else existing_folder(options.data_folder)
    seeds = tuple(options.seeds) if options.seeds else recipe.seeds[: scale.seeds]
    repeated = next((seed for seed in seeds if seeds.count(seed) > 1), None)
    if repeated is not None:
        raise UserError(f"--seeds names {repeated} twice; give every seed once")
    return Plan(
        recipe=recipe,
        scale=scale,
        place=Place(root=root, data=data),
        presets=tuple(Preset(name) for name in options.presets),
        seeds=seeds,
        only=tuple(options.only or ()),
        studies=tuple(options.studies or ()),
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="llm-jepa reproduce",
        usage="%(prog)s NAME [options], or %(prog)s --list",
        description=DESCRIPTION,
        exit_on_error=False,
        allow_abbrev=False,
    )
    presets = [preset.value for preset in Preset]
    parser.add_argument("name", nargs="?", metavar="NAME", help="table-1 to table-15, figure-1, figure-3 to figure-9")
    parser.add_argument("--list", action="store_true", help="name all tables and figures, with what they would cost")
    parser.add_argument(
        "--plan", action="store_true", help="show what would be trained and what it would cost, and train nothing"
    )
    parser.add_argument("--scale", choices=list(SCALES), default="paper", help="paper (default) or tiny")
    parser.add_argument(
        "--output", metavar="DIR", help="folder of runs and pages (default: runs/reproduce, or runs/reproduce-tiny)"
    )
    parser.add_argument("--data_folder", metavar="DIR", help="where the files of data lie, if they cannot be fetched")
    seeds = " ".join(map(str, PAPER_SEEDS))
    parser.add_argument(
        "--seeds", nargs="+", type=int, metavar="N", help=f"one run of every arm for each (the paper's: {seeds})"
    )
    parser.add_argument(
        "--only", nargs="+", metavar="ARM", help="only these arms, by name or kind (plain, jepa, shuffled, ...)"
    )
    parser.add_argument("--studies", nargs="+", metavar="STUDY", help="only these studies, as --plan names them")
    parser.add_argument(
        "--presets", nargs="+", choices=presets, default=presets, help="options to train with (default: both)"
    )
    parser.add_argument("--workers", type=Count(), metavar="N", help="runs at a time (default: one a core; on a GPU 1)")
    add_minutes(parser)
    return parser


def _list() -> Table:
    shown = Table(title="Tables and figures of the paper", title_justify="left", box=SIMPLE_HEAD)
    for column, justify in (("", "left"), ("what it shows", "left"), ("runs", "right"), ("hours of one H200", "right")):
        shown.add_column(column, justify=justify)  # pyright: ignore[reportArgumentType]
    for name in sorted([*RECIPES, *NOTHING], key=_order):
        if name in NOTHING:
            shown.add_row(name, NOTHING[name], "", "")
        else:
            found = recipe_cost(RECIPES[name])
            shown.add_row(name, RECIPES[name].title, f"{found.runs:,}", f"{found.hours:,.1f}")
    return shown


def _order(name: str) -> tuple[bool, int]:
    kind, _, number = name.partition("-")
    return kind == "figure", int(number)


def _show_plan(plan: Plan, console: Console) -> None:
    recipe: Recipe = plan.recipe
    console.print(f"{recipe.name}: {recipe.title}", markup=False)
    console.print(recipe.shows, markup=False)
    for study in plan.chosen():
        arms = ", ".join(arm.name for arm in plan.arms(study))
        console.print(f"\n{study.name}: {study.title}\n  arms: {arms}", markup=False, highlight=False)
    if plan.scale.gpu:
        _show_cost(plan, console)
    for sentence in (*plan.scale.changes(recipe, plan.place), *recipe.deviations):
        console.print(f"- {sentence}", markup=False, highlight=False)


def _show_cost(plan: Plan, console: Console) -> None:
    found = cost(plan.chosen(), plan.arms, presets=plan.presets, seeds=len(plan.seeds))
    memory = ", ".join(f"{preset.value} {size:,.0f} GB" for preset, size in found.memory.items())
    console.print(
        f"\n{found.runs:,} runs, {found.flops / 1e15:,.0f} PFLOPs, about {found.hours:,.1f} hours of one H200, "
        f"{found.disk:,.0f} GB of trained models; states of the largest model in training: {memory}.",
        markup=False,
        highlight=False,
    )
