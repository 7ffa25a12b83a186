"""What each rank of `test_deepspeed.py` runs: cases and whole runs under ZeRO, on CPUs by gloo."""

import importlib
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.state import PartialState
from accelerate.utils import DistributedType
from safetensors.torch import save_file
from torch import distributed

torch.set_num_threads(1)

TRAINED = ("cosine", "infonce", "lora", "uneven")
"""Of `cases.CASES`."""


def settings(stage: int) -> dict[str, Any]:
    """Return what a run's config says of DeepSpeed, and that there may be more than CPUs."""
    zero = {
        "zero_optimization": {"stage": stage, "stage3_gather_16bit_weights_on_model_save": True},
        "train_micro_batch_size_per_gpu": "auto",
        "gradient_accumulation_steps": "auto",
        "train_batch_size": "auto",
        "gradient_clipping": "auto",
        "zero_allow_untested_optimizer": True,
    }
    return {"deepspeed": zero, "use_cpu": False}


@contextmanager
def counted_as_deepspeed() -> Iterator[None]:
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

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PartialState, "__init__", counted)
        communication = importlib.import_module("deepspeed.comm.torch")
        patch.setattr(communication, "build_shm_op", lambda: None)  # compiled for CPUs, in place of gloo
        yield


def train_cases(root: Path, stage: int) -> None:
    """Train the tiny model in float32 for every case; the first rank writes the weights at the end."""
    from deepspeed.runtime.zero import GatheredParameters  # pyright: ignore[reportMissingImports]
    from tests.distributed.cases import CASES, TOGETHER
    from tests.helpers import conversations, packed_model, train, weights
    from transformers.integrations.deepspeed import unset_hf_deepspeed_config

    from llm_jepa.model.lora import LoRA, with_adapters

    for name in TRAINED:
        case, folder = CASES[name], root / name
        folder.mkdir(parents=True, exist_ok=True)
        model: Any = packed_model("llama", k=2, dtype=torch.float32)
        if case.lora:
            model = with_adapters(model, LoRA(rank=4), k=2, seed=0)
        logs = train(
            model,
            conversations(case.samples),
            case.objective,
            folder=folder / "trainer",
            batch=TOGETHER // int(os.environ["WORLD_SIZE"]),
            accumulation=case.accumulation,
            **(case.options | settings(stage)),
        )
        with GatheredParameters(list(model.parameters())):
            if os.environ["RANK"] == "0":
                save_file({key: value.clone() for key, value in weights(model).items()}, folder / "weights.safetensors")
                (folder / "logs.json").write_text(json.dumps(logs))
        distributed.barrier()
        unset_hf_deepspeed_config()  # or the next model would be built in pieces


def do_runs(root: Path, stage: int) -> None:
    """Do whole runs: in one go, with adapters, by the launch file, and once more, stopped after every step and answer."""
    from tests.distributed.launch_environment import launched_by
    from tests.distributed.runs import described
    from tests.experiments.small_runs import run_in_pieces

    from llm_jepa.errors import UserError
    from llm_jepa.experiments.run import run_experiment
    from llm_jepa.model.lora import LoRA

    made = described(root, "ddp", ranks=int(os.environ["WORLD_SIZE"]))
    made = replace(made, model=replace(made.model, dtype="float32"))
    made = replace(made, training=dict(made.training) | settings(stage) | {"save_strategy": "steps", "save_steps": 2})
    run_experiment(replace(made, output=str(root / "whole")))
    run_experiment(replace(made, output=str(root / "lora"), model=replace(made.model, lora=LoRA(rank=4))))
    _, interruptions = run_in_pieces(replace(made, output=str(root / "pieces")))
    (root / "interruptions").write_text(str(interruptions))
    other = settings(stage)["deepspeed"] | {"bf16": {"enabled": True}}
    try:
        run_experiment(replace(made, output=str(root / "other"), training=dict(made.training) | {"deepspeed": other}))
    except UserError as error:
        (root / "refusal").write_text(str(error))
    own = {name: value for name, value in made.training.items() if name != "deepspeed"}
    with launched_by(f"zero{stage}"):  # transformers finds no bfloat16 on a CPU but with use_cpu
        run_experiment(replace(made, output=str(root / "bf16"), training=own | {"use_cpu": True}))


def main(root: Path, stage: int) -> None:
    """Do all of it under one stage of ZeRO."""
    from llm_jepa.ranks import part

    with counted_as_deepspeed():
        train_cases(root / "cases", stage)
        do_runs(root / "runs", stage)
    distributed.barrier()
    part()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
