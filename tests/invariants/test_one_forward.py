"""One packed forward gives what a forward of its own for every path gives: loss, embeddings, and gradients."""

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import nn

from llm_jepa.model.encode import encode
from llm_jepa.objective.jepa import JEPA, Totals
from llm_jepa.packing.collate import pack, spread
from llm_jepa.packing.layout import Forest, Layout, plain_forest
from llm_jepa.views.pairs import Direction
from llm_jepa.views.tokenize import Sample
from tests.helpers import GROUP, PAD, conversations, packed_model, plain_model
from tests.invariants import reference
from tests.invariants.reference import Path, Separate, run_separately

WEIGHT = 0.7
PRED: Path = (-1, -2)

Paths = Callable[[Sample, Path], list[tuple[Path, Path]]]

LAYOUTS: dict[str, tuple[Layout, Paths]] = {
    "shared": (Layout(k=2), reference.shared),
    "separate": (Layout(k=2, shared=False), reference.separate),
    "framed": (Layout(k=2, shared=False, framed=True), reference.framed),
    "prepended": (Layout(k=2, prepend=True), reference.prepended),
    "code_to_text": (Layout(k=2, direction=Direction.code_to_text), reference.code_to_text),
}

SHAPES = {"one sample": (1, 1), "a row each, padded": (3, 1), "one row": (3, 3), "two rows, padded": (3, 2)}
"""Number of samples and of samples a row."""

# PERFORMANCE.md, section 1: most families compute their norms in float32, whatever the model's type; so does Gemma 2 its
# softcap. (loss, embeddings, gradients), absolute; the weights here are some ten times larger than a new model's.
EXACT = (1e-13, 1e-12, 1e-12)
FLOAT32_NORM = (1e-13, 1e-12, 1e-5)
FLOAT32_EAGER = (1e-6, 1e-5, 1e-5)

FAMILIES = ("llama", "qwen3", "olmo2", "gemma2", "gemma3", "mistral", "gpt2", "phi3", "cohere2")
CASES = [(family, kind) for family in FAMILIES for kind in ("sdpa", "eager") if (family, kind) != ("gemma2", "sdpa")]


def run_packed(model: nn.Module, forests: Sequence[Forest], *, samples_per_row: int, one_forward: bool = True) -> Separate:
    if one_forward:
        batch = pack(forests, pad=PAD, samples_per_row=samples_per_row)
    else:
        batch = spread(forests, pad=PAD)
    encoded = encode(model, batch, one_forward=one_forward)
    totals = Totals(labels=len(batch.label), pairs=len(batch.predicted))
    loss = JEPA(weight=WEIGHT)(encoded, totals).loss
    loss.backward()
    gradients = {name: item.grad for name, item in model.named_parameters() if item.grad is not None}
    if "jepa_predictor.weight" in gradients:
        gradients["slots"] = gradients.pop("jepa_predictor.weight")
    return Separate(loss.detach(), encoded.predicted.detach(), encoded.target.detach(), gradients)
