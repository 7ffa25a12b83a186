"""Peak memory of training, each variant in a process of its own.

Measured: how far the peak of the process's resident memory rises over a whole step (collation, forward, backward, AdamW)
that runs beside the optimizer's moments, above what it was before those. So it holds gradients, moments, activations and
logits; the weights, libraries and data, which are the same for all, are in the baseline. Beside it: the most bytes that
torch had allocated at a time in such a step. The two differ by what the allocator of the C library leaves between blocks,
which changes from run to run by several hundred MiB. Not measured: fragmentation of long runs, and accelerators.
"""

import multiprocessing
import platform
import resource
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch.profiler import ProfilerActivity, profile
from transformers import PreTrainedModel

from benchmarks import official, variants
from benchmarks.steps import TrainerStep, has_trl, ours, plain, trl
from benchmarks.timing import nothing
from benchmarks.workload import Workload
from llm_jepa.objective.jepa import JEPA
from llm_jepa.packing.layout import Layout


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Peak memory of one variant, in MiB.

    Attributes:
        name: the variant.
        before: of the process before the step.
        added: what the step and the moments add to that.
        allocated: the most that torch had allocated at a time for the step, and the moments.
    """

    name: str
    before: float
    added: float
    allocated: float


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
            found.append(pool.submit(_measured, name, build, workload).result())
    return tuple(found)


def _measured(name: str, build: Build, workload: Workload) -> Memory:
    """Return the peaks of this process before the moments and after a step beside them, and of torch in another step."""
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
        moments = sum(item.nbytes for state in optimizer.state.values() for item in state.values())

        def step() -> None:
            built.run()
            optimizer.step()
            optimizer.zero_grad()

        step()
        added = _peak() - before
        built.prepare()
        return Memory(name=name, before=before, added=added, allocated=_most_allocated(step) + moments / 2**20)


def _most_allocated(run: Callable[[], object]) -> float:
    """Return the most MiB that torch had allocated at a time beyond what it had before."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        run()
    changes = (event.nbytes() for event in _allocations(profiled))
    return max(accumulate(changes), default=0) / 2**20


def _allocations(profiled: profile) -> list[Any]:
    """Return what was allocated and freed, in its order: the events of the profiler, of which it has no public list."""
    found: Any = profiled.profiler
    events = [event for event in found.kineto_results.events() if event.name() == "[memory]"]
    return sorted(events, key=lambda event: event.start_ns())


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * BYTES / 2**20
