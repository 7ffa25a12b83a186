"""`llm-jepa compare`: does JEPA help on this data? Plain, JEPA and shuffled pairs, paired by seed, tested and reported."""

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from llm_jepa.errors import UserError, nearest
from llm_jepa.experiments.commands import Count, asks_for_help, config_first, split_options
from llm_jepa.experiments.compare.arms import PAPER_SEEDS, STANDARD, Arm, arm_experiment, jobs, read_arms
from llm_jepa.experiments.compare.matching import matched
from llm_jepa.experiments.experiment import Experiment
from llm_jepa.experiments.interruption import Interrupted
from llm_jepa.experiments.material import source_of
from llm_jepa.experiments.minutes import add_minutes, deadline
from llm_jepa.experiments.pool import Job, run_all
from llm_jepa.experiments.quiet import quiet_libraries
from llm_jepa.experiments.report.writing import write_report
from llm_jepa.experiments.results.collected import JEPA, PLAIN, read_runs, scored_on_test
from llm_jepa.experiments.results.console import tell
from llm_jepa.experiments.screen import Screen
from llm_jepa.tasks.task import TEST, VALIDATION

DESCRIPTION = """Train several arms of one config with several seeds, and test the differences. The arms are plain training,
LLM-JEPA as the config says, and LLM-JEPA on shuffled pairs as the control; --arms adds more. Every other option is a field
of the config, as for `llm-jepa train`. The same command continues what was interrupted."""


def compare(arguments: Sequence[str]) -> int:
    """Run `llm-jepa compare CONFIG [--seeds ...] [--arms ...] [--only ...] [--workers N] [--field value ...]`.

    Returns:
        0 when all runs are finished, 75 when the time was over.
    """
    parser = _parser()
    if asks_for_help(arguments):
        parser.print_help()
        return 0
    options, config = split_options(parser, config_first(arguments))
    arms = _chosen((*STANDARD, *read_arms(options.arms or [])), options.only)
    described = [(arm, arm_experiment(config, arm)) for arm in arms]
    _check(described)
    root = Path(described[0][1].output)
    planned = jobs(described, root=root, seeds=_seeds(options.seeds))
    ends = deadline(options)
    console = Screen()
    quiet_libraries(console)
    began = time.monotonic()
    try:
        for stage in _stages(planned, match_compute=options.match_compute):
            run_all(stage(), console=console, workers=options.workers, deadline=ends)
    except Interrupted as stop:
        console.print(f"{stop}; the same command continues", markup=False)
        return stop.exit_code
    conclude(root, console, title="Does LLM-JEPA help here?", seconds=time.monotonic() - began)
    return 0


def _stages(planned: Sequence[Job], *, match_compute: bool) -> Sequence[Callable[[], Sequence[Job]]]:
    """Return what is run one after the other: all jobs; or plain training, and then the others with its operations."""
    if not match_compute:
        return (lambda: planned,)
    plain = [job for job in planned if job.arm == PLAIN]
    if not plain:
        raise UserError("--match_compute needs the arm 'plain', whose operations the others get; add it to --only")
    return (lambda: plain, lambda: matched([job for job in planned if job.arm != PLAIN], plain))


def conclude(root: Path, console: Console, *, title: str, seconds: float) -> None:
    """Write the report on the runs below `root`, and print table and verdict."""
    runs = read_runs(root)
    page = write_report(root, title=title)
    tell(scored_on_test(runs), console)
    console.print(f"\n{len(runs)} runs in {seconds / 60:.1f} minutes; the page: {page}", markup=False)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="llm-jepa compare",
        usage="%(prog)s CONFIG [options]",
        description=DESCRIPTION,
        exit_on_error=False,
        allow_abbrev=False,
    )
    seeds = " ".join(map(str, PAPER_SEEDS))
    parser.add_argument("--seeds", nargs="+", type=int, metavar="N", help=f"one run of each arm for each (default: {seeds})")
    parser.add_argument(
        "--arms", nargs="+", metavar="YAML", help="more arms: a file, or text such as '{light: {objective.weight: 0.1}}'"
    )
    parser.add_argument("--only", nargs="+", metavar="ARM", help="only these arms")
    parser.add_argument("--workers", type=Count(), metavar="N", help="runs at a time (default: one a core)")
    parser.add_argument(
        "--match_compute", action="store_true", help="train every arm for as many operations as plain training of that seed"
    )
    add_minutes(parser)
    return parser


def _seeds(given: Sequence[int] | None) -> tuple[int, ...]:
    seeds = tuple(PAPER_SEEDS if given is None else given)
    repeated = next((seed for seed in seeds if seeds.count(seed) > 1), None)
    if repeated is not None:
        raise UserError(f"--seeds names {repeated} twice; give every seed once")
    return seeds


def _chosen(arms: Sequence[Arm], only: Sequence[str] | None) -> tuple[Arm, ...]:
    names = [arm.name for arm in arms]
    for name in only or ():
        if name not in names:
            raise UserError(f"--only: there is no arm '{name}'{nearest(name, names)}; there are {', '.join(names)}")
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise UserError(f"--arms names '{repeated}' twice, or it is one of the standard arms; give it another name")
    return tuple(arm for arm in arms if only is None or arm.name in only)


def _check(described: Sequence[tuple[Arm, Experiment]]) -> None:
    for arm, experiment in described:
        if arm.name == JEPA and not experiment.objective.trains_views:
            raise UserError("objective.weight is 0, so the arm 'jepa' would be plain training; give it a weight")
        if not any(source_of(experiment.data, split) for split in (VALIDATION, TEST)):
            raise UserError("a comparison needs rows to score: set data.test, and data.validation for choices")
