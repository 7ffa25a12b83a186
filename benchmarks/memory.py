"""Peak memory of training, each variant in a process of its own.

Measured: how far the peak of the process's resident memory rises, over two whole steps (collation, forward, backward, AdamW;
the second runs beside the optimizer's moments), above what it was before the first. So it holds gradients, moments,
activations and logits; the weights, libraries and data, which are the same for all, are in the baseline. Not measured:
fragmentation of long runs, and accelerators.
"""

import multiprocessing
import platform
import resource
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import torch

from benchmarks.steps import TrainerStep, ours, plain
from benchmarks.workload import Workload
from llm_jepa.objective.jepa import JEPA
from llm_jepa.packing.layout import Layout

Build: TypeAlias = Callable[[Workload, Path], TrainerStep]

STEPS = 2
BYTES = 1 if platform.system() == "Darwin" else 1024
"""The unit of `ru_maxrss`: bytes on macOS, KiB on Linux."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Peak memory of one variant, in MiB: of the process before the first step, and what two steps add to it."""

    name: str
    before: float
    added: float


def _plain(workload: Workload, folder: Path) -> TrainerStep:
    samples = workload.batch(workload.size.memory_batch)
    return plain(model=workload.model(), workload=workload, folder=folder, samples=samples)


def _ours(workload: Workload, folder: Path, *, weight: float, per_row: int | None = None) -> TrainerStep:
    return ours(
        model=workload.packed_model(),
        workload=workload,
        folder=folder,
        samples=workload.batch(workload.size.memory_batch),
        objective=JEPA(weight=weight),
        layout=Layout(k=1),
        per_row=per_row,
    )


def _next_token(workload: Workload, folder: Path) -> TrainerStep:
    return _ours(workload, folder, weight=0.0)


def _shared(workload: Workload, folder: Path) -> TrainerStep:
    return _ours(workload, folder, weight=1.0)


def _one_a_row(workload: Workload, folder: Path) -> TrainerStep:
    return _ours(workload, folder, weight=1.0, per_row=1)


BUILDS: dict[str, Build] = {
    "plain Trainer": _plain,
    "our NTP": _next_token,
    "LLM-JEPA shared, k = 1": _shared,
    "LLM-JEPA shared, 1 a row": _one_a_row,
}


def memory(workload: Workload, *, progress: Callable[[str], None]) -> tuple[Memory, ...]:
    """Return the peak memory of the plain Trainer, of our next-token step, and of LLM-JEPA as it packs and one a row.

    The processes come from a fork server, not from this process: a child of a large process begins with its parent's peak.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    found: list[Memory] = []
    for name, build in BUILDS.items():
        progress(f"memory: {name}")
        with ProcessPoolExecutor(max_workers=1, mp_context=context) as pool:
            before, after = pool.submit(_peaks, build, workload).result()
        found.append(Memory(name=name, before=before, added=after - before))
    return tuple(found)


def _peaks(build: Build, workload: Workload) -> tuple[float, float]:
    """Return the peak of this process before and after the steps, in MiB."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        step = build(workload, Path(folder))
        step.prepare()
        optimizer = step.trainer.create_optimizer()
        before = _peak()
        for _ in range(STEPS):
            step()
            optimizer.step()
            optimizer.zero_grad()
        return before, _peak()


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * BYTES / 2**20
