"""Many runs on one machine: each in a worker process of its own, all shown in one live table.

On a CPU two runs of one thread each are quicker than one run of two threads. A run that is finished is not run again, so the
same call continues what was interrupted.
"""

import multiprocessing
import os
import queue
import signal
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import parent_process
from multiprocessing.managers import SyncManager
from threading import Lock, Thread
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from llm_jepa.errors import Terminated, UserError, terminate
from llm_jepa.experiments.experiment import Experiment
from llm_jepa.experiments.interruption import Interrupted
from llm_jepa.experiments.quiet import quiet_libraries
from llm_jepa.experiments.run import run_experiment
from llm_jepa.experiments.screen import Screen
from llm_jepa.experiments.show import Show
from llm_jepa.training.deadline import NEVER, Deadline

_PARTING = 60.0
"""Seconds in which a worker may save its run after the process that asked is gone."""
_WORKING = Lock()
"""Held in a worker while it has a run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One run of a comparison.

    Attributes:
        arm: the arm's name; with the seed it names the run.
        experiment: the run.
    """

    arm: str
    experiment: Experiment

    @property
    def title(self) -> str:
        """How the run is called on the screen."""
        return f"{self.arm}, seed {self.experiment.seed}"


@dataclass(frozen=True, slots=True)
class _News:
    title: str
    stage: str
    done: int
    total: int
    detail: str


def run_all(jobs: Sequence[Job], *, console: Console, workers: int | None = None, deadline: Deadline = NEVER) -> None:
    """Run all jobs and return when every run folder is finished.

    Args:
        jobs: the runs.
        console: shows their progress.
        workers: runs at a time; None: one a core.
        deadline: by when to end; no further run begins then, and the running ones save and stop.

    Raises:
        UserError: a run was refused, or a worker died (out of memory, most likely).
        Interrupted: the time was over.
        KeyboardInterrupt, Terminated: a signal; the running ones have saved a checkpoint.
    """
    cores = os.cpu_count() or 1
    workers = min(workers or cores, len(jobs))
    context = multiprocessing.get_context("spawn")
    manager = SyncManager(ctx=context)
    manager.start(_follow)
    with manager, _progress(console) as progress:
        news: Any = manager.Queue()
        others = multiprocessing.active_children()
        with ProcessPoolExecutor(
            workers, mp_context=context, initializer=_start, initargs=(max(1, cores // workers),)
        ) as executor:
            # Those that begin at once take at least a step, so that every call makes progress.
            ends = [NEVER if index < workers else deadline for index in range(len(jobs))]
            futures = [executor.submit(_work, job, news, begin, deadline) for job, begin in zip(jobs, ends, strict=True)]
            try:
                _watch(futures, jobs, news, progress)
            except (KeyboardInterrupt, Terminated):
                for process in multiprocessing.active_children():
                    if process not in others:
                        process.terminate()  # a run in training saves first; a second wish so soon is the same one
                raise
            finally:
                executor.shutdown(wait=True, cancel_futures=True)


def _watch(futures: Sequence[Future[None]], jobs: Sequence[Job], news: Any, progress: Progress) -> None:
    tasks: dict[str, TaskID] = {}
    waiting = dict(zip(futures, jobs, strict=True))
    late: Interrupted | None = None
    while waiting:
        with suppress(queue.Empty):
            while True:
                _show(news.get(timeout=0.2), tasks, progress)
        for future in [future for future in waiting if future.done()]:
            job = waiting.pop(future)
            try:
                future.result()
            except BrokenProcessPool as error:
                raise UserError(f"the run '{job.title}' was killed; most likely the memory was not enough") from error
            except Interrupted as error:
                if error.signal is not None:
                    raise (Terminated if error.signal == signal.SIGTERM else KeyboardInterrupt) from error
                late = error
                continue
            if job.title in tasks:
                progress.update(tasks[job.title], completed=1, total=1, stage="done", detail="")
    if late is not None:
        raise late


def _show(item: _News, tasks: dict[str, TaskID], progress: Progress) -> None:
    if item.title not in tasks:
        tasks[item.title] = progress.add_task(item.title, total=item.total, stage="", detail="")
    progress.update(tasks[item.title], completed=item.done, total=item.total, stage=item.stage, detail=item.detail)


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[stage]:<8}"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[detail]}"),
        console=console,
    )


def _start(threads: int) -> None:
    signal.signal(signal.SIGTERM, terminate)
    torch.set_num_threads(min(threads, torch.get_num_threads()))  # OMP_NUM_THREADS may ask for fewer
    quiet_libraries(Screen(stderr=True))
    _follow()


def _follow() -> None:
    """See to it that this process ends when the one that began it is gone: killed, say, or out of memory."""
    asker = parent_process()
    if asker is None:
        return

    def end() -> None:
        asker.join()
        os.kill(os.getpid(), signal.SIGTERM)  # a run under way saves a checkpoint, as after Ctrl-C
        _WORKING.acquire(timeout=_PARTING)
        os._exit(1)

    Thread(target=end, daemon=True).start()


def _work(job: Job, news: Any, begin: Deadline, deadline: Deadline) -> None:
    """Run a job, if it is not too late to begin and somebody waits for it."""
    asker = parent_process()
    if begin.passed() or (asker is not None and not asker.is_alive()):
        raise Interrupted(None, 0)

    def tell(stage: str, done: int, total: int, detail: str = "") -> None:
        with suppress(OSError, EOFError):  # nobody listens any more; `_follow` ends this process, with a checkpoint
            news.put(_News(job.title, stage, done, total, detail))

    def train(step: int, steps: int, logs: dict[str, Any]) -> None:
        if step % 5 == 0 or step == steps:
            shown = {"loss": "loss", "jepa": "JEPA", "cosine_gap": "gap"}
            detail = "  ".join(f"{label} {logs[name]:.3f}" for name, label in shown.items() if name in logs)
            tell("training", step, steps, detail)

    tell("loading", 0, 1)
    show = Show(train=train, evaluate=lambda done, total: tell("scoring", done, total))
    with _WORKING:
        run_experiment(job.experiment, arm=job.arm, show=show, deadline=deadline)
