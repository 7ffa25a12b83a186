"""The run folder: what is in it, and how it is written so that a kill never leaves half of anything.

config.yaml         the experiment, resolved
environment.json    versions, machine, data fingerprints
metrics.jsonl       one line a log
predictions.jsonl   one line a test example
results.json        the figures, written last: a folder with it is finished
checkpoints/        what an interrupted run continues from
model/              the trained model, a plain Hugging Face folder
predictor.safetensors   its [PRED] slots, where there are any; reading embeddings as in training needs them
analysis.json       geometry of the embeddings, where `llm-jepa analyze` measured it
"""

import importlib.metadata
import json
import platform
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from llm_jepa.durable import write
from llm_jepa.errors import UserError
from llm_jepa.experiments.continuing import differences
from llm_jepa.ranks import launch_precision, launched
from llm_jepa.training.checkpoints import latest_whole

FORMAT = 1
"""Version of the run folder; it grows when a key changes its meaning or goes (docs/run-folder.md)."""

PACKAGES = ("llm-jepa", "torch", "transformers", "accelerate", "datasets", "tokenizers", "peft", "numpy", "deepspeed")


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The paths of a run.

    Attributes:
        root: the folder.
    """

    root: Path

    @property
    def config(self) -> Path:
        """The resolved experiment."""
        return self.root / "config.yaml"

    @property
    def environment(self) -> Path:
        """Versions, machine and data fingerprints."""
        return self.root / "environment.json"

    @property
    def metrics(self) -> Path:
        """One JSON line a log."""
        return self.root / "metrics.jsonl"

    @property
    def results(self) -> Path:
        """The figures of a finished run."""
        return self.root / "results.json"

    @property
    def epochs(self) -> Path:
        """The answers after each epoch: a folder for each, named by its optimizer step."""
        return self.root / "epochs"

    @property
    def checkpoints(self) -> Path:
        """Trainer's output folder."""
        return self.root / "checkpoints"

    @property
    def model(self) -> Path:
        """The trained model."""
        return self.root / "model"

    @property
    def predictor(self) -> Path:
        """The [PRED] slots of the trained model; absent where it has none."""
        return self.root / "predictor.safetensors"

    @property
    def analysis(self) -> Path:
        """What `llm-jepa analyze` measured on the trained model."""
        return self.root / "analysis.json"

    def latest_checkpoint(self) -> Path | None:
        """Return the newest whole checkpoint; a damaged one that is passed over is named in a warning."""
        return latest_whole(self.checkpoints)


def check_run(run: RunFolder, config: str, *, overwrite: bool) -> None:
    """Check that the folder is new or free, or holds the run that this very config began; nothing is written.

    Args:
        run: the folder.
        config: the resolved config as YAML text.
        overwrite: another run there may be removed.

    Raises:
        UserError: the folder belongs to something else, or cannot be read.
    """
    try:
        if run.root.exists() and any(run.root.iterdir()) and not (overwrite and run.config.exists()):
            _check_same(run, config)
    except OSError as error:
        raise UserError(f"output: cannot use '{run.root}': {error.strerror or error}") from error


def begin_run(run: RunFolder, config: str, *, overwrite: bool) -> None:
    """Make the folder and write the config, removing another run first if that is wanted.

    Raises:
        UserError: it cannot be written.
    """
    try:
        if (
            overwrite
            and run.config.exists()
            and (run.results.exists() or run.config.read_text("utf-8", errors="replace") != config)
        ):
            _remove(run)
        run.root.mkdir(parents=True, exist_ok=True)
        write(run.config, config)
    except OSError as error:
        raise UserError(f"output: cannot write to '{run.root}': {error.strerror or error}") from error


def _check_same(run: RunFolder, config: str) -> None:
    if not run.config.exists():
        raise UserError(f"output: '{run.root}' is not empty and holds no run; give another folder")
    try:
        before = run.config.read_text(encoding="utf-8")
        steps = any(run.checkpoints.glob("*"))  # Trainer makes the folder, empty, before its first step
        if before == config or not (steps or run.metrics.exists() or run.results.exists()):
            return
        changed = differences(before, config)
    except ValueError as error:
        raise UserError(f"{run.config}: is damaged; restore it, give another folder, or `--overwrite`") from error
    if not changed:
        return
    raise UserError(
        f"output: '{run.root}' holds a run with another config (different: {', '.join(changed[:5])}); "
        "give another folder, the same config, or `--overwrite`"
    )


def _remove(run: RunFolder) -> None:
    """Remove a run's own files and folders, and nothing else that may lie there."""
    for path in (run.checkpoints, run.model, run.epochs, run.root / "validation", *run.root.glob("evaluation-*")):
        shutil.rmtree(path, ignore_errors=True)
    files = (
        run.results,
        run.analysis,
        run.metrics,
        run.predictor,
        run.root / "predictions.jsonl",
        run.root / "verdicts.jsonl",
        run.root / "samples.jsonl",
        run.environment,
        run.config,
    )
    for path in files:
        path.unlink(missing_ok=True)


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write a mapping as indented JSON."""
    write(path, json.dumps(values, indent=2, ensure_ascii=False) + "\n")


def environment(fingerprints: Mapping[str, str]) -> dict[str, Any]:
    """Return what a run ran on: versions, machine, data fingerprints; no names, paths or secrets."""
    versions = {name: version for name in PACKAGES if (version := _version(name))}
    return {
        "format": FORMAT,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "packages": versions,
        "threads": torch.get_num_threads(),
        "processes": launched(),
        "mixed_precision": launch_precision(),
        "devices": [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())],
        "data": dict(fingerprints),
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
