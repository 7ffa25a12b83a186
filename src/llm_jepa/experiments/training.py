"""`llm-jepa train`: one experiment from a YAML file and overrides."""

import argparse
from collections.abc import Sequence

from llm_jepa.experiments.commands import asks_for_help, config_first, split_options
from llm_jepa.experiments.config import experiment_parser, parse_experiment
from llm_jepa.experiments.interruption import Interrupted
from llm_jepa.experiments.minutes import add_minutes, deadline
from llm_jepa.experiments.progress import live
from llm_jepa.experiments.quiet import quiet_libraries
from llm_jepa.experiments.run import run_experiment
from llm_jepa.experiments.screen import Screen
from llm_jepa.ranks import is_first


def train(arguments: Sequence[str]) -> int:
    """Run `llm-jepa train CONFIG [--field value ...] [--overwrite] [--max_minutes N]`.

    Returns:
        0 for a finished run, 75 for one whose time was over, 128 + signal for one that a signal stopped.
    """
    if asks_for_help(arguments):
        experiment_parser().print_help()
        return 0
    options, config = split_options(_parser(), config_first(arguments))
    ends = deadline(options)
    experiment = parse_experiment(config)
    console = Screen(stderr=True, quiet=not is_first())
    quiet_libraries(console)
    try:
        with live(console) as show:
            run = run_experiment(experiment, overwrite=options.overwrite, show=show, deadline=ends)
    except Interrupted as stop:
        console.print(f"saved after step {stop.step}; the same command continues from there")
        return stop.exit_code
    console.print(f"finished: {run.root} holds the model, the metrics and the results", markup=False)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="llm-jepa train", exit_on_error=False, allow_abbrev=False, add_help=False)
    parser.add_argument("--overwrite", action="store_true")
    add_minutes(parser)
    return parser
