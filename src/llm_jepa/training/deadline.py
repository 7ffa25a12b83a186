"""When a call must have ended: a budget in minutes, so that a run fits into short leases of a machine."""

import math
import time
from dataclasses import dataclass

import psutil
from torch import nn

UNFINISHED = 75
"""Exit code of a call that ended before its run was finished: the same command continues (EX_TEMPFAIL of sysexits.h)."""

WRITING = 100e6
"""Bytes a second that a checkpoint is expected to be written with, before one has been; a slow disk."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment by which a process should have ended.

    Attributes:
        at: seconds of the machine's monotonic clock, which nobody sets and all its processes share; infinite: there is no
            such moment.
    """

    at: float = math.inf

    def passed(self, *, reserve: float = 0.0) -> bool:
        """Return whether less than `reserve` seconds are left."""
        return time.monotonic() + reserve >= self.at


NEVER = Deadline()


def minutes_from_start(minutes: float) -> Deadline:
    """Return the deadline so many minutes after this process began: loading libraries and the model counts too."""
    # Both move with the wall clock when it is set, so that their difference does not.
    age = time.time() - psutil.Process().create_time()
    return Deadline(time.monotonic() - age + 60 * minutes)


def saving_time(model: nn.Module) -> float:
    """Return how long a checkpoint may take to write, in seconds: trained weights and AdamW's two states of each."""
    trained = sum(part.numel() * part.element_size() for part in model.parameters() if part.requires_grad)
    return 1.0 + 3 * trained / WRITING
