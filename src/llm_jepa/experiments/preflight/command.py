"""`llm-jepa preflight`: what can be known in a few minutes, before a run is paid for."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace

import torch
from rich.table import Table
from rich.text import Text

from llm_jepa.errors import UserError
from llm_jepa.experiments.commands import asks_for_help, config_first, split_options
from llm_jepa.experiments.config import parse_experiment
from llm_jepa.experiments.experiment import TRAINING_DEFAULTS, Experiment
from llm_jepa.experiments.inspect.data_facts import leak
from llm_jepa.experiments.inspect.inspecting import find
from llm_jepa.experiments.material import Material, prepare_material
from llm_jepa.experiments.preflight import checks
from llm_jepa.experiments.preflight.checks import Check, Verdict
from llm_jepa.experiments.preflight.measures import available_memory, weight_bytes
from llm_jepa.experiments.preflight.probe import probe
from llm_jepa.experiments.preflight.view_facts import SAMPLE, evenly, view_facts
from llm_jepa.experiments.progress import live
from llm_jepa.experiments.quiet import quiet_libraries
from llm_jepa.experiments.screen import Screen
from llm_jepa.experiments.show import QUIET, Show
from llm_jepa.experiments.units import size
from llm_jepa.model.load import load_model
from llm_jepa.tasks.task import TEST, TRAIN, VALIDATION

DESCRIPTION = """Tell in a few minutes whether a run is worth its price: whether the views are a task at all, whether test
rows were trained on, how the untouched model aligns the views, what a step costs, whether it fits into the memory, and
which weights are worth trying. Takes a few real steps with the real model, and leaves nothing behind. Every other option is
a field of the config, as for `llm-jepa train`. The exit code is 0 whatever is found: the verdicts are for you to judge."""

FORMAT = 1
"""Version of what `--json` prints."""

STEPS = 20
WIDEST = 120
_STYLES = {Verdict.ok: "green", Verdict.look: "yellow", Verdict.stop: "bold red"}


def preflight(arguments: Sequence[str]) -> int:
    """Run `llm-jepa preflight CONFIG [--steps N] [--json] [--field value ...]` and return 0, whatever is found.

    Raises:
        UserError: the config, the data, the tokenizer or the model cannot be read.
    """
    parser = _parser()
    if asks_for_help(arguments):
        parser.print_help()
        return 0
    options, config = split_options(parser, config_first(arguments))
    if options.steps < 2:
        raise UserError(f"--steps is {options.steps}, but the time of a step is measured from 2 on")
    experiment = parse_experiment(config)
    console = Screen(stderr=True)
    quiet_libraries(console)
    with live(console) as show:
        found = check(experiment, steps=options.steps, show=show)
    if options.json:
        sys.stdout.write(_json(found))
    else:
        _print(found)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="llm-jepa preflight",
        usage="%(prog)s CONFIG [--steps N] [--json] [--field value ...]",
        description=DESCRIPTION,
        exit_on_error=False,
        allow_abbrev=False,
    )
    parser.add_argument("--steps", type=int, default=STEPS, metavar="N", help=f"optimizer steps to take (default: {STEPS})")
    parser.add_argument("--json", action="store_true", help="print all numbers as JSON instead of the table")
    return parser


def check(experiment: Experiment, *, steps: int, show: Show = QUIET) -> list[Check]:
    """Return all checks of a run, in the order in which they are told.

    Args:
        experiment: the run; a control is looked at with its true pairs.
        steps: optimizer steps to take.
        show: how progress is told.

    Raises:
        UserError: the config, the data, the tokenizer or the model cannot be read.
    """
    if experiment.data.stream:
        raise UserError("preflight counts the training rows, which a stream does not tell; set data.stream to false")
    experiment = replace(experiment, data=replace(experiment.data, shuffle_pairs=False))
    show.say("reading data and tokenizer")
    material = prepare_material(experiment, show=show)
    pairs = evenly(material.train, SAMPLE)
    known = material.examples
    held_out = {VALIDATION: known.validation, TEST: known.test}
    found = [
        checks.views(view_facts(known.train, pairs, experiment.layout)),
        checks.leakage([leak((name, rows), (TRAIN, known.train)) for name, rows in held_out.items() if rows]),
        checks.inspection(find(experiment, material)),
    ]
    return found + _with_model(experiment, material, steps, show)


def _with_model(experiment: Experiment, material: Material, steps: int, show: Show) -> list[Check]:
    """Return the checks that need the model; one that tells why, where it cannot be trained here."""
    show.say("loading the model")
    model = load_model(experiment.model, material.tokenizer.tokenizer, seed=experiment.seed)
    device = experiment.training_arguments(experiment.output).device
    everything, _ = weight_bytes(model)
    available = available_memory(device)
    if experiment.model.lora is None and 4 * everything > available:
        needed = f"Weights, gradients and two states of AdamW take {size(4 * everything)}"
        text = f"{needed}, but there are {size(available)}."
        return [Check(name="memory", verdict=Verdict.stop, found=text, advice=checks.TOO_LARGE)]
    try:
        probed = probe(experiment, material, model, steps=steps, show=show)
    except UserError as error:
        return [Check(name="model", verdict=Verdict.stop, found=f"Training would refuse this: {error}.")]
    except torch.OutOfMemoryError:
        text = f"A step does not fit into {size(available)}."
        return [Check(name="memory", verdict=Verdict.stop, found=text, advice=checks.TOO_LARGE)]
    rate = float({**TRAINING_DEFAULTS, **experiment.training}["learning_rate"])
    return [
        checks.untouched(probed.aligned),
        checks.weight_range(probed.gradients, experiment.objective),
        checks.first_steps(probed, experiment.objective, rate),
        checks.cost(probed),
        checks.fits(probed.memory),
    ]


def _json(found: Sequence[Check]) -> str:
    rows = [
        {
            "name": item.name,
            "verdict": item.verdict.name,
            "found": item.found,
            "advice": item.advice,
            "numbers": dict(item.numbers),
        }
        for item in found
    ]
    whole = {"format": FORMAT, "verdict": checks.worst(found).name, "checks": rows}
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def _print(found: Sequence[Check]) -> None:
    console = Screen(highlight=False, emoji=False, markup=False)
    console.width = min(console.width, WIDEST)
    table = Table.grid(padding=(0, 2))
    for item in found:
        advice = f" {item.advice}" if item.advice else ""
        table.add_row(Text(item.verdict.name, _STYLES[item.verdict]), Text(item.name), Text(item.found + advice))
    console.print(table)
    counts = [(kind, sum(item.verdict is kind for item in found)) for kind in reversed(Verdict)]
    told = ", ".join(f"{count} {kind.name}" for kind, count in counts if count)
    console.print(Text(f"\n{told}", _STYLES[checks.worst(found)]))
