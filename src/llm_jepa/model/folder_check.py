"""A local model folder, looked at before transformers reads it: its small files must be what they are named for.

transformers leaves out some damaged files without a word (a generation config), and tells of others in terms of its code.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from llm_jepa.errors import UserError

REMEDY = "download or copy the folder again"


def check_model_folder(folder: Path, what: str) -> None:
    """Check the JSON files of a model folder, as far as they are there; what is no folder is left to transformers.

    Args:
        folder: of a model or a tokenizer.
        what: "model" or "tokenizer", as the sentence names it.

    Raises:
        UserError: a file is damaged, or an index names files outside the folder.
    """
    if not folder.is_dir():
        return
    for name, check in _FILES.items():
        path = folder / name
        if path.is_file() and (problem := _problem(path, check)):
            raise UserError(f"cannot load the {what} '{folder}': its {name} {problem}; {REMEDY}")


def _problem(path: Path, check: Callable[[Mapping[str, Any]], str | None]) -> str | None:
    try:
        found = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        return f"is damaged or not whole ({error})"
    return check(found) if isinstance(found, dict) else "is no JSON object"


def _anything(found: Mapping[str, Any]) -> None:
    del found


def _stops(found: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the tokens that end an answer."""
    stop = found.get("eos_token_id")
    given = stop if isinstance(stop, list) else [] if stop is None else [stop]
    wrong = next((token for token in given if type(token) is not int), None)
    return None if wrong is None else f"has the eos_token_id {json.dumps(wrong)}, which is no token id"


def _shards(found: Mapping[str, Any]) -> str | None:
    """Return what is wrong with an index: each weight lies in a file beside it, and nowhere else."""
    places = found.get("weight_map")
    if not isinstance(places, dict) or not all(isinstance(place, str) for place in places.values()):
        return "has no weight_map from weights to files"
    outside = next((place for place in places.values() if PurePosixPath(place).name != place or "\\" in place), None)
    return None if outside is None else f"names the file '{outside}', which is not in the folder"


_FILES: Mapping[str, Callable[[Mapping[str, Any]], str | None]] = {
    "config.json": _anything,
    "generation_config.json": _stops,
    "tokenizer_config.json": _anything,
    "special_tokens_map.json": _anything,
    "model.safetensors.index.json": _shards,
}
