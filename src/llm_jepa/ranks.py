"""The processes of one distributed launch (ranks): what the first decides, all learn; alone, nothing is exchanged."""

import os
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list, gather_object
from torch import distributed

from llm_jepa.errors import UserError

T = TypeVar("T")


def is_first() -> bool:
    """Return whether this is the first process, by the launcher's own mark: before the processes know of each other."""
    return os.environ.get("RANK", "0") == "0"


def launched() -> int:
    """Return how many processes the launcher started, by its own mark."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def launch_precision() -> str | None:
    """Return what `accelerate launch` has processes compute in, "bf16" or "fp16"; None where it does not say."""
    said = os.environ.get("ACCELERATE_MIXED_PRECISION")
    return said if said in {"bf16", "fp16"} else None


def processes() -> PartialState:
    """Return what accelerate knows of the processes; on a machine without accelerators it has to be told to look."""
    return PartialState(cpu=not torch.accelerator.is_available())


def part() -> None:
    """Take this process out of its group, after its last word to the others; alone, nothing happens.

    A process that ends while it still belongs to one is now and then killed by the group's own threads (SIGABRT), and its
    launcher then reports a finished run as failed. Not for a process that fails: with NCCL it would wait for the others.
    """
    if distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()


def first_decides(work: Callable[[], T]) -> T:
    """Do something in the first process alone, and return its result in all of them.

    Args:
        work: what reads or writes files that all processes share, for example.

    Raises:
        UserError: in all processes, where it was raised in the first.
    """
    outcome: list[Any] = [None, None]
    if processes().is_main_process:
        try:
            outcome = [work(), None]
        except UserError as error:
            outcome = [None, str(error)]
    result, refusal = broadcast_object_list(outcome)
    if refusal is not None:
        raise UserError(refusal)
    return result


def gathered(own: Sequence[T]) -> list[T]:
    """Return what all processes give, in their order; everyone has to take part."""
    return list(own) if processes().num_processes == 1 else list(gather_object(list(own)))
