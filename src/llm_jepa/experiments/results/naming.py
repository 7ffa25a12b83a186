"""Runs of one arm and seed with different configurations are different arms: each gets the name of what differs.

"jepa", twice with seed 82, becomes "jepa weight 0.5, k 1" and "jepa weight 2, k 1". Of settings that differ together one is
named, and a setting that is the same in all runs of the arm is not.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from llm_jepa.errors import UserError
from llm_jepa.experiments.results.run_records import SLOTS, WEIGHT, RunSummary

_FIRST = (WEIGHT, SLOTS, "training.learning_rate")
_CLASS = ".class_path"
_LONGEST = 40
_EXPONENT = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+")
"""A number that YAML 1.1 reads as text where it has no point: 2e-5."""
_WORDS = {None: "none", True: "on", False: "off"}


def distinguish(runs: Sequence[RunSummary]) -> tuple[RunSummary, ...]:
    """Return the runs, with arms renamed where one arm and seed has several configurations.

    Raises:
        UserError: two folders hold the same run: same arm, seed, scored rows and configuration.
    """
    renamed: list[RunSummary] = []
    for arm in dict.fromkeys(run.arm for run in runs):
        own = [run for run in runs if run.arm == arm]
        renamed.extend(_apart(own) if _twice(own) else own)
    taken: dict[tuple[str, int, str], RunSummary] = {}
    for run in renamed:
        key = (run.arm, run.seed, run.results.split)
        if key in taken:
            raise UserError(
                f"{run.folder}: arm '{run.kind}' and seed {run.seed} are also in {taken[key].folder}, with the same "
                "configuration; remove one"
            )
        taken[key] = run
    return tuple(renamed)


def differing(runs: Sequence[RunSummary]) -> list[str]:
    """Return the settings in which the runs differ, the best known first; of those that differ together one."""
    names = {name for run in runs for name in run.settings}
    order = {name: place for place, name in enumerate(_FIRST)}
    ordered = sorted(names, key=lambda name: (order.get(name, len(order)), name))
    found = [name for name in ordered if len({_plain(run.settings.get(name)) for run in runs}) > 1]
    for name in reversed(list(found)):
        rest = [other for other in found if other != name]
        if _partition(runs, rest) == _partition(runs, found):
            found = rest
    return found


def setting_names(settings: Sequence[str]) -> dict[str, str]:
    """Return what to call each setting: its last part, or all of it where that would be another's name too.

    Example:
        >>> setting_names(["training.learning_rate", "objective.distance.class_path"])
        {'training.learning_rate': 'learning rate', 'objective.distance.class_path': 'distance'}
    """
    last = {name: name.removesuffix(_CLASS).rpartition(".")[2].replace("_", " ") for name in settings}
    counts = Counter(last.values())
    return {name: short if counts[short] == 1 else name for name, short in last.items()}


def told(name: str, value: Any) -> str:
    """Return the value of a setting as a person writes it."""
    if name.endswith(_CLASS):
        return str(value).rpartition(".")[2]
    text = str(_WORDS.get(value, value) if value is None or isinstance(value, bool) else _plain(value))
    if _EXPONENT.fullmatch(text):
        text = re.sub(r"e([+-])0*", r"e\1", text).replace("e+", "e")
    shown = "".join(character if character.isprintable() else "?" for character in text)
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}…"


def _apart(runs: Sequence[RunSummary]) -> list[RunSummary]:
    names = setting_names(differing(runs))
    result: list[RunSummary] = []
    for run in runs:
        parts = [f"{short} {told(name, run.settings.get(name))}" for name, short in names.items()]
        result.append(replace(run, arm=f"{run.arm} {', '.join(parts)}".strip(), family=run.arm))
    return result


def _twice(runs: Sequence[RunSummary]) -> bool:
    return max(Counter((run.seed, run.results.split) for run in runs).values()) > 1


def _partition(runs: Sequence[RunSummary], settings: Sequence[str]) -> list[int]:
    """Return for every run the first with the same values."""
    keys = [tuple(_plain(run.settings.get(name)) for name in settings) for run in runs]
    return [keys.index(key) for key in keys]


def _plain(value: Any) -> Any:
    """Return a value that can be compared and hashed; 1 and 1.0 are the same, 1 and True are not."""
    if isinstance(value, str) and _EXPONENT.fullmatch(value):
        return f"{float(value):g}"
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, int | float):
        return f"{value:g}"
    return json.dumps(value, sort_keys=True, default=str)


def same(one: Mapping[str, Any], other: Mapping[str, Any], settings: Sequence[str]) -> bool:
    """Return whether two configurations agree in these settings."""
    return all(_plain(one.get(name)) == _plain(other.get(name)) for name in settings)
