"""What may stand in the way of a run and is no fault of the program: each as one sentence with what to do."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import nn

from llm_jepa.durable import is_full
from llm_jepa.errors import UserError
from llm_jepa.experiments.experiment import Experiment
from llm_jepa.experiments.material import Material
from llm_jepa.model.parts import core, output_layer

_LOOKED_AT = 10_000
_CPU_ALLOCATOR = "can't allocate memory"


@contextmanager
def writing_explained(folder: Path) -> Iterator[None]:
    """Turn the many errors of a disk that is full or read-only, and of a folder that is gone, into one sentence.

    Raises:
        UserError: instead of such an error; each library underneath raises another one.
    """
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        sentence = _in_the_way(folder, error)
        if sentence is None:
            raise
        raise UserError(sentence) from error


def _in_the_way(folder: Path, error: Exception) -> str | None:
    if not folder.is_dir():
        return f"'{folder}' was removed while the run wrote to it, with all that was in it; the same command begins anew"
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.EROFS or os.statvfs(folder).f_flag & os.ST_RDONLY:
        return f"'{folder}' can only be read, not written, any more; make it writable and give the same command"
    if number in (errno.ENOSPC, errno.EDQUOT) or is_full(folder):
        return f"there is no space left where '{folder}' is; free some and give the same command"
    if number == errno.EFBIG:
        return (
            f"a file in '{folder}' would be larger than the shell allows (`ulimit -f`); raise it and give the same command"
        )
    return None


@contextmanager
def memory_explained(experiment: Experiment, material: Material, model: nn.Module, *, answering: bool) -> Iterator[None]:
    """Turn the errors of a memory that is too small, of a GPU or of the machine, into one sentence with what helps.

    Args:
        experiment: whose settings are named.
        material: the samples; their lengths are looked at.
        model: as it is trained.
        answering: answers are made, not steps.

    Raises:
        UserError: instead of such an error.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not _is_memory(error):
            raise
        said = " ".join(str(error).split())
        said = said[said.find("DefaultCPUAllocator") :] if "DefaultCPUAllocator" in said else said
        settings = _for_answers(experiment) if answering else _for_steps(experiment, material, model)
        what = "to make answers" if answering else "for a step"
        reason = said[:90].rstrip(". ") or "MemoryError"
        raise UserError(f"the memory is not enough {what} ({reason}). {settings}") from error


def _is_memory(error: Exception) -> bool:
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or _CPU_ALLOCATOR in str(error)


def _for_answers(experiment: Experiment) -> str:
    now = experiment.evaluation.batch_size
    return f"`--evaluation.batch_size {max(1, now // 2)}` (now {now}) needs less; what is trained is saved"


def _for_steps(experiment: Experiment, material: Material, model: nn.Module) -> str:
    """Return three settings that need less memory, those first that leave the training as it is."""
    arguments = experiment.training_arguments(experiment.output)
    batch, parts = arguments.per_device_train_batch_size, arguments.gradient_accumulation_steps
    settings: list[str] = []
    if batch > 1:
        share = next(divisor for divisor in range(2, batch + 1) if batch % divisor == 0)
        settings.append(
            f"`--training.per_device_train_batch_size {batch // share} "
            f"--training.gradient_accumulation_steps {parts * share}` (now {batch} and {parts}: the same step in parts)"
        )
    if not arguments.gradient_checkpointing:
        settings.append("`--training.gradient_checkpointing true` (activations are computed twice instead of kept)")
    lengths = sorted(experiment.layout.forest(sample).depth for sample in islice(material.train, _LOOKED_AT))
    limit = lengths[(len(lengths) - 1) * 9 // 10]
    longer = sum(length > limit for length in lengths)
    if longer:
        settings.append(
            f"`--data.max_length {limit}` (the longest sample has {lengths[-1]} tokens; "
            f"{100 * longer / len(lengths):.0f} % of the samples would be left out)"
        )
    if experiment.model.lora is None:
        settings.append(f"`--model.lora.rank 64` ({_adapters(model, 64)})")
    return (
        f"Each of these needs less: {'; '.join(settings[:3])}. Batch, accumulation and checkpointing may change in a run "
        "that is under way, the others begin another one"
    )


def _adapters(model: nn.Module, rank: int) -> str:
    inner = core(model)
    linear = [part for part in inner.modules() if isinstance(part, nn.Linear) and part is not output_layer(inner)]
    adapted = sum(rank * (part.in_features + part.out_features) for part in linear)
    trained = sum(part.numel() for part in model.parameters() if part.requires_grad)
    return f"{adapted / 1e6:.3g} million trained weights instead of {trained / 1e6:.3g}"
