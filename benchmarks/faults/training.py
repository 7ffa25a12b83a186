"""Kills of a training: at random moments, and on purpose while it reads, saves and answers."""

import os
import random
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from benchmarks.faults.content import content, kept_lines, lost_bytes, phase
from benchmarks.faults.process import Command

SHAPE = {
    "model_type": "llama",
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 256,
    "attention_dropout": 0.1,
}
CONFIG = {
    "model": {"config": SHAPE, "vocabulary": 300, "lora": {"rank": 4, "dropout": 0.1}},
    "data": {"train": "nl_regex", "limit": 24, "eval_limit": 6},
    "layout": {"k": 2},
    "objective": {"weight": 0.5, "dropout": 0.5, "distance": {"class_path": "InfoNCE"}},
    "training": {
        "learning_rate": 1.0e-3,
        "num_train_epochs": 3,
        "per_device_train_batch_size": 4,
        "gradient_accumulation_steps": 2,
        "logging_steps": 1,
        "save_strategy": "steps",
        "save_steps": 2,
        "save_total_limit": 2,
        "use_cpu": True,
    },
    "evaluation": {"max_new_tokens": 6, "batch_size": 2, "each_epoch": True},
}
"""Loss dropout, dropout in model and adapters, accumulation, LoRA, shuffling, InfoNCE, and answers after every epoch."""
ANYWHERE = ("any", "any", "any", "saving", "answering", "reading")
"""Moments of kills, one of which is drawn each time; "any" is uniform over the time of an undisturbed run."""
IN_A_STEP = ("step",)
IN_A_ROW = 4
"""Kills of one run before it may end."""


@dataclass(slots=True)
class Survived:
    """What came of the kills.

    Attributes:
        kills: how many, by what the run was doing.
        runs: runs that were killed, each several times, and then finished.
        different: names of files in which a finished run differs from the undisturbed one.
        lost: bytes of finished lines that were gone afterwards.
    """

    kills: Counter[str] = field(default_factory=Counter[str])
    runs: int = 0
    different: list[str] = field(default_factory=list[str])
    lost: int = 0

    def record(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {"kills": dict(self.kills), "runs": self.runs, "different": self.different, "lost_bytes": self.lost}


def kill_trainings(
    folder: Path, *, kills: int, seed: int, say: Callable[[str], None], moments: Sequence[str] = ANYWHERE
) -> Survived:
    """Kill trainings until there were so many kills, finish each, and compare it with an undisturbed one.

    Args:
        folder: empty; for configs and runs.
        kills: how many.
        seed: of the moments.
        say: is told how it goes.
        moments: when.
    """
    folder.mkdir(exist_ok=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG), encoding="utf-8")
    seconds = _command(folder, "straight").finish()
    wanted = content(folder / "straight")
    say(f"an undisturbed training takes {seconds:.1f} s and leaves {len(wanted)} files to compare")
    draw, found = random.Random(seed), Survived()
    while found.kills.total() < kills:
        name = f"killed-{found.runs}"
        before: list[Counter[bytes]] = []
        for _ in range(min(IN_A_ROW, kills - found.kills.total())):
            if not _kill(folder, name, _moment(folder / name, draw, draw.choice(moments), seconds)):
                break
            doing = phase(folder / name)
            found.kills[doing] += 1
            before.append(kept_lines(folder / name))
            say(f"kill {found.kills.total()}: {doing}, run {name}")
        _command(folder, name).finish()
        found.runs += 1
        found.lost += sum(lost_bytes(lines, kept_lines(folder / name)) for lines in before)
        found.different += _differences(wanted, content(folder / name), name)
        shutil.rmtree(folder / name)
    return found


def _moment(run: Path, draw: random.Random, what: str, seconds: float) -> tuple[Callable[[], bool], float]:
    """Return what is waited for before a kill, and how long it comes after that, in seconds."""
    part = draw.random()
    logged = _logged(run)
    moments: Mapping[str, tuple[Callable[[], bool], float]] = {
        "any": (lambda: True, seconds * part),
        "saving": (lambda: (run / "checkpoints" / "_unfinished").exists(), 0.03 * part),
        "answering": (lambda: _answering(run), 0.2 * part),
        "reading": (lambda: True, 0.3 * seconds * part),
        # Every second step is followed by a checkpoint; after the others another step begins.
        "step": (lambda: _logged(run) > logged and _logged(run) % 2 == 1, 0.02 * part),
    }
    return moments[what]


def _kill(folder: Path, name: str, moment: tuple[Callable[[], bool], float]) -> bool:
    """Start the run and kill it; return whether it had not ended before."""
    when, later = moment
    return _command(folder, name).kill(when, later=later)


def _logged(run: Path) -> int:
    path = run / "metrics.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def _answering(run: Path) -> bool:
    # `os.walk` passes over a folder that the run removes meanwhile, and `rglob` fails.
    return any("predictions.jsonl" in names and "verdicts.jsonl" not in names for _, _, names in os.walk(run))


def _command(folder: Path, name: str) -> Command:
    arguments = ["train", str(folder / "config.yaml"), "--output", str(folder / name)]
    return Command(arguments, told=folder / f"{name}.txt")


def _differences(wanted: Mapping[str, str], found: Mapping[str, str], name: str) -> list[str]:
    return [f"{name}/{file}" for file in sorted({*wanted, *found}) if wanted.get(file) != found.get(file)]
