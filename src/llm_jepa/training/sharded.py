"""A model whose weights are spread over the processes (FSDP2, DeepSpeed ZeRO-3), and the whole of it in one of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from accelerate.utils import DistributedType, parse_flag_from_env
from torch import nn
from transformers.integrations import deepspeed

from llm_jepa.errors import UserError
from llm_jepa.model.lora import is_four_bit
from llm_jepa.model.parts import core


def is_sharded(accelerator: Accelerator) -> bool:
    """Return whether no process holds the whole model: every call of it is an exchange in which all take part."""
    if accelerator.distributed_type == DistributedType.DEEPSPEED:
        plugin = accelerator.state.deepspeed_plugin
        return plugin is not None and plugin.zero_stage == 3
    return accelerator.distributed_type == DistributedType.FSDP


def check_shardable(accelerator: Accelerator, model: nn.Module) -> None:
    """Refuse what the launch asks for and would not get, or would get wrong.

    Raises:
        UserError: sharding on a CPU, which accelerate leaves out without a word, or of weights in 4 bits.
    """
    if accelerator.distributed_type == DistributedType.MULTI_CPU and parse_flag_from_env("ACCELERATE_USE_FSDP"):
        raise UserError("accelerate shards on accelerators only, not on CPUs; launch without FSDP, as data parallel")
    if is_sharded(accelerator) and is_four_bit(model):
        raise UserError("weights in 4 bits cannot be sharded; launch as data parallel, or set `model.lora.four_bit: false`")


_ENGINES = {
    "optimizer.pt": "one process, or data parallel",
    "optimizer.bin": "FSDP",
    "optimizer_0": "FSDP",
    "global_step*": "DeepSpeed",
}
"""What a checkpoint holds of the optimizer, and the engine whose it is."""
_PLAIN = _ENGINES["optimizer.pt"]
_TYPES = {DistributedType.FSDP: "FSDP", DistributedType.DEEPSPEED: "DeepSpeed"}


def check_resumable(accelerator: Accelerator, checkpoint: Path) -> None:
    """Refuse to go on from a checkpoint whose optimizer states this launch would not load, or not without a word.

    Raises:
        UserError: it was written under another engine, or by another number of processes under ZeRO.
    """
    engine = _TYPES.get(accelerator.distributed_type, _PLAIN)
    written = {engine for name, engine in _ENGINES.items() if next(checkpoint.glob(name), None) is not None}
    if written and engine not in written:
        raise UserError(
            f"{checkpoint.name} was written under {', '.join(sorted(written))}, and this launch is {engine}, which cannot "
            "read its optimizer states; launch as before"
        )
    parts, ranks = len(list(checkpoint.glob("global_step*/*_optim_states.pt"))), accelerator.num_processes
    if engine == "DeepSpeed" and parts != ranks:
        raise UserError(
            f"{checkpoint.name} was written by {parts} processes, and ZeRO cannot divide it anew among {ranks}; "
            f"launch {parts} processes"
        )


def whole(accelerator: Accelerator, wrapped: nn.Module, *, trained: nn.Module, build: Callable[[], nn.Module]) -> nn.Module:
    """Return the trained model with all of its weights, in the first process; in the others the model as it is.

    Every process has to take part. Of a sharded model the weights are gathered into the first process's memory, not the
    device's, and put into a model that is built anew.

    Args:
        accelerator: knows how the model was wrapped.
        wrapped: the model as it is called in training.
        trained: the same without wrappers.
        build: makes the model as it was before training; called in the first process only.
    """
    if not is_sharded(accelerator):
        return trained
    weights: Any = accelerator.get_state_dict(wrapped)
    deepspeed.unset_hf_deepspeed_config()  # or transformers would build the next model in pieces
    if not accelerator.is_main_process:
        return trained
    model = build()
    missing, unexpected = model.load_state_dict(weights, strict=False)
    tied = {name for name in model.state_dict() if name.endswith(tuple(core(model).all_tied_weights_keys))}
    if unexpected or set(missing) - tied:
        raise RuntimeError(f"gathered weights do not fit the model: missing {missing[:3]}, unexpected {unexpected[:3]}")
    return model
