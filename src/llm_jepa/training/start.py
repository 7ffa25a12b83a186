"""What is checked before the first step, with the model as it is trained and where it is trained."""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DynamoBackend, TorchDynamoPlugin
from transformers import Trainer, TrainingArguments

from llm_jepa.errors import UserError, nearest
from llm_jepa.model.attention import check_device, only_16_bit
from llm_jepa.model.check import check_packing
from llm_jepa.model.compiled import compile_layers
from llm_jepa.model.parts import core
from llm_jepa.packing.layout import Forest
from llm_jepa.packing.rows import Rows
from llm_jepa.views.tokenize import Sample


def check_arguments(args: TrainingArguments, model: torch.nn.Module) -> None:
    """Refuse what a packed training cannot be given.

    Raises:
        UserError: several GPUs in one process, an unknown compiler, or an attention that cannot be trained on the device.
    """
    if args.n_gpu > 1:
        raise UserError(f"{args.n_gpu} GPUs in one process: start with `accelerate launch`, or show it one of them")
    if args.torch_compile:
        from torch._inductor import list_mode_options  # takes seconds to import

        backends = [item.value.lower() for item in DynamoBackend if item is not DynamoBackend.NO]
        _check_known("torch_compile_backend", args.torch_compile_backend, backends)
        _check_known("torch_compile_mode", args.torch_compile_mode, ["default", *list_mode_options()])
    check_device(model, args.device)


def _check_known(name: str, value: str | None, known: Sequence[str]) -> None:
    if value is not None and value not in known:
        there = ", ".join(sorted(set(known)))
        raise UserError(f"training.{name}: there is no '{value}'{nearest(value, known)}; there are {there}")


def compile_by_layers(args: TrainingArguments, model: torch.nn.Module, accelerator: Accelerator) -> None:
    """Compile the model as `training.torch_compile` asks, layer by layer, and have accelerate not compile it as a whole.

    Raises:
        UserError: it cannot be (`model.compiled`), or nothing can be compiled on this machine.
    """
    if args.torch_compile:
        _check_compiler(args)
        accelerator.state.dynamo_plugin = TorchDynamoPlugin(backend=DynamoBackend.NO)
        compile_layers(model, backend=args.torch_compile_backend or "inductor", mode=args.torch_compile_mode)


def _check_compiler(args: TrainingArguments) -> None:
    """Compile something small, so that a machine without a compiler is told of before the training."""
    from torch._dynamo.exc import TorchDynamoException

    small = torch.compile(torch.nn.SiLU(), backend=args.torch_compile_backend or "inductor", mode=args.torch_compile_mode)
    try:
        small(torch.ones(8, device=args.device))
    except (TorchDynamoException, RuntimeError) as error:
        said = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise UserError(
            f"training.torch_compile: nothing can be compiled here ({said}); leave it out, or install what is missing"
        ) from error


def shortest(samples: Sequence[Sample]) -> list[Sample]:
    """Return the two samples with the shortest trained sequence, which are enough to tell."""
    return sorted(samples, key=lambda sample: len(sample.sequences[0].ids))[:2]


def check_start(trainer: Trainer, forests: Sequence[Forest], *, rows: Rows) -> None:
    """Check that packing gives what separate forwards give.

    Args:
        trainer: the trainer, whose accelerator has taken over the model.
        forests: what is packed.
        rows: how training will pack.

    Raises:
        UserError: it does not (`model.check.check_packing`).
    """
    model: Any = trainer.accelerator.unwrap_model(trainer.model)
    with trainer.compute_loss_context_manager() if only_16_bit(model) else nullcontext():
        check_packing(model, forests, pad=0, rows=rows, precision=_precision(model, trainer.args))


def _precision(model: torch.nn.Module, args: TrainingArguments) -> torch.dtype | None:
    """Return what the products of the check are rounded to, where that is not the model's dtype."""
    if only_16_bit(model) and (args.bf16 or args.fp16):
        return torch.bfloat16 if args.bf16 else torch.float16
    rounded = args.tf32 or (args.torch_compile and args.device.type == "cuda")  # transformers then allows TF32, too
    return torch.float16 if rounded and core(model).dtype == torch.float32 else None  # TF32 has float16's digits
