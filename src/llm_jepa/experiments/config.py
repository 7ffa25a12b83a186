"""YAML and command line <-> `Experiment`, typed by jsonargparse; unknown keys are errors that name the nearest one."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentError, ArgumentParser, Namespace

from llm_jepa.errors import UserError, nearest
from llm_jepa.experiments.experiment import Experiment
from llm_jepa.experiments.presets import Preset, apply_preset
from llm_jepa.experiments.scorers import SCORERS
from llm_jepa.objective.distances import Distance
from llm_jepa.objective.jepa import JEPA
from llm_jepa.scoring.scorer import Scorer

_UNKNOWN = re.compile(r"(?:Option|Key|Subkey) '([\w.]+)' is not|[Uu]nrecognized arguments: --([\w.]+)")
_NOISE = ((re.compile(r"Problem with given class_path '[\w.]+': ?"), ""), (re.compile(r'Parser key "([\w.]+)":'), r"\1:"))
_SETTINGS = str | int | float | list | dict | None

DESCRIPTION = """Train from a YAML file and overrides: `llm-jepa train run.yaml --objective.weight 2 --layout.k 1`. The
same command continues an interrupted run; --overwrite begins anew in a folder that holds another one. --max_minutes N ends
in N minutes with all work saved and exit code 75, for machines lent for a while. The fields of the
objective are objective.gamma, objective.weight (lambda), objective.distance (Cosine, L2, MeanSquaredError, InfoNCE),
objective.stop_gradient, objective.dropout, objective.dropout_scope, objective.weight_rule,
objective.normalization and objective.all_ranks; those of training are transformers' TrainingArguments."""


def experiment_parser() -> ArgumentParser:
    """Return a parser whose options are the fields of `Experiment`, and `--config` for YAML files."""
    parser = ArgumentParser(prog="llm-jepa train", exit_on_error=False, description=DESCRIPTION)
    parser.add_argument("--config", action="config", help="YAML file with the fields below; later options override it.")
    parser.add_argument("--preset", type=Preset, default=Preset.correct, help="Options to start from; given ones win.")
    parser.add_class_arguments(Experiment, as_group=False)
    return parser


def parse_experiment(arguments: Sequence[str]) -> Experiment:
    """Return the experiment that command-line arguments describe, such as `["--config", "run.yaml", "--layout.k", "2"]`.

    Raises:
        UserError: a file is missing or no YAML, a key is unknown, a value has the wrong type or is out of range.
    """
    parser, arguments = experiment_parser(), list(arguments)
    try:
        parsed = parser.parse_args(arguments)
        if parsed.preset is not Preset.correct:
            apply_preset(parsed.preset, parsed, given=parser.parse_args(arguments, defaults=False))
        return _build(parser, parsed)
    except (ArgumentError, ValueError, TypeError, yaml.YAMLError) as error:
        raise UserError(_sentence(error, _known(parser))) from error


def load_experiment(text: str) -> Experiment:
    """Return the experiment that a resolved config describes, as a run folder holds it."""
    parser = experiment_parser()
    try:
        return _build(parser, parser.parse_object(yaml.safe_load(text)))
    except (ArgumentError, ValueError, TypeError, yaml.YAMLError) as error:
        raise UserError(_sentence(error, _known(parser))) from error


def dump_experiment(experiment: Experiment) -> str:
    """Return the experiment as YAML text that `load_experiment` reads back."""
    return yaml.safe_dump(plain(experiment), sort_keys=False, allow_unicode=True)


def _build(parser: ArgumentParser, parsed: Namespace) -> Experiment:
    made = parser.instantiate(parsed)
    return Experiment(**{field.name: made[field.name] for field in fields(Experiment)})


def plain(value: Any) -> Any:
    """Return a value of a config as YAML and JSON know it; a distance or a scorer becomes its class and arguments."""
    if isinstance(value, Enum | Path):
        return value.name if isinstance(value, Enum) else str(value)
    if isinstance(value, Distance | Scorer):
        kind, arguments = type(value), _arguments(value)
        return {"class_path": f"{kind.__module__}.{kind.__name__}", **({"init_args": arguments} if arguments else {})}
    if is_dataclass(value):
        return _arguments(value)
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def _arguments(value: Any) -> dict[str, Any]:
    """Return what a dataclass was made from, less what is no setting (the process in which a scorer runs queries)."""
    given = {field.name: plain(getattr(value, field.name)) for field in fields(value) if field.init}
    return {name: item for name, item in given.items() if isinstance(item, _SETTINGS)}


def _choices(text: str) -> str:
    """Return what there is to choose from, where a class was named that does not exist."""
    kinds: dict[str, Sequence[type]] = {"distance": Distance.__subclasses__(), "scorer": SCORERS}
    named = {name: ", ".join(kind.__name__ for kind in found) for name, found in kinds.items()}
    return next((f"; the {name}s are {known}" for name, known in named.items() if f"{name}:" in text), "")


def _known(parser: ArgumentParser) -> list[str]:
    objective = [f"objective.{field.name}" for field in fields(JEPA)]
    return [*(action.dest for action in parser._actions), *objective]  # jsonargparse lists its options nowhere else


def _sentence(error: Exception, known: Sequence[str]) -> str:
    """Return an error as one sentence without the parser's own terms, with the nearest known name for an unknown one."""
    text = " ".join(line.strip() for line in str(error).splitlines() if line.strip())
    for pattern, plain in _NOISE:
        text = pattern.sub(plain, text)
    found = _UNKNOWN.search(text)
    if found is None:
        return f"config: {text[:400]}{_choices(text)}"
    name = next(filter(None, found.groups()))
    by_end = {full.rpartition(".")[2]: full for full in known}
    return f"config: there is no field '{name}'{nearest(name, known) or nearest(name.rpartition('.')[2], by_end)}"
