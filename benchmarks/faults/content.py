"""What a run folder holds, without what may differ between two equal runs; and what of it a kill must not take."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llm_jepa.experiments.files import RunFolder
from llm_jepa.training.checkpoints import checkpoints, damage, step_of

_LINES = ("metrics.jsonl", "predictions.jsonl", "verdicts.jsonl")
_WHOLE = ("*.safetensors", "config.yaml", "results.json")


def content(folder: Path) -> Mapping[str, str]:
    """Return a fingerprint of weights, metrics, predictions, verdicts and results, by the name of the file.

    Left out are durations, and the checkpoints, which differ in the durations they hold.
    """
    found = [path for pattern in (*_LINES, *_WHOLE) for path in folder.rglob(pattern) if "checkpoints" not in path.parts]
    return {path.relative_to(folder).as_posix(): _fingerprint(path) for path in sorted(found)}


def _fingerprint(path: Path) -> str:
    data = path.read_bytes()
    if path.suffix == ".jsonl":
        data = json.dumps([_timeless(json.loads(line)) for line in data.splitlines()]).encode()
    elif path.name == "results.json":
        data = json.dumps(_timeless(json.loads(data))).encode()
    elif path.suffix == ".yaml":
        data = b"\n".join(line for line in data.splitlines() if not line.startswith(b"output:"))
    return hashlib.sha256(data).hexdigest()


def _timeless(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "seconds"}


def kept_lines(folder: Path) -> Counter[bytes]:
    """Return the finished lines that a kill may not take, each with its file: predictions, and logs up to the checkpoint."""
    whole = [step_of(path) for path in checkpoints(RunFolder(folder).checkpoints) if not damage(path)]
    saved = max(whole, default=0)
    lines: Counter[bytes] = Counter()
    for name in ("predictions.jsonl", "metrics.jsonl"):
        for path in folder.rglob(name):
            data = path.read_bytes()
            for line in data[: data.rfind(b"\n") + 1].splitlines():
                if name == "predictions.jsonl" or json.loads(line)["step"] <= saved:
                    lines[path.relative_to(folder).as_posix().encode() + b" " + _without_time(line)] += 1
    return lines


def _without_time(line: bytes) -> bytes:
    return json.dumps(_timeless(json.loads(line))).encode()


def lost_bytes(before: Counter[bytes], after: Counter[bytes]) -> int:
    """Return the bytes of the lines that were there and are not there at the end."""
    return sum(len(line) * count for line, count in (before - after).items())


def phase(folder: Path) -> str:
    """Return what a killed run was doing, as its folder shows."""
    run = RunFolder(folder)
    if not run.config.exists():
        return "reading and tokenising"
    if (run.checkpoints / "_unfinished").exists():
        return "saving"
    answers = [path for path in folder.rglob("predictions.jsonl") if not (path.parent / "verdicts.jsonl").exists()]
    if answers:
        return "answering"
    return "writing the model" if list(folder.glob("model*")) or run.predictor.exists() else "training"
