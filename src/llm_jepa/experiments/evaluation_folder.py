"""The folder of an evaluation: which evaluation it holds, so that two never mix in one.

evaluation-settings.json   which model, data and limits; written first
predictions.jsonl          one line an example, written batch by batch
evaluation.json            the scores, written last: a folder with it is finished
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from llm_jepa.errors import UserError
from llm_jepa.experiments.files import write_json
from llm_jepa.experiments.json_files import read_object

SETTINGS, RESULT = "evaluation-settings.json", "evaluation.json"

_REMEDY = "give another folder with `--output`, or move it away"
_IDENTITY = {
    "weights": "of another model",
    "data_fingerprint": "of other examples",
    "answers": "with answers of another kind (generated or chosen)",
    "backend": "by another back end",
    "max_new_tokens": "with another max_new_tokens",
    "stop_ids": "with other stop tokens",
}
"""The settings that must agree for an evaluation to go on, and what it is when one does not."""


def check_folder(folder: Path, settings: Mapping[str, Any]) -> None:
    """Check that the folder is new or free, or holds the evaluation with these settings; nothing is written.

    Raises:
        UserError: it holds something else, or is no folder.
    """
    path = folder / SETTINGS
    try:
        there = [entry for entry in folder.iterdir() if not entry.name.endswith(".partial")] if folder.exists() else []
    except OSError as error:
        raise _no_folder(folder) from error
    if not path.exists():
        if there:
            raise UserError(f"output: '{folder}' is not empty and holds no evaluation; {_REMEDY}")
        return
    before = read_object(path, remedy=_REMEDY)
    other = [what for name, what in _IDENTITY.items() if before.get(name) != settings[name]]
    if other:
        raise UserError(f"output: '{folder}' holds an evaluation {' and '.join(other)}; {_REMEDY}")


def begin_folder(folder: Path, settings: Mapping[str, Any]) -> None:
    """Make the folder of an evaluation that `check_folder` let pass, and keep its settings there.

    Raises:
        UserError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise _no_folder(folder) from error
    if not (folder / SETTINGS).exists():
        write_json(folder / SETTINGS, settings)


def _no_folder(folder: Path) -> UserError:
    return UserError(f"output: '{folder}' is no folder and cannot become one; {_REMEDY}")


def finished(folder: Path, *, scorer: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the scores of a finished evaluation that this scorer judged; None where there is none."""
    path = folder / RESULT
    if not path.exists():
        return None
    result = read_object(path, remedy="remove it, and the same command scores again")
    return result if result.get("scorer") == scorer else None


def weights_fingerprint(model: nn.Module) -> str:
    """Return a SHA-256 (hexadecimal) of names, shapes and evenly spaced values of all weights, the same on every device.

    Up to 4096 values a tensor are read, so that it takes a moment for any size; training moves all of them.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        values = tensor.flatten()[:: max(1, tensor.numel() // 4096)]
        digest.update(values.to(device="cpu", dtype=torch.float64).numpy().tobytes())
    return digest.hexdigest()
