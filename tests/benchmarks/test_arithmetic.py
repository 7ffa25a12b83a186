"""The arithmetic of docs/scaling.md against transformers' parameters, autograd's memory, and the page itself."""

from pathlib import Path
from typing import Any

import pytest
import torch
from benchmarks.arithmetic import ENGINES, SHAPES, Shape, activations, logits, operations, tables
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from llm_jepa.model.flops import CostModel

PAGE = Path(__file__).resolve().parents[2] / "docs" / "scaling.md"
SMALL = Shape(name="small", layers=3, hidden=64, inner=192, queries=64, keys=32, vocabulary=50)


def model_of(shape: Shape, *, heads: int, layers: int | None = None) -> LlamaForCausalLM:
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=shape.vocabulary,
            hidden_size=shape.hidden,
            intermediate_size=shape.inner,
            num_hidden_layers=layers or shape.layers,
            num_attention_heads=heads,
            num_key_value_heads=heads * shape.keys // shape.queries,
            tie_word_embeddings=shape.tied,
        )
    )


def kept_bytes(layers: int, tokens: int) -> float:
    """Return what autograd keeps of a token besides weights, in bytes."""
    model: Any = model_of(SMALL, heads=4, layers=layers)
    model.to(torch.bfloat16)
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        if tensor.untyped_storage().data_ptr() not in weights:
            kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        output = model(input_ids=torch.arange(tokens)[None])
    assert output.logits.shape[1] == tokens
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values()) / tokens


def test_parameters_are_those_that_transformers_builds() -> None:
    assert SMALL.parameters == sum(parameter.numel() for parameter in model_of(SMALL, heads=4).parameters())
    with torch.device("meta"):
        model = model_of(SHAPES[0], heads=32)
    assert SHAPES[0].parameters == sum(parameter.numel() for parameter in model.parameters()) == 1_235_814_400


def test_a_layer_keeps_what_autograd_keeps() -> None:
    assert kept_bytes(4, 40) - kept_bytes(3, 40) == pytest.approx(SMALL.stored, rel=0.05)


def test_operations_are_those_that_a_run_counts() -> None:
    counted = CostModel.of(model_of(SMALL, heads=4)).step(tokens=60, seen=900, labels=7)
    assert operations(SMALL, tokens=60, labels=7, seen=900, checkpointing=False) == counted


def test_bytes_of_a_parameter_by_engine() -> None:
    tiny = Shape(name="", layers=1, hidden=2, inner=2, queries=2, keys=2, vocabulary=5)
    parameters, gathered = 54, 2 * (2 * 32 + 2 * 10)
    assert tiny.parameters == parameters
    assert [engine.state(tiny, 2) for engine in ENGINES] == [
        18 * parameters,
        (2 + 14 / 2) * parameters,
        8 * parameters + gathered,
        8 * parameters + gathered,
    ]


def test_checkpointing_keeps_the_input_of_each_layer_and_one_layer() -> None:
    assert activations(SMALL, 10, checkpointing=True) == 10 * (3 * 2 * 64 + SMALL.stored)
    assert activations(SMALL, 10, checkpointing=False) == 10 * 3 * SMALL.stored
    assert logits(SMALL, 4) == 10 * 50 * 4


def test_the_page_holds_the_tables_as_printed() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for table in tables().split("\n\n"):
        assert table in text
