"""Kills of sweeps: of all of their processes, of the one that asks, and of the one that works on a trial.

What is tried is who works on what, and what is kept of it. So trials are stand-ins, unless they are asked to train; that a
killed training goes on exactly is tried by itself (`training.py`).
"""

import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import yaml

from benchmarks.faults.process import Command, Copies
from benchmarks.faults.stand_in import CONFIG, stand_in
from benchmarks.faults.training import SHAPE
from llm_jepa.experiments.sweep.folder import DATABASE, TABLE
from llm_jepa.experiments.sweep.ledger import ATTEMPTS
from llm_jepa.experiments.sweep.sweeping import sweep
from llm_jepa.experiments.sweep.trials import TRIALS
from llm_jepa.experiments.sweep.worker import Run, run_trial

TRAINED = {
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
"""Of trials that train for two steps."""
PLAN = ["--learning_rates", "1e-3", "--ks", "0", "2", "--weights", "0.5", "2", "--seeds", "82", "23", "37", "--workers", "1"]
"""12 trials: one learning rate, four cells, and seven more runs of the three chosen arms."""
EVERYTHING, ASKER, WORKER = "all processes of a sweep", "the process that asks", "the process that works on a trial"
_LOOK = 0.02
_REST = 3


@dataclass(frozen=True, slots=True)
class Trials:
    """What is swept.

    Attributes:
        config: that all trials share.
        run: runs one.
    """

    config: Mapping[str, Any]
    run: Run

    def sweep(self, arguments: list[str]) -> int:
        """Run `llm-jepa sweep ...` on them."""
        return sweep(arguments[1:], run=self.run, context=Copies())


STAND_INS, TRAININGS = Trials(CONFIG, stand_in), Trials(TRAINED, run_trial)


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


@dataclass(frozen=True, slots=True)
class Undisturbed:
    """A sweep that ran in peace.

    Attributes:
        trials: what was swept.
        rows: its table.
        pace: seconds of a trial.
    """

    trials: Trials
    rows: list[dict[str, Any]]
    pace: float


def undisturbed(folder: Path, trials: Trials) -> Undisturbed:
    """Run the sweep in peace, with its config and itself in a folder."""
    (folder / "sweep.yaml").write_text(yaml.safe_dump(trials.config), encoding="utf-8")
    seconds = _command(folder, "straight", trials).finish()
    rows = _table(folder / "straight")
    return Undisturbed(trials, rows, seconds / len(rows))


def kill_sweeps(
    folder: Path, peace: Undisturbed, *, processes: int, kills: int, seed: int, say: Callable[[str], None]
) -> SurvivedSweep:
    """Run a sweep by so many processes, kill them so often, and start them again until the sweep is finished.

    The kills are spread over the trials, with the last one some trials before the end. The process that works is killed by
    itself at most twice in one trial: at the third time the sweep counts it as failed.

    Args:
        folder: holds the config.
        peace: the same sweep, undisturbed.
        processes: sweeps that share the work.
        kills: how many.
        seed: of moments and victims.
        say: is told how it goes.
    """
    draw, found = random.Random(seed), SurvivedSweep(processes)
    name = f"killed-{processes}"
    command, root = _command(folder, name, peace.trials), folder / name
    alive = [command.start() for _ in range(processes)]
    first_seen: dict[Path, tuple[int, int]] = {}
    hit: Counter[Path] = Counter()
    while alive:
        due = (len(peace.rows) - _REST) * found.kills.total() // kills
        if found.kills.total() < kills and _wait(alive, root, due=due, later=peace.pace * draw.random()):
            victim = draw.choice(alive)
            under_way = _under_way(root)
            spent = not under_way or any(hit[trial] == ATTEMPTS - 1 for trial in under_way)
            what = draw.choice((EVERYTHING, ASKER) if spent else (EVERYTHING, ASKER, WORKER))
            _note_finished(root, first_seen)
            if _kill(victim, what):
                found.kills[what] += 1
                hit.update(under_way if what == WORKER else ())
                say(f"kill {found.kills.total()}: {what}, {len(first_seen)} trials finished")
        alive = [again for process in alive if (again := _alive(process, command)) is not None]
        time.sleep(_LOOK)
    _note_finished(root, first_seen)
    found.repeated = sum(_identity(path) != identity for path, identity in first_seen.items()) + _run_twice(root)
    rows = _table(root)
    found.trials = sum(row["status"] == "finished" for row in rows)
    found.different = sum(row not in peace.rows for row in rows) + sum(row not in rows for row in peace.rows)
    return found


def _wait(alive: list[psutil.Process], root: Path, *, due: int, later: float) -> bool:
    """Wait until so many trials are finished, another is under way, and some time more; return whether all still live.

    The time is cut short where two more trials finish in it, or the sweep would be over before its last kill.
    """
    while _finished(root) < due or not _under_way(root):
        if not all(_lives(process) for process in alive):
            return False
        time.sleep(_LOOK)
    end = time.monotonic() + later
    while time.monotonic() < end and _finished(root) < due + 2:
        time.sleep(_LOOK)
    return all(_lives(process) for process in alive)


def _under_way(root: Path) -> list[Path]:
    """Return the folders of trials that were begun and are not finished."""
    begun = [path.parent for path in root.glob(f"{TRIALS}/*/config.yaml")]
    return [folder for folder in begun if not (folder / "results.json").exists()]


def _finished(root: Path) -> int:
    return len(list(root.glob(f"{TRIALS}/*/results.json")))


def _lives(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def _kill(process: psutil.Process, what: str) -> bool:
    """Kill what is to be killed of a sweep; return whether there was such a process."""
    children = process.children()
    victims = {EVERYTHING: [process, *children], ASKER: [process], WORKER: children}[what]
    for victim in victims:
        with suppress(ProcessLookupError):  # a worker that its dead sweep left, and that noticed
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


def _command(folder: Path, name: str, trials: Trials) -> Command:
    arguments = ["sweep", str(folder / "sweep.yaml"), "--output", str(folder / name), *PLAN]
    return Command(arguments, told=folder / f"{name}.txt", work=trials.sweep)
