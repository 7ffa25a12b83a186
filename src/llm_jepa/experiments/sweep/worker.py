"""One process of a sweep: it claims a trial, runs it while its heart beats, and records what came of it.

A trial that fails is recorded with its sentence, and the sweep goes on. What is no mistake of the user's ends the process
too, since a CUDA error leaves it useless; its traceback lies in `failures/`.
"""

import os
import shutil
import signal
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Event, Thread
from typing import Any

import optuna
import torch

from llm_jepa.durable import write
from llm_jepa.errors import Terminated, UserError, terminate
from llm_jepa.experiments.experiment import Experiment
from llm_jepa.experiments.files import RunFolder
from llm_jepa.experiments.quiet import quiet_libraries
from llm_jepa.experiments.run import Interrupted, run_experiment
from llm_jepa.experiments.screen import Screen
from llm_jepa.experiments.secrets import redacted
from llm_jepa.experiments.show import Show
from llm_jepa.experiments.sweep.ledger import Claim, Ledger
from llm_jepa.experiments.sweep.lifeline import Lifeline, Sign
from llm_jepa.experiments.sweep.plan import Plan, Trial
from llm_jepa.experiments.sweep.survey import named
from llm_jepa.experiments.sweep.trials import experiment_of, outcome_of

WORKERS, FAILURES = "workers", "failures"
"""Folders in that of the sweep: the locks of living processes, and tracebacks."""
BEAT = 10.0
"""Seconds between two beats."""
_LOOK, _PARTING = 0.5, 60.0

Run = Callable[[Experiment, str, Show], object]
"""Runs an experiment as an arm, in its folder."""


def run_trial(experiment: Experiment, arm: str, show: Show) -> object:
    """Train and score one trial; its checkpoints go when it is finished, since nothing continues from them."""
    run = run_experiment(experiment, arm=arm, show=show)
    shutil.rmtree(run.checkpoints, ignore_errors=True)
    return run


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What a process needs to work on a sweep.

    Attributes:
        base: the config that all trials share; its output is the sweep's folder.
        plan: the plan.
        url: of the database.
        name: of the sweep in it.
        run: runs a trial.
        threads: of each process.
        devices: CUDA devices that it may see; None: all.
    """

    base: Experiment
    plan: Plan
    url: str
    name: str
    run: Run
    threads: int = 1
    devices: str | None = None

    @property
    def root(self) -> Path:
        """The sweep's folder."""
        return Path(self.base.output)


@dataclass(frozen=True, slots=True)
class News:
    """What a process tells of itself; without a title it is idle.

    Attributes:
        title: what it works on.
        stage: what it does.
        done: how much of that is done.
        total: of how much.
    """

    title: str = ""
    stage: str = ""
    done: int = 0
    total: int = 1


def serve(desk: Desk, channel: Connection) -> None:
    """Work for the process at the other end of a channel until it goes away.

    It sends `Sign` first, then for every sequence of trials that it gets `News`, the last of them without a title.
    """
    signal.signal(signal.SIGTERM, terminate)
    os.setpgid(0, 0)  # Ctrl-C reaches the process that asks, which then stops this one as `CleanStop` wants it
    if desk.devices is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = desk.devices
    torch.set_num_threads(min(desk.threads, torch.get_num_threads()))  # OMP_NUM_THREADS may ask for fewer
    quiet_libraries(Screen(stderr=True))
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    ledger = Ledger(desk.url, desk.name)

    def tell(said: Sign | News) -> None:
        with suppress(OSError):  # nobody listens any more; the heart will see to that
            channel.send(said)

    with Lifeline(desk.root / WORKERS) as sign, suppress(EOFError, Terminated):
        tell(sign)
        while True:
            work(desk, ledger, channel.recv(), sign, tell)
            tell(News())


def work(desk: Desk, ledger: Ledger, trials: Sequence[Trial], sign: Sign, tell: Callable[[News], None]) -> Claim | None:
    """Claim the first of the trials that waits, run it and record it; return the claim, None if none waits.

    Raises:
        SystemExit: it failed by no mistake of the user's, or was interrupted; that is recorded.
    """
    claim = ledger.claim(trials, sign)
    if claim is None:
        return None
    with _Heart(ledger, claim):
        try:
            _run(desk, ledger, claim, tell)
        except UserError as error:
            ledger.fail(claim, str(error))
        except (Interrupted, KeyboardInterrupt, Terminated) as error:
            ledger.give_up(claim)
            raise SystemExit(128 + signal.SIGINT) from error
        except Exception as error:
            ledger.fail(claim, _sentence(error))
            _keep_traceback(desk, claim)
            raise SystemExit(1) from error
    return claim


def _run(desk: Desk, ledger: Ledger, claim: Claim, tell: Callable[[News], None]) -> None:
    experiment = experiment_of(desk.base, claim.trial)
    title = f"{claim.trial.setting.arm}, {named(claim.trial.setting)}, seed {claim.trial.seed}"

    def train(step: int, steps: int, logs: dict[str, Any]) -> None:
        del logs
        tell(News(title, "training", step, steps))

    tell(News(title, "loading"))
    show = Show(train=train, evaluate=lambda done, total: tell(News(title, "scoring", done, total)))
    desk.run(experiment, claim.trial.setting.arm, show)
    outcome = outcome_of(RunFolder(Path(experiment.output)))
    split = desk.plan.protocol.value
    if split not in outcome.accuracy:
        raise UserError(f"the run was scored on no {split} rows, on which choices are made; set data.{split}")
    ledger.finish(claim, outcome, score=outcome.accuracy[split])


def _sentence(error: Exception) -> str:
    return redacted(f"{type(error).__name__}: {' '.join(str(error).split())[:300]}")


def _keep_traceback(desk: Desk, claim: Claim) -> None:
    folder = desk.root / FAILURES
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / f"{Path(experiment_of(desk.base, claim.trial).output).name}.txt", redacted(traceback.format_exc()))


class _Heart:
    """Beats while a claim is worked on, in a thread of its own.

    It ends the process when the claim was taken over, so that two never work in one folder, and when the process that asked
    is gone: gently first, as a signal does, so that a checkpoint is kept.
    """

    def __init__(self, ledger: Ledger, claim: Claim) -> None:
        self._ledger, self._claim = ledger, claim
        self._stop = Event()
        self._thread = Thread(target=self._live, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *raised: object) -> None:
        del raised
        self._stop.set()
        self._thread.join()

    def _live(self) -> None:
        looks, every = 0, max(1, round(BEAT / _LOOK))
        while not self._stop.wait(_LOOK):
            looks += 1
            if looks % every == 0 and not self._ledger.beat(self._claim, looks // every):
                os._exit(1)
            asker = parent_process()
            if asker is not None and not asker.is_alive():
                os.kill(os.getpid(), signal.SIGTERM)
                self._stop.wait(_PARTING)
                os._exit(1)
