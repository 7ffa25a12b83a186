"""The folder of a sweep, and what tells one sweep from another.

sweep.yaml      the plan, resolved; written first. Another plan is refused
sweep.db        who works on what, where no other database is given
sweep.json      every trial with its outcome, and the choices; written whenever something changes
trials/         one run folder a trial, named by a hash of its config and its seed
failures/       tracebacks of trials that failed by no mistake in the config
report.html     the chosen arms
"""

import hashlib
import os
import tempfile
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import yaml

from llm_jepa.durable import put
from llm_jepa.errors import UserError
from llm_jepa.experiments.config import plain
from llm_jepa.experiments.continuing import flat
from llm_jepa.experiments.experiment import Experiment
from llm_jepa.experiments.secrets import redacted
from llm_jepa.experiments.sweep.plan import Plan
from llm_jepa.experiments.sweep.trials import TRIALS
from llm_jepa.experiments.sweep.worker import FAILURES, WORKERS
from llm_jepa.experiments.yaml_files import read_mapping

PLAN, TABLE, DATABASE = "sweep.yaml", "sweep.json", "sweep.db"
_OWN = (PLAN, DATABASE, TRIALS, FAILURES, WORKERS)


def begin_sweep(base: Experiment, plan: Plan) -> str:
    """Make the folder of a sweep, or make sure that it is that; return the name of the sweep, the same wherever it runs.

    Raises:
        UserError: the folder holds another sweep or something else, or cannot be made.
    """
    root = Path(base.output)
    described = {
        "plan": {item.name: plain(getattr(plan, item.name)) for item in fields(plan)},
        "config": {name: value for name, value in plain(replace(base, output="")).items() if name not in ("output", "seed")},
    }
    text = redacted(yaml.safe_dump(described, sort_keys=False, allow_unicode=True))
    try:
        root.mkdir(parents=True, exist_ok=True)
        if (root / PLAN).exists():
            _check_same(root / PLAN, yaml.safe_load(text))
        elif any(not entry.name.startswith(_OWN) for entry in root.iterdir()):
            raise UserError(f"output: '{root}' is not empty and holds no sweep; give another folder")
        else:
            publish(root / PLAN, text)
    except OSError as error:
        raise UserError(f"output: cannot use '{root}': {error.strerror or error}; give another folder") from error
    return f"llm-jepa sweep {hashlib.sha256(text.encode()).hexdigest()[:16]}"


def publish(path: Path, text: str) -> None:
    """Write a file whole or not at all, whoever else writes it at the same time."""
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.", suffix=".partial")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(handle)
        Path(draft).chmod(0o644)
        put(Path(draft), path)
    finally:
        Path(draft).unlink(missing_ok=True)


def _check_same(path: Path, described: Mapping[str, Any]) -> None:
    try:
        before = read_mapping(path)
    except UserError as error:
        raise UserError(f"{error}; or give another folder as output") from error
    one, other = (dict(flat(each)) for each in (before, described))
    changed = [name for name in {**one, **other} if one.get(name, _MISSING) != other.get(name, _MISSING)]
    if changed:
        named = ", ".join(name.partition(".")[2] or name for name in changed[:5])
        raise UserError(
            f"output: '{path.parent}' holds a sweep that began otherwise (different: {named}); give the same command, or "
            "another folder with `--output`"
        )


_MISSING = object()
