"""`llm-jepa sweep`: search learning rate, k and weight on rows that are not reported, and compare what was chosen."""

import argparse
import os
import time
from collections.abc import Sequence
from multiprocessing.context import ForkContext, SpawnContext
from pathlib import Path

import optuna
import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from llm_jepa.errors import UserError
from llm_jepa.experiments.commands import Count, asks_for_help, config_first, existing_folder, split_options
from llm_jepa.experiments.compare.arms import PAPER_SEEDS
from llm_jepa.experiments.config import parse_experiment
from llm_jepa.experiments.experiment import Experiment
from llm_jepa.experiments.material import source_of
from llm_jepa.experiments.quiet import quiet_libraries
from llm_jepa.experiments.report.writing import write_report
from llm_jepa.experiments.results.collected import read_runs, scored_on_test
from llm_jepa.experiments.results.console import tell
from llm_jepa.experiments.screen import Screen
from llm_jepa.experiments.sweep.crew import AFRESH, Processes
from llm_jepa.experiments.sweep.drive import Drive
from llm_jepa.experiments.sweep.folder import DATABASE, TABLE, begin_sweep
from llm_jepa.experiments.sweep.ledger import Ledger
from llm_jepa.experiments.sweep.plan import PAPER_RATES, PAPER_SLOTS, PAPER_WEIGHTS, SEARCHES, Budget, Plan, Protocol
from llm_jepa.experiments.sweep.replay import read_grid, replay, replay_table
from llm_jepa.experiments.sweep.survey import Outcomes, Status, Survey
from llm_jepa.experiments.sweep.table import remarks, stage_table
from llm_jepa.experiments.sweep.trials import TRIALS
from llm_jepa.experiments.sweep.worker import Desk, News, Run, run_trial
from llm_jepa.tasks.task import TEST, VALIDATION

DESCRIPTION = """Search the learning rate of plain training, then k and weight at that rate, then train the chosen arms and
the shuffled control with all seeds, and report. Every choice is made on the validation rows. The same command continues what
was interrupted; given several times at once it shares the work. Every other option is a field of the config, as for
`llm-jepa train`."""

_TITLES = {
    Protocol.validation: "Sweep: plain training and LLM-JEPA, chosen on validation rows",
    Protocol.paper: "Sweep with settings CHOSEN ON THE TEST ROWS (the paper's protocol)",
}


def sweep(arguments: Sequence[str], *, run: Run = run_trial, context: SpawnContext | ForkContext = AFRESH) -> int:
    """Run `llm-jepa sweep CONFIG [options]`, or `llm-jepa sweep --replay FOLDER`.

    Args:
        arguments: the command line after the verb.
        run: what runs a trial; a function of a module, since other processes import it.
        context: how these processes begin.
    """
    parser = _parser()
    if asks_for_help(arguments):
        parser.print_help()
        return 0
    options, config = split_options(parser, config_first(arguments))
    console = Screen()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if options.replay is not None:
        grid = read_grid(existing_folder(options.replay))
        console.print(replay_table(replay(grid)))
        return 0
    base = parse_experiment(config)
    plan = _plan(options, base)
    _check(base, plan)
    return _sweep(base, plan, options, console, run, context)


def _sweep(
    base: Experiment,
    plan: Plan,
    options: argparse.Namespace,
    console: Console,
    run: Run,
    context: SpawnContext | ForkContext,
) -> int:
    quiet_libraries(console)
    name, root = begin_sweep(base, plan), Path(base.output)
    url = options.storage or f"sqlite:///{(root / DATABASE).resolve()}"
    ledger = Ledger(url, name)
    if options.retry_failed:
        console.print(f"failed trials to be tried again: {ledger.retry_failed()}")
    devices = _devices()
    workers = options.workers or len(devices) or os.cpu_count() or 1
    threads = max(1, (os.cpu_count() or 1) // workers)
    desk = Desk(base=base, plan=plan, url=url, name=name, run=run, threads=threads)
    began = time.monotonic()
    drive = Drive(base, plan, ledger, say=lambda line: console.print(line, markup=False, highlight=False))
    shared = devices if len(devices) > 1 else ()
    with _Bars(console) as bars, Processes(desk, workers, devices=shared, context=context) as crew:
        found, outcomes = drive.run(crew, bars.show)
    said = remarks(found, outcomes, drive.names(found, outcomes), plan)
    _tables(console, found, outcomes, plan)
    folders = [
        root / TRIALS / drive.names(found, outcomes)[trial]
        for trial in found.final
        if outcomes[trial].status is Status.finished
    ]
    _conclude(console, root, folders, said, title=_TITLES[plan.protocol])
    console.print(f"\n{len(found.trials)} trials, {(time.monotonic() - began) / 60:.1f} minutes; table: {root / TABLE}")
    return 0


def _tables(console: Console, found: Survey, outcomes: Outcomes, plan: Plan) -> None:
    chosen = [trial for choice in found.choices for trial in choice.trials]
    for stage in found.stages:
        console.print(stage_table(stage, outcomes, plan, chosen=chosen))


def _conclude(console: Console, root: Path, folders: Sequence[Path], said: Sequence[str], *, title: str) -> None:
    """Write the report on the chosen arms; print what readers must know, the table and the verdict."""
    here = [folder for folder in folders if folder.is_dir()]
    for sentence in said:
        console.print(sentence, markup=False, highlight=False)
    if not folders:
        raise UserError("no run of the chosen arms finished; mend what failed and give `--retry_failed`")
    away = f"{len(folders) - len(here)} of {len(folders)} runs of the chosen arms lie on other machines"
    remedy = f"copy their folders to '{root / TRIALS}' and give the same command for the whole report"
    if not here:
        raise UserError(f"{away}; {remedy}")
    if len(here) < len(folders):
        said = [*said, f"{away}; {remedy}."]
        console.print(said[-1], markup=False, highlight=False)
    page = write_report(*here, title=title, output=root, remarks=said)
    tell(scored_on_test(read_runs(*here)), console)
    console.print(f"\nthe page: {page}", markup=False)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="llm-jepa sweep",
        usage="%(prog)s CONFIG [options]",
        description=DESCRIPTION,
        exit_on_error=False,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--learning_rates", nargs="+", type=float, metavar="X", help=f"default: {_listed(PAPER_RATES)}")
    add("--ks", nargs="+", type=int, metavar="K", help=f"numbers of [PRED] slots (default: {_listed(PAPER_SLOTS)})")
    add(
        "--weights", nargs="+", type=float, metavar="X", help=f"weights of the JEPA term (default: {_listed(PAPER_WEIGHTS)})"
    )
    add("--seeds", nargs="+", type=int, metavar="N", help=f"of the chosen arms (default: {_listed(PAPER_SEEDS)})")
    add("--search_seeds", type=int, default=1, metavar="N", help="choose on the first N of the seeds (default: 1)")
    add("--protocol", choices=[item.name for item in Protocol], default=Protocol.validation.name, help="rows to choose on")
    add(
        "--budget",
        choices=[item.name for item in Budget],
        default=Budget.paper.name,
        help="runs to tune plain training with",
    )
    add("--search", choices=list(SEARCHES), default="grid", help="way through the grid of k and weight (default: grid)")
    add("--trials", type=int, metavar="N", help="cells that --search tpe tries (default: a quarter of the grid's cost)")
    add("--storage", metavar="URL", help=f"database that machines share (default: {DATABASE} in the sweep's folder)")
    add("--workers", type=Count(), metavar="N", help="trials at a time (default: one a GPU; without one, one a core)")
    add("--retry_failed", action="store_true", help="try failed trials again")
    add(
        "--replay", metavar="FOLDER", help="tell what cheaper searches would have found in a finished grid, and nothing else"
    )
    return parser


def _listed(values: Sequence[float]) -> str:
    return " ".join(f"{value:g}" for value in values)


def _plan(options: argparse.Namespace, base: Experiment) -> Plan:
    return Plan(
        learning_rates=tuple(PAPER_RATES if options.learning_rates is None else options.learning_rates),
        ks=tuple(PAPER_SLOTS if options.ks is None else options.ks),
        weights=tuple(PAPER_WEIGHTS if options.weights is None else options.weights),
        seeds=tuple(PAPER_SEEDS if options.seeds is None else options.seeds),
        search_seeds=options.search_seeds,
        protocol=Protocol[options.protocol],
        budget=Budget[options.budget],
        search=SEARCHES[options.search],
        tried=options.trials,
        own_k=base.layout.k,
    )


def _check(base: Experiment, plan: Plan) -> None:
    """Check that there are rows to choose on and rows to report.

    Raises:
        UserError: there are not, or the config shuffles pairs by itself.
    """
    none_held_out = base.data.validation is None and base.data.validation_size == 0
    if plan.protocol is Protocol.validation and (source_of(base.data, VALIDATION) is None or none_held_out):
        raise UserError(
            "choices are made on validation rows, and there are none; set data.validation, or choose on the test rows as "
            "the paper did with `--protocol paper`"
        )
    if source_of(base.data, TEST) is None:
        raise UserError("a sweep reports on test rows that no choice has seen, and there are none; set data.test")
    if base.data.shuffle_pairs:
        raise UserError("data.shuffle_pairs is the control, which a sweep trains by itself; leave it out")


def _devices() -> list[str]:
    """Return the CUDA devices that this process may see, by their names for CUDA_VISIBLE_DEVICES."""
    named = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    count = torch.cuda.device_count()
    return named[:count] if len(named) >= count else [str(i) for i in range(count)]


class _Bars:
    """Shows how far the sweep is, and what each process does."""

    def __init__(self, console: Console) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[stage]}"),
            TimeElapsedColumn(),
        )
        self._progress = Progress(*columns, console=console, transient=True)
        self._all = self._progress.add_task("trials", total=None, stage="")
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> "_Bars":
        self._progress.start()
        return self

    def __exit__(self, *raised: object) -> None:
        del raised
        self._progress.stop()

    def show(self, found: Survey, outcomes: Outcomes, news: list[News]) -> None:
        """Show it."""
        done = sum(outcome.settled for outcome in outcomes.values())
        stage = found.stages[-1].name
        self._progress.update(self._all, completed=done, total=len({*found.trials, *outcomes}), stage=f"stage: {stage}")
        for title in self._tasks.keys() - {item.title for item in news}:
            self._progress.remove_task(self._tasks.pop(title))
        for item in news:
            if item.title not in self._tasks:
                self._tasks[item.title] = self._progress.add_task(item.title, total=item.total, stage="")
            self._progress.update(self._tasks[item.title], completed=item.done, total=item.total, stage=item.stage)
