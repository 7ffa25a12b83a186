"""Compiled layers compute what layers compute, whatever the size of the batch, and share their graphs.

The backends here run the graphs operation by operation: what is tested is what is traced, and that needs no C++ compiler.
"""

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from tests.helpers import PAD, conversations, largest_difference, packed_model, plain_model, train, weights
from torch import Tensor, nn
from torch.nn.attention.flex_attention import flex_attention
from transformers import AttentionInterface

from llm_jepa.errors import UserError
from llm_jepa.evaluation.generate import generate
from llm_jepa.model import flex
from llm_jepa.model.attention import KINDS
from llm_jepa.model.compiled import compile_layers
from llm_jepa.model.encode import encode
from llm_jepa.objective.jepa import JEPA, Totals
from llm_jepa.packing.collate import pack
from llm_jepa.packing.layout import Layout

pytestmark = pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # of the tracer

LAYOUT = Layout(k=2)


@pytest.fixture(autouse=True)
def traced_anew() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()
    for kind in KINDS.values():
        if kind.name is not None:
            AttentionInterface.register(kind.name, kind.forward)


class Counted:
    """A backend that runs graphs as they are, and counts them."""

    def __init__(self) -> None:
        self.graphs = 0

    def __call__(self, graph: torch.fx.GraphModule, inputs: list[Any]) -> Callable[..., Any]:
        del inputs
        self.graphs += 1
        return graph.forward


def loss_and_gradients(model: nn.Module, count: int) -> tuple[float, dict[str, Tensor]]:
    forests = [LAYOUT.forest(sample) for sample in conversations(count, seed=count)]
    batch = pack(forests, pad=PAD, samples_per_row=max(1, count // 2))
    loss = JEPA()(encode(model, batch), Totals(labels=len(batch.label), pairs=len(batch.predicted))).loss
    loss.backward()
    found = {name: part.grad.clone() for name, part in model.named_parameters() if part.grad is not None}
    model.zero_grad()
    return loss.item(), found


@pytest.mark.parametrize(
    ("family", "attention"),
    [("llama", "sdpa"), ("qwen3", "sdpa"), ("mistral", "sdpa"), ("gemma3", "sdpa"), ("gemma2", "eager"), ("gpt2", "sdpa"),
     ("openelm", "sdpa")],
)  # fmt: skip
def test_compiled_layers_compute_what_layers_compute(family, attention):
    plain, compiled = (packed_model(family, k=2, attention=attention) for _ in range(2))
    counted = Counted()
    compile_layers(compiled, backend=counted)
    for count in (2, 5, 3):
        loss, gradients = loss_and_gradients(plain, count)
        found, others = loss_and_gradients(compiled, count)
        assert found == pytest.approx(loss, rel=1e-12)
        assert largest_difference(gradients, others) < 1e-11
    assert counted.graphs > 0


def test_batches_of_all_sizes_and_layers_of_a_kind_share_graphs():
    model, counted = packed_model("llama", k=2), Counted()
    compile_layers(model, backend=counted)
    loss_and_gradients(model, 2)
    once = counted.graphs
    assert 0 < once <= 4  # norm; queries and keys; behind the attention, in its module and in the layer; of two layers
    for count in (3, 4, 7, 9, 12):
        loss_and_gradients(model, count)
    assert counted.graphs == once


def test_flex_attention_has_a_graph_of_its_own(monkeypatch: pytest.MonkeyPatch):
    model, counted, own = packed_model("llama", k=2, attention="flex_attention"), Counted(), Counted()
    attend = torch.compile(flex_attention, backend=own)
    monkeypatch.setattr(flex, "_attend", lambda device: attend)  # noqa: ARG005
    batch = pack([LAYOUT.forest(sample) for sample in conversations(4)], pad=PAD, samples_per_row=2)
    with torch.no_grad():
        before = encode(model, batch).hidden
        once = own.graphs
        compile_layers(model, backend=counted)
        after = encode(model, batch).hidden
    torch.testing.assert_close(after, before, atol=1e-12, rtol=0)
    assert counted.graphs > 0
    assert own.graphs == once > 0


def test_generation_is_not_compiled(tmp_path: Path):
    model, counted = packed_model("llama"), Counted()
    settings: dict[str, Any] = {"stop_ids": {3}, "pad_id": PAD, "max_new_tokens": 5, "batch_size": 2}
    prompts = [(1, 10, 11), (1, 12, 13, 14)]
    before = list(generate(model, prompts, **settings))
    compile_layers(model, backend=counted)
    assert list(generate(model, prompts, **settings)) == before
    assert counted.graphs == 0


@pytest.mark.filterwarnings("ignore:`gradient_checkpointing_enable` is deprecated:FutureWarning")
@pytest.mark.parametrize(
    ("backend", "checkpointed", "lora"),
    [
        ("aot_eager", False, False),
        pytest.param("eager", True, False, marks=pytest.mark.slow),
        pytest.param("eager", False, True, marks=pytest.mark.slow),
        ("eager", True, True),
    ],
)
def test_training_compiled_is_training(backend, checkpointed, lora, tmp_path: Path):
    found = []
    for compiled in ({}, {"torch_compile": True, "torch_compile_backend": backend}):
        model: Any = packed_model("llama")
        if lora:
            torch.manual_seed(0)
            model = get_peft_model(
                model, LoraConfig(r=2, target_modules=["q_proj", "up_proj"], modules_to_save=["jepa_predictor"])
            )
        if checkpointed:
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
            model.enable_input_require_grads()
        names = list(model.state_dict())
        logs = train(model, conversations(12), JEPA(dropout=0.5), folder=tmp_path, accumulation=2, **compiled)
        assert list(model.state_dict()) == names
        found.append(([entry["loss"] for entry in logs], weights(model)))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-9)
    assert largest_difference(found[0][1], found[1][1]) < 1e-9


def test_the_layers_alone_are_compiled(tmp_path: Path):
    model = packed_model("llama")
    train(model, conversations(4), JEPA(), folder=tmp_path, steps=1, torch_compile=True, torch_compile_backend="eager")
    compiled = {type(module).__name__ for module in model.modules() if module._compiled_call_impl is not None}
    assert compiled == {"LlamaDecoderLayer"}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"torch_compile_backend": "inducter"}, r"_backend: there is no 'inducter'; did you mean 'inductor'\?; there are "),
        ({"torch_compile_mode": "fast"}, r"_mode: there is no 'fast'; there are default, "),
    ],
)
def test_an_unknown_compiler_is_one_sentence(options, sentence, tmp_path: Path):
    with pytest.raises(UserError, match=rf"^training\.torch_compile{sentence}[^\n]*$"):
        train(packed_model("llama"), conversations(4), JEPA(), folder=tmp_path, torch_compile=True, **options)


@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning")  # of inductor itself
def test_a_machine_without_a_compiler_is_one_sentence(tmp_path: Path):
    inductor: Any = importlib.import_module("torch._inductor.config")
    # Its own way to change settings for a while: monkeypatch takes it for a class, and would delete what it had changed.
    without = inductor.patch({"cpp.cxx": (str(tmp_path / "no-compiler"),), "force_disable_caches": True})
    sentence = r"^training\.torch_compile: nothing can be compiled here \([^\n]*\); leave it out, "
    with without, pytest.raises(UserError, match=sentence):
        train(packed_model("llama"), conversations(4), JEPA(), folder=tmp_path, torch_compile=True)


def test_a_model_that_does_not_name_its_layers_is_refused():
    model = plain_model("llama")
    model._no_split_modules = None
    with pytest.raises(UserError, match=r"^LlamaForCausalLM does not name its layers, .*; leave .*_compile out$"):
        compile_layers(model)
