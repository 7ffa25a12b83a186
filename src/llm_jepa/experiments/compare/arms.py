"""The arms of a comparison: one config, and what each arm changes in it.

An arm is a name and overrides of the config's fields, the same that the command line takes: `{objective.weight: 0}`. Arms
that change nothing else have, for one seed, the same data in the same order and the same initial weights.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from llm_jepa.errors import UserError, shown
from llm_jepa.experiments.config import parse_experiment
from llm_jepa.experiments.experiment import Experiment
from llm_jepa.experiments.pool import Job
from llm_jepa.experiments.results.collected import JEPA, PLAIN, SHUFFLED
from llm_jepa.experiments.yaml_files import parse_yaml, read_yaml

PAPER_SEEDS = (82, 23, 37, 84, 4)
"""The seeds of every experiment of the paper (section 4)."""


@dataclass(frozen=True, slots=True)
class Arm:
    """One way of training.

    Attributes:
        name: what tables call it; with a seed it names a run.
        overrides: value by dotted name of the config's field.
    """

    name: str
    overrides: Mapping[str, Any]

    @property
    def folder(self) -> str:
        """What its folder is called."""
        return re.sub(r"[^\w.+-]+", "-", self.name).strip("-.")


STANDARD = (
    Arm(PLAIN, {"objective.weight": 0.0}),
    Arm(JEPA, {}),
    Arm(SHUFFLED, {"data.shuffle_pairs": True}),
)
"""Plain training, LLM-JEPA, and the control: a gain that survives shuffling does not come from what the views say."""


def read_arms(given: Sequence[str]) -> tuple[Arm, ...]:
    """Return the arms that the command line names.

    Args:
        given: each a YAML file, or YAML text, with overrides by name: `{small weight: {objective.weight: 0.1}}`.

    Raises:
        UserError: it is no such mapping, or a name cannot be one.
    """
    arms: list[Arm] = []
    for text in given:
        arms.extend(_parse(text))
    return tuple(arms)


def _parse(text: str) -> list[Arm]:
    path = Path(text)
    try:
        is_file = path.is_file()
    except OSError:  # a text longer than any path
        is_file = False
    where = text if is_file else "--arms"
    found = read_yaml(path) if is_file else parse_yaml(text, where)
    remedy = "write `{name: {field: value}}`, such as `{light: {objective.weight: 0.1}}`, or the name of a file with that"
    if not isinstance(found, dict) or not all(isinstance(item, dict) for item in found.values()):
        raise UserError(f"{where}: '{shown(text)}' names no arms with their changes; {remedy}")
    return [Arm(str(name), _flat(changes)) for name, changes in found.items()]


def _flat(changes: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested changes by dotted name; a class with its arguments stays one value."""
    flat: dict[str, Any] = {}
    for name, value in changes.items():
        full = f"{prefix}{name}"
        if isinstance(value, dict) and "class_path" not in value:
            flat |= _flat(value, f"{full}.")
        else:
            flat[full] = value
    return flat


def arm_experiment(config: Sequence[str], arm: Arm) -> Experiment:
    """Return the experiment of an arm.

    Args:
        config: the command line that gives the config shared by all arms: `["--config", "mine.yaml", ...]`.
        arm: the arm.

    Raises:
        UserError: the config or one of the arm's changes is wrong; the sentence names the arm.
    """
    changes = [f"--{name}={_text(value)}" for name, value in arm.overrides.items()]
    try:
        return parse_experiment([*config, *changes])
    except UserError as error:
        if not changes:
            raise
        parse_experiment(config)  # where this is wrong already, its own sentence is the better one
        raise UserError(f"arm '{arm.name}': {error}") from error


def _text(value: Any) -> str:
    return (
        value if isinstance(value, str) else yaml.safe_dump(value, default_flow_style=True).removesuffix("\n...\n").strip()
    )


def jobs(experiments: Sequence[tuple[Arm, Experiment]], *, root: Path, seeds: Sequence[int]) -> list[Job]:
    """Return one job for every arm and seed, seed by seed, each in a folder of its own below `root`.

    Raises:
        UserError: two arms would have the same name or folder.
    """
    folders = [arm.folder for arm, _ in experiments]
    for arm, _ in experiments:
        if not arm.folder or folders.count(arm.folder) > 1:
            raise UserError(f"arm '{arm.name}': its folder '{arm.folder}' is empty or another arm's; give another name")
    return [
        Job(arm=arm.name, experiment=replace(experiment, output=str(root / arm.folder / f"seed-{seed}"), seed=seed))
        for seed in seeds
        for arm, experiment in experiments
    ]
