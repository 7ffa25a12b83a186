"""torch.compile for the layers of a model, one by one, so that what packing does stays outside all graphs.

The hooks of a packed forward sit at the embedding and at the output layer; between them lie the same few kinds of layers
many times over. Those are compiled in place, with lengths as symbols: batches of any size share a graph, as layers of a kind
do, and names of weights stay what they are. Packed attention is called from between two graphs, as it is: its masks are new
with every batch. Generation, whose cache grows with every token, runs uncompiled.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import nn

from llm_jepa.errors import UserError
from llm_jepa.model.attention import keep_out_of_graphs
from llm_jepa.model.parts import core


def _layers(model: nn.Module) -> Iterator[nn.Module]:
    """Yield the layers of a model, wrapped or not, which are those that its architecture names as never to be split."""
    names: set[str] = set(core(model)._no_split_modules or ())  # the name that transformers shares with accelerate
    return (module for module in model.modules() if type(module).__name__ in names)


def compile_layers(model: nn.Module, *, backend: str | Callable[..., Any] = "inductor", mode: str | None = None) -> None:
    """Compile every layer in place; it is traced when it is first called.

    Args:
        model: prepared for packing, wrapped or not.
        backend: of torch.compile.
        mode: of torch.compile.

    Raises:
        UserError: the model's architecture does not say what its layers are.
    """
    found = list(_layers(model))
    if not found:
        name = type(core(model)).__name__
        raise UserError(f"{name} does not name its layers, so they cannot be compiled; leave training.torch_compile out")
    keep_out_of_graphs()
    for layer in found:
        layer.compile(backend=backend, mode=mode, dynamic=True)


def uncompiled(model: nn.Module) -> AbstractContextManager[object]:
    """Return a context in which the model runs as if it had not been compiled; nothing happens for one that was not."""
    compiled = any(module._compiled_call_impl is not None for module in model.modules())  # torch has no public name for it
    return torch.compiler.set_stance("force_eager") if compiled else nullcontext()
