"""Whether a run may go on with a config: what must be as it was, and what may have changed in between."""

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from llm_jepa.experiments.experiment import TRAINING_DEFAULTS

_BATCH, _ACCUMULATION = "training.per_device_train_batch_size", "training.gradient_accumulation_steps"
_FREE = ("on_nan", "training.gradient_checkpointing", "evaluation.batch_size", "data.cache", "data.workers")
"""What changes no step but those that could not be made, and no answer but by rounding: a run may need it to go on."""
_MISSING = object()


def differences(before: str, config: str) -> list[str]:
    """Return the names of the fields in which two configs describe different trainings; both are YAML.

    A smaller batch accumulated more often is the same step, unless a contrastive distance compares within the batch.

    Raises:
        ValueError: the first is no YAML mapping.
    """
    try:
        one, other = (dict(flat(dict(yaml.safe_load(text)))) for text in (before, config))
    except (yaml.YAMLError, TypeError) as error:
        raise ValueError("no YAML mapping") from error
    one, other = _comparable(one), _comparable(other)
    return [name for name in {**one, **other} if one.get(name, _MISSING) != other.get(name, _MISSING)]


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the leaves of nested mappings with their dotted names."""
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _comparable(fields: Mapping[str, Any]) -> dict[str, Any]:
    left = {name: value for name, value in fields.items() if name not in _FREE}
    if fields.get("objective.distance.class_path") == "InfoNCE":
        return left
    batch = left.pop(_BATCH, TRAINING_DEFAULTS["per_device_train_batch_size"])
    accumulation = left.pop(_ACCUMULATION, 1)
    if isinstance(batch, int) and isinstance(accumulation, int):
        return left | {f"{_BATCH} x {_ACCUMULATION}": batch * accumulation}
    return left | {_BATCH: batch, _ACCUMULATION: accumulation}
