"""The command: correctness, the matrix peak, throughput, the profile; each as long as there is time for it."""

import argparse
import json
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
import transformers
from torch.profiler import ProfilerActivity, profile

from benchmarks.gpu import clock
from benchmarks.gpu.clock import Budget
from benchmarks.gpu.correctness import Verdict, check
from benchmarks.gpu.samples import read, samples
from benchmarks.gpu.shapes import EXACT, SIZES, Shape
from benchmarks.gpu.tables import exactness_table, throughput_table
from benchmarks.gpu.throughput import Bench, Step, Timed

CHECK, VARIANT, PROFILE = 25.0, 30.0, 20.0
"""Seconds that a part may take, compilation included; it is left out when fewer are left."""


@dataclass(slots=True)
class Findings:
    """All that was found, and what was left out."""

    verdicts: list[Verdict] = field(default_factory=list[Verdict])
    peak: float = float("nan")
    timed: dict[str, list[Timed]] = field(default_factory=dict[str, list[Timed]])
    left_out: list[str] = field(default_factory=list[str])


class _Run:
    """One run of everything.

    Args:
        device: "cuda" or "cpu".
        budget: until when.
        folder: where files go.
    """

    def __init__(self, device: str, budget: Budget, folder: Path) -> None:
        self.device, self.budget, self.folder, self.found = device, budget, folder, Findings()
        self._scale = 1.0 if device != "cpu" else 0.1  # nothing is compiled on a CPU, and sizes are tiny

    def affords(self, what: str, seconds: float) -> bool:
        """Return whether there is time, and note what is left out."""
        if self.budget.left() >= seconds * self._scale:
            return True
        self.found.left_out.append(what)
        print(f"left out, {self.budget.left():.0f} s are left: {what}", flush=True)
        return False

    def correctness(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Check every family."""
        for family in EXACT:
            if self.affords(f"correctness of {family}", CHECK):
                found = check(samples(pairs[:12], vocabulary=512), device=self.device, family=family)
                self.found.verdicts += found
                for verdict in found:
                    print(f"{'ok   ' if verdict.passed else 'WRONG'} {verdict.name}", flush=True)

    def throughput(self, shape: Shape, pairs: Sequence[tuple[str, str]], *, rounds: int) -> None:
        """Time every variant of a shape, and profile LLM-JEPA."""
        if not self.affords(f"throughput of {shape.name}", 2 * VARIANT):
            return
        bench = Bench(shape, self.device, samples(pairs, vocabulary=shape.fields["vocab_size"]))
        self.found.timed[shape.name] = []
        taken = [step for step in bench.steps() if self._timed(bench, step, rounds=rounds)]
        telling = next((step for step in taken if "JEPA" in step.name), None)
        if telling is not None and self.affords(f"profile of {shape.name}", PROFILE):
            self._profile(bench, telling)
        if self.affords(f"{shape.name}: compiled layers", 2 * VARIANT):
            for step in bench.compiled_steps():
                self._timed(bench, step, rounds=rounds)

    def _timed(self, bench: Bench, step: Step, *, rounds: int) -> bool:
        """Time a variant; return whether there was time for it."""
        name = f"{bench.shape.name}: {step.name}"
        if not self.affords(name, VARIANT):
            return False
        timed = bench.time(step, rounds=rounds)
        self.found.timed[bench.shape.name].append(timed)
        print(f"{name}: {timed.seconds * 1e3:.1f} ms", flush=True)
        return True

    def _profile(self, bench: Bench, step: Step) -> None:
        activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if self.device != "cpu" else [])
        with profile(activities=activities) as profiled:
            bench.take(step)
            clock.wait(self.device)
        order = "self_cpu_time_total" if self.device == "cpu" else "self_cuda_time_total"
        table = profiled.key_averages().table(sort_by=order, row_limit=40)
        name = f"profile-{bench.shape.name.replace(' ', '-')}.txt"
        (self.folder / name).write_text(f"{step.name}\n{table}\n", encoding="utf-8")

    def write(self, setting: dict[str, Any]) -> str:
        """Write everything, and return the tables."""
        tables = f"{exactness_table(self.found.verdicts)}\n\n{throughput_table(self.found.timed, self.found.peak)}"
        left_out = "".join(f"\nleft out for lack of time: {name}" for name in self.found.left_out)
        head = f"{setting['machine']}, torch {setting['torch']}, transformers {setting['transformers']}, {setting['date']}"
        (self.folder / "tables.md").write_text(f"{head}\n\n{tables}\n{left_out}\n", encoding="utf-8")
        record = {"setting": setting, **asdict(self.found)}
        (self.folder / "record.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
        return f"{tables}{left_out}\n{head}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run everything; return 1 where something is wrong, 2 for a mistake in what was given, else 0."""
    options = _parser().parse_args(arguments)
    began = time.monotonic()
    if options.device == "cuda" and not torch.cuda.is_available():
        print("--device cuda: torch sees no GPU; give --device cpu --size tiny", file=sys.stderr)
        return 2
    if options.data is not None and not options.data.is_file():
        print(f"--data {options.data}: no such file", file=sys.stderr)
        return 2
    options.out.mkdir(parents=True, exist_ok=True)
    run = _Run(options.device, Budget(began + 60 * options.minutes), options.out)
    pairs = read(options.data, max(shape.batch for shape in SIZES["full"]))
    tiny = options.size == "tiny"
    run.correctness(pairs)
    run.found.peak = clock.matrix_peak(options.device, side=256 if tiny else 8192)
    for shape in SIZES[options.size]:
        run.throughput(shape, pairs, rounds=2 if tiny else 10)
    print(run.write(_setting(options.device, seconds=time.monotonic() - began)))
    return 0 if all(verdict.passed for verdict in run.found.verdicts) else 1


def _setting(device: str, *, seconds: float) -> dict[str, Any]:
    return {
        "machine": torch.cuda.get_device_name() if device != "cpu" else f"CPU, {platform.machine()}",
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "date": time.strftime("%Y-%m-%d"),
        "seconds": round(seconds, 1),
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", choices=("cuda", "cpu"), default=device, help=f"default here: {device}")
    parser.add_argument("--size", choices=tuple(SIZES), default="full" if device == "cuda" else "tiny")
    parser.add_argument("--data", type=Path, help="JSON lines with messages (default: generated sentences)")
    parser.add_argument("--minutes", type=float, default=9.0, help="when to have ended (default: 9)")
    parser.add_argument("--out", type=Path, default=Path("gpu-benchmark"), help="folder for tables, record and profile")
    return parser
