"""YAML and command line <-> `Experiment`, typed by jsonargparse; unknown keys are errors that name the nearest one."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentError, ArgumentParser, Namespace

from llm_jepa.errors import UserError
from llm_jepa.experiments.experiment import Experiment
from llm_jepa.experiments.parser_errors import sentence
from llm_jepa.experiments.presets import Preset, apply_preset
from llm_jepa.experiments.scorers import SCORERS
from llm_jepa.experiments.secrets import redacted
from llm_jepa.experiments.yaml_files import mapping, parse_yaml, read_mapping
from llm_jepa.objective.distances import Distance
from llm_jepa.objective.jepa import JEPA
from llm_jepa.scoring.scorer import Scorer

_SETTINGS = str | int | float | list | dict | None

SECTIONS = ("model", "data", "layout", "objective", "packing", "training", "evaluation")
"""The fields of an experiment that have fields themselves."""

CHOICES = {
    "distance": [kind.__name__ for kind in Distance.__subclasses__()],
    "scorer": [kind.__name__ for kind in SCORERS],
}
"""For a field that takes a class, what there is to choose from."""

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
    for path in _config_files(arguments):
        read_mapping(path)  # its errors name file and line, and no anchor gets out of hand
    try:
        parsed = parser.parse_args(arguments)
        if parsed.preset is not Preset.correct:
            apply_preset(parsed.preset, parsed, given=parser.parse_args(arguments, defaults=False))
        return _build(parser, parsed)
    except (ArgumentError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise UserError(_sentence(error, parser)) from error


def load_experiment(text: str) -> Experiment:
    """Return the experiment that a resolved config describes, as a run folder holds it."""
    return _described(mapping(parse_yaml(text, "config"), "config"))


def read_experiment(path: Path, *, trusted: bool = False) -> Experiment:
    """Return the experiment that the `config.yaml` of a run folder describes.

    A run folder may come from anyone, so what it names is run only on request: classes from elsewhere than this package,
    and code that comes with its model.

    Args:
        path: the file.
        trusted: the user has read that code.

    Raises:
        UserError: the file is damaged, describes no experiment, or names such code; the sentence begins with its path.
    """
    found = read_mapping(path)
    if not trusted and (foreign := next(_foreign_code(found), None)) is not None:
        raise UserError(f"{path}: the run uses {foreign}; read that code, and give `--trust_code` if you trust it")
    try:
        return _described(found)
    except UserError as error:
        raise UserError(f"{path}: {error}; restore the file or train the run again") from error


def dump_experiment(experiment: Experiment) -> str:
    """Return the experiment as YAML text that `load_experiment` reads back; secrets are left out."""
    return redacted(yaml.safe_dump(plain(experiment), sort_keys=False, allow_unicode=True))


def _described(fields: Mapping[Any, Any]) -> Experiment:
    parser = experiment_parser()
    try:
        return _build(parser, parser.parse_object(dict(fields)))
    except (ArgumentError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise UserError(_sentence(error, parser)) from error


def _foreign_code(value: Any) -> Iterator[str]:
    """Yield what in the values of a config would run code from elsewhere, in words."""
    if isinstance(value, Mapping):
        place = value.get("class_path")
        if isinstance(place, str) and "." in place and not place.startswith("llm_jepa."):
            yield f"the class '{place}', which is not of this package"
        if value.get("trust_remote_code") not in (None, False):
            yield "code that comes with its model (trust_remote_code)"
    inside = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    for item in inside:
        yield from _foreign_code(item)


def _config_files(arguments: Sequence[str]) -> Iterator[Path]:
    """Yield the files that `--config` names."""
    for word, following in itertools.zip_longest(arguments, arguments[1:], fillvalue=""):
        option, sign, value = word.partition("=")
        if option == "--config" and (sign or following):
            yield Path(value if sign else following)


def _build(parser: ArgumentParser, parsed: Namespace) -> Experiment:
    for name in SECTIONS:
        if parsed.get(name) is None:
            raise UserError(f"config: {name} is null; give it fields, or leave it out")
    if not str(parsed.output).strip() or "\0" in str(parsed.output):
        raise UserError(f"config: output is {str(parsed.output)!r}, which names no folder; write `output: runs/mine`")
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


def _known(parser: ArgumentParser) -> list[str]:
    objective = [f"objective.{field.name}" for field in fields(JEPA)]
    return [*(action.dest for action in parser._actions), *objective]  # jsonargparse lists its options nowhere else


def _sentence(error: Exception, parser: ArgumentParser) -> str:
    return f"config: {sentence(error, known=_known(parser), choices=CHOICES)}"
