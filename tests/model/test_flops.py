"""The count of operations against torch's own counter, which watches the products as they are computed."""

import pytest
import torch
from tests.helpers import conversations, plain_model
from torch.utils.flop_counter import FlopCounterMode

from llm_jepa.model.encode import encode
from llm_jepa.model.flops import CostModel
from llm_jepa.model.load import LoRA, prepare
from llm_jepa.model.parts import core
from llm_jepa.objective.jepa import JEPA, Totals
from llm_jepa.packing.collate import pack
from llm_jepa.packing.layout import Layout, plain_forest

TOLERANCE = 1e-3
"""With attention written out: torch does not see the fused one of a CPU, and counts what that of a GPU computes twice."""

FAMILIES = ("llama", "qwen3", "olmo2", "gemma2", "gemma3", "mistral", "openelm", "gpt2", "phi3", "cohere2")


def counted_and_measured(family: str, *, jepa: bool, lora: LoRA | None = None):
    model = prepare(plain_model(family, attention="eager", dtype=torch.float32), k=2, lora=lora)
    layout, samples = Layout(k=2), conversations(16, longest=20)
    forests = [layout.forest(sample) if jepa else plain_forest(sample) for sample in samples]
    batch = pack(forests, pad=0, samples_per_row=2)
    rows, length = batch.input_ids.shape
    dense = {"tokens": rows * length, "seen": rows * length * length}  # eager attention computes what it hides
    counted = CostModel.of(core(model)).step(**dense, labels=batch.label.numel())
    with FlopCounterMode(display=False) as counter:
        JEPA()(encode(model, batch), Totals(labels=1, pairs=1)).loss.backward()
    return counted, counter.get_total_flops()


@pytest.mark.parametrize("jepa", [False, True], ids=["plain", "jepa"])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_count_of_a_step_agrees_with_torch(family, jepa):
    counted, measured = counted_and_measured(family, jepa=jepa)
    assert counted == pytest.approx(measured, rel=TOLERANCE)


@pytest.mark.parametrize("jepa", [False, True], ids=["plain", "jepa"])
@pytest.mark.parametrize("family", ["llama", "gemma3"])
def test_frozen_weights_cost_less_under_adapters(family, jepa):
    counted, measured = counted_and_measured(family, jepa=jepa, lora=LoRA(rank=4))
    assert counted == pytest.approx(measured, rel=TOLERANCE)
    assert counted < 0.95 * counted_and_measured(family, jepa=jepa)[0]


def test_a_step_is_counted_by_hand():
    cost = CostModel(body=100, head=10, attention=4, frozen=50, frozen_head=10)
    # 6 tokens that see 18: 6 * 600 + 6 * 50 - 2 * (300 + 50) + 12 * 4 * 18
    assert cost.step(tokens=6, seen=18, labels=5) == 3600 + 300 - 700 + 864


def test_positions_and_embeddings_are_looked_up_and_cost_nothing():
    model = plain_model("gpt2")
    weights = model.state_dict().items()
    linear = sum(
        weight.numel() for name, weight in weights if name.endswith(("c_attn.weight", "c_proj.weight", "c_fc.weight"))
    )
    assert CostModel.of(model) == CostModel(body=linear, head=64 * 32, attention=2 * 32)
