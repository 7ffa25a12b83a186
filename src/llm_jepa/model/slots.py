"""The [PRED] tokens as k learned vectors, put in where the input embedding is looked up, inside the model call.

The module hangs on the model itself, so that optimizers, DDP, FSDP2, gradient clipping and checkpoints see its weight as any
other; under LoRA it is one of the modules peft trains and saves in full. No vocabulary grows, and `export` leaves it out.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import PreTrainedModel

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


def train_slots(model: nn.Module, *, trained: bool) -> None:
    """Train the slots, or freeze them where no loss reaches them (plain training), so that clipping never sees them."""
    for name, parameter in model.named_parameters():
        if NAME in name.split("."):
            parameter.requires_grad_(trained and "original_module" not in name)
