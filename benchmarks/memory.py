"""Peak memory of training, each variant in a process of its own.

Measured: how far the peak of the process's resident memory rises over a whole step (collation, forward, backward, AdamW)
that runs beside the optimizer's moments, above what it was before those. So it holds gradients, moments, activations and
logits; the weights, libraries and data, which are the same for all, are in the baseline. Not measured: fragmentation of long
runs, and accelerators.
"""

import multiprocessing
import platform
import resource
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

import torch
from transformers import PreTrainedModel

from benchmarks import official, variants
from benchmarks.steps import TrainerStep, has_trl, ours, plain, trl
from benchmarks.timing import nothing
from benchmarks.workload import Workload
from llm_jepa.objective.jepa import JEPA
from llm_jepa.packing.layout import Layout


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Peak memory of one variant, in MiB: of the process before the step, and what the step and the moments add to it."""

    name: str
    before: float
    added: float


@dataclass(frozen=True, slots=True)
class Built:
    """What is run, and the model that it trains."""

    model: PreTrainedModel
    run: Callable[[], object]
    prepare: Callable[[], object] = nothing


Build: TypeAlias = Callable[[Workload, Path], Built]

BYTES = 1 if platform.system() == "Darwin" else 1024
"""The unit of `ru_maxrss`: bytes on macOS, KiB on Linux."""


def _of(step: TrainerStep) -> Built:
    return Built(step.model, step, step.prepare)


def _plain(workload: Workload, folder: Path) -> Built:
    samples = workload.batch(workload.size.memory_batch)
    return _of(plain(model=workload.model(), workload=workload, folder=folder, samples=samples))


def _trl(workload: Workload, folder: Path) -> Built:
    samples = workload.batch(workload.size.memory_batch)
    return _of(trl(model=workload.model(), workload=workload, folder=folder, samples=samples, packing=True))


def _ours(name: str, workload: Workload, folder: Path) -> Built:
    objective, layout, per_row = variants.OURS.get(name, (JEPA(weight=0.0), Layout(k=1), None))
    return _of(
        ours(
            model=workload.packed_model(),
            workload=workload,
            folder=folder,
            samples=workload.batch(workload.size.memory_batch),
            objective=objective,
            layout=layout,
            per_row=per_row,
        )
    )


def _official(workload: Workload, folder: Path) -> Built:
    """Return the official arithmetic on one sample: three rows of 512 tokens hold more than a whole batch of the others."""
    del folder
    model = workload.model()
    run, _ = official.three_rows(model, workload.batch(1)[0], pad=workload.pad)
    return Built(model, run)


OURS = (variants.NTP, variants.SHARED)
OTHERS = (variants.SHARED_ONE, variants.FRAMED)


def builds(*, all_of_them: bool) -> dict[str, Build]:
    """Return what is measured, the plain Trainer first: what targets need, or all."""
    named = {name: partial(_ours, name) for name in (OURS + OTHERS if all_of_them else OURS)}
    others: dict[str, Build] = {variants.TRL_PACKED: _trl} if all_of_them and has_trl() else {}
    alone: dict[str, Build] = {f"{variants.THREE}, 1 sample": _official} if all_of_them else {}
    return {variants.TRAINER: _plain} | named | others | alone


def memory(workload: Workload, *, all_of_them: bool, progress: Callable[[str], None]) -> tuple[Memory, ...]:
    """Return the peak memory of the plain Trainer, of our next-token step, of LLM-JEPA, and of others if wanted.

    The processes come from a fork server, not from this process: a child of a large process begins with its parent's peak.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    found: list[Memory] = []
    for name, build in builds(all_of_them=all_of_them).items():
        progress(f"memory: {name}")
        with ProcessPoolExecutor(max_workers=1, mp_context=context) as pool:
            before, after = pool.submit(_peaks, build, workload).result()
        found.append(Memory(name=name, before=before, added=after - before))
    return tuple(found)


def _peaks(build: Build, workload: Workload) -> tuple[float, float]:
    """Return the peak of this process before the moments and after a step beside them, in MiB."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        built = build(workload, Path(folder))
        built.prepare()
        trained = [weight for weight in built.model.parameters() if weight.requires_grad]
        optimizer = torch.optim.AdamW(trained, fused=True)
        before = _peak()
        for weight in trained:
            weight.grad = torch.zeros_like(weight)
        optimizer.step()
        optimizer.zero_grad()
        built.run()
        optimizer.step()
        return before, _peak()


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * BYTES / 2**20
