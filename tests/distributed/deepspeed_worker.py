"""What each rank of `test_deepspeed.py` runs: a case of `cases.py` under ZeRO, on CPUs by gloo, in float32."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.state import PartialState
from accelerate.utils import DistributedType
from safetensors.torch import save_file
from torch import distributed

torch.set_num_threads(1)


def _counted_as_deepspeed(patch: pytest.MonkeyPatch) -> None:
    """Let accelerate count these processes as DeepSpeed's, as it does on accelerators; on CPUs it does not by itself."""
    initialize = PartialState.__init__

    def counted(self: PartialState, *arguments: Any, **options: Any) -> None:
        initialize(self, *arguments, **options)
        if distributed.is_initialized():
            rank = distributed.get_rank()
            PartialState._shared_state |= {
                "distributed_type": DistributedType.DEEPSPEED,
                "num_processes": distributed.get_world_size(),
                "process_index": rank,
                "local_process_index": rank,
            }

    patch.setattr(PartialState, "__init__", counted)


def main(folder: Path, name: str, stage: int) -> None:
    """Train the tiny model; the first rank writes `weights.safetensors` and `logs.json` into the folder."""
    from deepspeed.runtime.zero import GatheredParameters  # pyright: ignore[reportMissingImports]
    from tests.distributed.cases import CASES, TOGETHER
    from tests.helpers import conversations, packed_model, train, weights

    from llm_jepa.ranks import part

    case = CASES[name]
    zero = {
        "zero_optimization": {"stage": stage},
        "train_micro_batch_size_per_gpu": "auto",
        "gradient_accumulation_steps": "auto",
        "train_batch_size": "auto",
        "gradient_clipping": "auto",
        "zero_allow_untested_optimizer": True,
    }
    model = packed_model("llama", k=2, dtype=torch.float32)
    with pytest.MonkeyPatch.context() as patch:
        _counted_as_deepspeed(patch)
        options = case.options | {"deepspeed": zero, "use_cpu": False}
        logs = train(
            model,
            conversations(case.samples),
            case.objective,
            folder=folder / "trainer",
            batch=TOGETHER // int(os.environ["WORLD_SIZE"]),
            accumulation=case.accumulation,
            **options,
        )
    with GatheredParameters(list(model.parameters())):
        if os.environ["RANK"] == "0":
            save_file({key: value.clone() for key, value in weights(model).items()}, folder / "weights.safetensors")
            (folder / "logs.json").write_text(json.dumps(logs))
    distributed.barrier()
    part()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
