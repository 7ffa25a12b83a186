"""Kills of sweeps: of all of their processes, of the one that asks, and of the one that trains."""

import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import yaml

from benchmarks.faults.process import Command
from benchmarks.faults.training import SHAPE
from llm_jepa.experiments.sweep.folder import DATABASE, TABLE
from llm_jepa.experiments.sweep.trials import TRIALS

CONFIG = {
    "model": {"config": SHAPE, "vocabulary": 300},
    "data": {"train": "nl_regex", "limit": 16, "eval_limit": 4},
    "training": {
        "use_cpu": True,
        "max_steps": 2,
        "per_device_train_batch_size": 4,
        "save_strategy": "steps",
        "save_steps": 1,
    },
    "evaluation": {"max_new_tokens": 4},
}
PLAN = ["--learning_rates", "1e-3", "--ks", "0", "2", "--weights", "0.5", "2", "--seeds", "82", "23", "37", "--workers", "1"]
"""12 trials: one learning rate, four cells, and seven more runs of the three chosen arms."""
EVERYTHING, ASKER, TRAINER = "all processes of a sweep", "the process that asks", "the process that trains"
_LOOK = 0.02


@dataclass(slots=True)
class SurvivedSweep:
    """What came of the kills.

    Attributes:
        processes: sweeps that shared the work.
        kills: how many, by what was killed.
        trials: finished ones at the end.
        repeated: finished trials that were run again, or whose results were written again.
        different: rows of the table that differ from the undisturbed one.
    """

    processes: int
    kills: Counter[str] = field(default_factory=Counter[str])
    trials: int = 0
    repeated: int = 0
    different: int = 0

    def record(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "processes": self.processes,
            "kills": dict(self.kills),
            "trials": self.trials,
            "repeated": self.repeated,
            "different": self.different,
        }


def undisturbed(folder: Path) -> tuple[list[dict[str, Any]], float]:
    """Run the sweep in peace; return its table and the seconds a trial took."""
    (folder / "sweep.yaml").write_text(yaml.safe_dump(CONFIG), encoding="utf-8")
    seconds = _command(folder, "straight").finish()
    rows = _table(folder / "straight")
    return rows, seconds / len(rows)


def kill_sweeps(
    folder: Path,
    *,
    wanted: list[dict[str, Any]],
    pace: float,
    processes: int,
    kills: int,
    seed: int,
    say: Callable[[str], None],
) -> SurvivedSweep:
    """Run a sweep by so many processes, kill them so often, and start them again until the sweep is finished.

    Args:
        folder: holds the config.
        wanted: the table of an undisturbed sweep.
        pace: seconds of a trial.
        processes: sweeps that share the work.
        kills: how many, where the sweep lives long enough.
        seed: of moments and victims.
        say: is told how it goes.
    """
    draw, found = random.Random(seed), SurvivedSweep(processes)
    name = f"killed-{processes}"
    command, root = _command(folder, name), folder / name
    alive = [command.start() for _ in range(processes)]
    first_seen: dict[Path, tuple[int, int]] = {}
    while alive:
        if found.kills.total() < kills and _wait(alive, root, later=2 * pace * draw.random()):
            victim = draw.choice(alive)
            what = draw.choice((EVERYTHING, ASKER, TRAINER))
            _note_finished(root, first_seen)
            if _kill(victim, what):
                found.kills[what] += 1
                say(f"kill {found.kills.total()}: {what}, {len(first_seen)} trials finished")
        alive = [again for process in alive if (again := _alive(process, command)) is not None]
        time.sleep(_LOOK)
    _note_finished(root, first_seen)
    found.repeated = sum(_identity(path) != identity for path, identity in first_seen.items()) + _run_twice(root)
    rows = _table(root)
    found.trials = sum(row["status"] == "finished" for row in rows)
    found.different = sum(row not in wanted for row in rows) + sum(row not in rows for row in wanted)
    return found


def _wait(alive: list[psutil.Process], root: Path, *, later: float) -> bool:
    """Wait until a trial is under way and some time more; return whether all are still there to be killed."""
    while not _under_way(root):
        if not all(_lives(process) for process in alive):
            return False
        time.sleep(_LOOK)
    time.sleep(later)
    return all(_lives(process) for process in alive)


def _under_way(root: Path) -> bool:
    return any(not (path.parent / "results.json").exists() for path in root.glob(f"{TRIALS}/*/config.yaml"))


def _lives(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def _kill(process: psutil.Process, what: str) -> bool:
    """Kill what is to be killed of a sweep; return whether there was such a process."""
    children = [child for child in process.children() if "spawn_main" in " ".join(child.cmdline())]
    victims = {EVERYTHING: [process, *children], ASKER: [process], TRAINER: children}[what]
    for victim in victims:
        os.kill(victim.pid, signal.SIGKILL)
    return bool(victims)


def _alive(process: psutil.Process, command: Command) -> psutil.Process | None:
    """Return the process, another one in the place of a killed one, or None in the place of a finished one."""
    if _lives(process):
        return process
    code = os.waitstatus_to_exitcode(os.waitpid(process.pid, 0)[1])
    if code == -signal.SIGKILL:
        return command.start()
    if code != 0:
        raise RuntimeError(f"a sweep ended with {code}: {command.told.read_text()[-3000:]}")
    return None


def _note_finished(root: Path, seen: dict[Path, tuple[int, int]]) -> None:
    for path in root.glob(f"{TRIALS}/*/results.json"):
        seen.setdefault(path, _identity(path))


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_ino, status.st_mtime_ns


def _run_twice(root: Path) -> int:
    """Return how many trials the ledger has as finished more than once."""
    from optuna.storages import RDBStorage
    from optuna.trial import TrialState

    storage = RDBStorage(f"sqlite:///{(root / DATABASE).resolve()}")
    (study,) = storage.get_all_studies()
    finished = Counter(
        json.dumps(trial.user_attrs["trial"], sort_keys=True)
        for trial in storage.get_all_trials(study._study_id)
        if trial.state is TrialState.COMPLETE
    )
    return sum(count - 1 for count in finished.values())


def _table(root: Path) -> list[dict[str, Any]]:
    rows = json.loads((root / TABLE).read_text(encoding="utf-8"))["trials"]
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


def _command(folder: Path, name: str) -> Command:
    arguments = ["sweep", str(folder / "sweep.yaml"), "--output", str(folder / name), *PLAN]
    return Command(arguments, told=folder / f"{name}.txt")
