"""The [PRED] tokens as k learned vectors, put in where the input embedding is looked up, inside the model call.

The module of the vectors hangs on the model itself, so that optimizers, DDP, FSDP2, gradient clipping and checkpoints see
its weight as any other; under LoRA it is one of the modules peft trains and saves in full. No vocabulary grows, and `export`
leaves it out. As tokens of the vocabulary (the official code) they are rows of the embedding, and nothing hangs here.
"""

from pathlib import Path

import torch
from jaxtyping import Float, Int
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import PreTrainedModel

from llm_jepa.durable import put, sync
from llm_jepa.errors import UserError
from llm_jepa.model.parts import input_embedding

NAME = "jepa_predictor"
"""The attribute of the model that holds the slots, and so their name in checkpoints: `jepa_predictor.weight`."""


class PredictorSlots(nn.Module):
    """k learned vectors in the space of the embedding layer's output.

    Args:
        initial: their first values.
    """

    def __init__(self, initial: Float[Tensor, "slot hidden"]) -> None:
        super().__init__()
        self.weight = nn.Parameter(initial)

    def forward(
        self, embeddings: Float[Tensor, "row token hidden"], slot: Int[Tensor, "row token"]
    ) -> Float[Tensor, "row token hidden"]:
        """Return the embeddings with slot j's vector wherever `slot` is j, and unchanged where it is negative."""
        vectors = self.weight[slot.clamp(min=0)].to(embeddings.dtype)
        return torch.where(slot[..., None] >= 0, vectors, embeddings)


def add_slots(model: PreTrainedModel, k: int, *, seed: int) -> None:
    """Hang k predictor slots on the model; with k = 0 nothing is added.

    They start near the mean of the embeddings with a tenth of their spread, so that the predictor begins as a neutral token,
    drawn from a generator of their own: the same for every arm of a comparison, and no other draw moves.
    """
    if k == 0:
        return
    embedding = input_embedding(model)
    rows = torch.arange(min(4096, embedding.num_embeddings), device=embedding.weight.device)
    with torch.no_grad():
        known = embedding(rows).float().cpu()
    noise = torch.randn(k, known.shape[1], generator=torch.Generator().manual_seed(seed))
    initial = known.mean(dim=0) + 0.1 * known.std() * noise
    model.add_module(NAME, PredictorSlots(initial.to(embedding.weight)))


def slots_of(model: nn.Module) -> PredictorSlots | None:
    """Return the slots of a model, wrapped or not; None where it has none."""
    found = (module for name, module in model.named_modules() if _is_slots(name, module))
    return next((module for module in found if isinstance(module, PredictorSlots)), None)


def _is_slots(name: str, module: nn.Module) -> bool:
    # peft keeps the untrained module beside the one that it trains.
    return isinstance(module, PredictorSlots) and "original_module" not in name.split(".")


def save_slots(model: nn.Module, path: Path) -> bool:
    """Write the slots of a model, wrapped or not, as safetensors, whole or not at all; return whether there are any."""
    slots = slots_of(model)
    if slots is None:
        return False
    part = path.with_name(path.name + ".partial")
    save_file({f"{NAME}.weight": slots.weight.detach().cpu().contiguous()}, part, metadata={"format": "pt"})
    sync(part)
    put(part, path)
    return True


def load_slots(model: nn.Module, path: Path) -> None:
    """Give the slots of a model, wrapped or not, the values that `save_slots` wrote.

    Args:
        model: with as many slots (`add_slots`); changed in place.
        path: the file.

    Raises:
        UserError: the file cannot be read, holds no slots, or slots of another number or width.
    """
    slots = slots_of(model)
    try:
        found = load_file(path).get(f"{NAME}.weight")
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path}: the [PRED] slots cannot be read ({error}); copy or train the run again") from error
    if slots is None or found is None or found.shape != slots.weight.shape:
        there = "none" if found is None else " x ".join(map(str, found.shape))
        wanted = "none" if slots is None else " x ".join(map(str, slots.weight.shape))
        raise UserError(f"{path}: holds [PRED] slots of size {there}, but the model has {wanted}; use those of its own run")
    with torch.no_grad():
        slots.weight.copy_(found)


def grow_vocabulary(model: PreTrainedModel, size: int, *, seed: int) -> None:
    """Give the model one row for every token of the tokenizer, as the official code does; spare rows are cut off.

    New rows are drawn around the mean of the others, which is transformers' own way, from a generator of their own.

    Args:
        model: changed in place.
        size: the number of tokens.
        seed: for the new rows.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model.resize_token_embeddings(size)


def train_slots(model: nn.Module, *, trained: bool) -> None:
    """Train the slots, or freeze them where no loss reaches them (plain training), so that clipping never sees them."""
    for name, parameter in model.named_parameters():
        if NAME in name.split("."):
            parameter.requires_grad_(trained and "original_module" not in name)
