"""`llm-jepa train`: one experiment from a YAML file and overrides."""

from collections.abc import Sequence

from rich.console import Console

from llm_jepa.experiments.commands import asks_for_help, config_first
from llm_jepa.experiments.config import experiment_parser, parse_experiment
from llm_jepa.experiments.progress import live
from llm_jepa.experiments.quiet import quiet_libraries
from llm_jepa.experiments.run import Interrupted, run_experiment


def train(arguments: Sequence[str]) -> int:
    """Run `llm-jepa train CONFIG [--field value ...] [--overwrite]`."""
    given = config_first(arguments)
    overwrite = "--overwrite" in given
    given = [argument for argument in given if argument != "--overwrite"]
    if asks_for_help(given):
        experiment_parser().print_help()
        return 0
    experiment = parse_experiment(given)
    console = Console(stderr=True)
    quiet_libraries(console)
    try:
        with live(console) as show:
            run = run_experiment(experiment, overwrite=overwrite, show=show)
    except Interrupted as stop:
        console.print(f"saved after step {stop.step}; the same command continues from there")
        return 128 + stop.signal
    console.print(f"finished: {run.root} holds the model, the metrics and the results", markup=False)
    return 0
