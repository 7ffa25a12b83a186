"""What is checked before the first step, with the model as it is trained and where it is trained."""

from collections.abc import Sequence
from contextlib import nullcontext

import torch
from accelerate import Accelerator
from accelerate.utils import DynamoBackend, TorchDynamoPlugin
from transformers import Trainer, TrainingArguments

from llm_jepa.errors import UserError
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
        UserError: several GPUs in one process, or an attention that cannot be trained on the device.
    """
    if args.n_gpu > 1:
        raise UserError(f"{args.n_gpu} GPUs in one process: start with `accelerate launch`, or show it one of them")
    check_device(model, args.device)


def compile_by_layers(args: TrainingArguments, model: torch.nn.Module, accelerator: Accelerator) -> None:
    """Compile the model as `training.torch_compile` asks, layer by layer, and have accelerate not compile it as a whole.

    Raises:
        UserError: it cannot be (`model.compiled`).
    """
    if args.torch_compile:
        accelerator.state.dynamo_plugin = TorchDynamoPlugin(backend=DynamoBackend.NO)
        compile_layers(model, backend=args.torch_compile_backend or "inductor", mode=args.torch_compile_mode)


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
    model = trainer.accelerator.unwrap_model(trainer.model)
    with trainer.compute_loss_context_manager() if only_16_bit(model) else nullcontext():
        check_packing(model, forests, pad=0, rows=rows, precision=_precision(model, trainer.args))


def _precision(model: torch.nn.Module, args: TrainingArguments) -> torch.dtype | None:
    """Return what the products of the check are rounded to, where that is not the model's dtype."""
    if only_16_bit(model) and (args.bf16 or args.fp16):
        return torch.bfloat16 if args.bf16 else torch.float16
    rounded = args.tf32 or (args.torch_compile and args.device.type == "cuda")  # transformers then allows TF32, too
    return torch.float16 if rounded and core(model).dtype == torch.float32 else None  # TF32 has float16's digits
