"""Time and memory of a device, and the time that is left."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True)
class Budget:
    """Until when everything must have ended.

    Attributes:
        ends: in the seconds of `time.monotonic`.
    """

    ends: float

    def left(self) -> float:
        """Return the seconds left."""
        return self.ends - time.monotonic()


def wait(device: str) -> None:
    """Wait until the device has done all it was told."""
    if device != "cpu":
        torch.cuda.synchronize()


def seconds(run: Callable[[], object], *, device: str, warm: int = 3, rounds: int = 10) -> float:
    """Return the median seconds of a call, each waited for, after some that are not counted."""
    for _ in range(warm):
        run()
    times: list[float] = []
    for _ in range(rounds):
        wait(device)
        start = time.perf_counter()
        run()
        wait(device)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def matrix_peak(device: str, *, side: int) -> float:
    """Return the operations a second of a bfloat16 product of two square matrices of random numbers."""
    left, right = (torch.randn(side, side, device=device).to(torch.bfloat16) for _ in range(2))
    return 2 * side**3 / seconds(lambda: left @ right, device=device)


def start_memory(device: str) -> None:
    """Forget the peak so far."""
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats()


def peak_memory(device: str) -> float:
    """Return the peak of allocated memory since `start_memory`, in GiB; NaN on a CPU."""
    return float("nan") if device == "cpu" else torch.cuda.max_memory_allocated() / 2**30
