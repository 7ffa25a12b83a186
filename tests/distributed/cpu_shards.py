"""FSDP2 on CPUs: accelerate shards only where it counts the processes as those of GPUs, so they are counted as such here.

Nothing else is changed: Trainer, accelerate and torch shard, gather and reduce as they do on GPUs, by gloo instead of NCCL.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from accelerate.state import AcceleratorState, PartialState
from accelerate.utils import DistributedType
from torch import distributed
from torch.distributed import HashStore  # pyright: ignore[reportPrivateImportUsage]

MARKS = ("ACCELERATE_USE_FSDP", "FSDP_CPU_RAM_EFFICIENT_LOADING")
"""What accelerate leaves in the environment of a process that has sharded once."""


@contextmanager
def shards_on_cpus() -> Iterator[None]:
    """Let a training inside shard when it asks for it: over the launched processes, or over this one alone."""
    initialize = PartialState.__init__

    def counted_as_gpus(self: PartialState, *arguments: Any, **options: Any) -> None:
        initialize(self, *arguments, **options)
        if self.distributed_type in (DistributedType.NO, DistributedType.MULTI_CPU):
            PartialState._shared_state["distributed_type"] = self.distributed_type = DistributedType.MULTI_GPU

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PartialState, "__init__", counted_as_gpus)
        alone = "RANK" not in os.environ
        if alone:
            distributed.init_process_group("gloo", store=HashStore(), rank=0, world_size=1)
        try:
            yield
        finally:
            if alone:
                distributed.destroy_process_group()
            for mark in MARKS:
                os.environ.pop(mark, None)
            AcceleratorState._reset_state(reset_partial_state=True)
