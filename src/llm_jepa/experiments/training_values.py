"""Values of `TrainingArguments` that it lets pass, and that would stop a training only when the model is loaded, or never.

transformers checks few of its numbers. Each field's own annotation says its kind; the limits are those below which Trainer
divides by zero, never ends, or leaves the weights as they are.
"""

import math
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from transformers import TrainingArguments
from transformers.integrations.integration_utils import get_available_reporting_integrations

from llm_jepa.errors import UserError, nearest, shown

_LEAST: Mapping[str, float] = {
    "per_device_train_batch_size": 1,
    "per_device_eval_batch_size": 1,
    "gradient_accumulation_steps": 1,
    "learning_rate": 0,
    "weight_decay": 0,
    "max_grad_norm": 0,
    "warmup_steps": 0,
    "logging_steps": 0,
    "save_steps": 0,
    "eval_steps": 0,
    "save_total_limit": 1,
    "dataloader_num_workers": 0,
    "adam_beta1": 0,
    "adam_beta2": 0,
    "adam_epsilon": 0,
    "max_steps": -1,
}
"""Smallest value by field."""
_ABOVE = frozenset({"num_train_epochs", "save_steps", "logging_steps", "eval_steps"})
"""Fields whose values are above 0; steps below 1 are a share of the training."""
_INTEGER, _NUMBER, _TRUTH = "<class 'int'>", "<class 'float'>", "<class 'bool'>"
_NAMES = {_INTEGER: "a whole number", _NUMBER: "a number", _TRUTH: "true or false"}


def check_training(chosen: Mapping[str, Any]) -> None:
    """Check the values that a user gives under `training:`.

    Args:
        chosen: values by the name of the field; all names are known.

    Raises:
        UserError: a value is of another kind than its field, out of range, or no number (NaN).
    """
    kinds = {field.name: str(field.type) for field in fields(TrainingArguments)}
    for name, value in chosen.items():
        _check_kind(name, value, kinds[name])
        if isinstance(value, int | float) and not isinstance(value, bool):
            _check_range(name, value)
    _check_reports(chosen.get("report_to"))


def _check_kind(name: str, value: Any, kind: str) -> None:
    right = {
        _INTEGER: type(value) is int,
        _NUMBER: type(value) in (int, float),
        _TRUTH: type(value) is bool,
    }
    if not right.get(kind, True):
        raise UserError(f"training.{name} is {shown(repr(value))}, but it is {_NAMES[kind]}{_written(value)}")


def _written(value: Any) -> str:
    """Return a hint for a number that YAML 1.1 reads as text: 2e-5 has no point."""
    try:
        return f"; write {float(value)!r}" if isinstance(value, str) else ""
    except ValueError:
        return ""


def _check_range(name: str, value: float) -> None:
    if math.isnan(value):
        raise UserError(f"training.{name} is {value}, which is no number; write one")
    if value < _LEAST.get(name, value):
        raise UserError(f"training.{name} is {value}, but it is at least {_LEAST[name]:g}")
    if name in _ABOVE and not 0 < value < math.inf:
        raise UserError(f"training.{name} is {value}, but it is above 0, and finite")
    if math.isinf(value) and name == "learning_rate":
        raise UserError(f"training.{name} is {value}, but it is a finite number")


def _check_reports(given: Any) -> None:
    """Check that what the logs are to be sent to is installed."""
    named = [given] if isinstance(given, str) else given if isinstance(given, list) else []
    there = get_available_reporting_integrations()
    for name in named:
        if name not in ("none", "all", *there):
            known = ", ".join(there) or "none"
            missing = f"'{shown(name)}' is not installed{nearest(name, there)}"
            raise UserError(f"training.report_to: {missing}; there are: {known}")
