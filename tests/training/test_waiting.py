"""A training step reads no value of a tensor but one, whether its gradient is finite, so that a GPU is not waited for.

There is no GPU here, so what would wait for one is caught on the CPU: every operation that makes a number or a shape out of
a tensor's values, while Trainer trains. Left out are the places that handle numbers of the host alone: data loading, and
AdamW, which counts its steps in tensors of the host.
"""

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from tests.helpers import GROUP, conversations, packed_model, train
from torch.utils._python_dispatch import TorchDispatchMode

from llm_jepa.model import attention
from llm_jepa.objective.distances import InfoNCE
from llm_jepa.objective.jepa import JEPA, Terms, Totals
from llm_jepa.packing.batch import Encoded
from llm_jepa.packing.layout import Layout

OPERATIONS = ("_local_scalar_dense", "nonzero", "masked_select", "unique", "_unique2", "equal", "is_nonzero")
METHODS = ("item", "tolist", "__bool__", "__int__", "__float__", "__index__", "cpu", "numpy", "__contains__")
HOST = ("torch/utils/data/", "torch/optim/", "accelerate/data_loader.py", "transformers/trainer_pt_utils.py")
READERS = {"log", "_maybe_log_save_evaluate", "_finalize_training", "__init__", "check_start", "on_pre_optimizer_step"}
"""Functions that may read: logging, evaluating and saving, what runs before and after all steps, and the guard, which reads
one number a step before it lets the optimizer have the gradient."""


class Catch(TorchDispatchMode):
    """Keeps where a value was read, unless a reader or the host's own bookkeeping asked for it."""

    def __init__(self) -> None:
        super().__init__()
        self.places: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.overloadpacket.__name__ in OPERATIONS or _by_mask(func, args):
            self.note(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))

    def note(self, what: str) -> None:
        stack = traceback.extract_stack()[:-2]
        if any(frame.name in READERS for frame in stack) or any(part in frame.filename for frame in stack for part in HOST):
            return
        if any(frame.name == "_inner_training_loop" or frame.name == "_run_epoch" for frame in stack):
            place = next(
                frame
                for frame in reversed(stack)
                if "/torch/" not in frame.filename and "test_waiting" not in frame.filename
            )
            self.places.append(f"{what} in {place.filename}:{place.lineno} {place.name}")


def _by_mask(func: Any, args: Any) -> bool:
    """Return whether a tensor is indexed by a boolean mask, whose result has a shape that only its values tell."""
    indexing = func.overloadpacket.__name__ in ("index", "index_put", "index_put_", "_unsafe_index")
    return indexing and any(item is not None and item.dtype == torch.bool for item in args[1])


@contextmanager
def caught(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    catch = Catch()

    def noting(name: str) -> Callable[..., Any]:
        original = getattr(torch.Tensor, name)

        def method(self: Any, *args: Any, **options: Any) -> Any:
            catch.note(name)
            return original(self, *args, **options)

        return method

    with monkeypatch.context() as patch, catch:
        for name in METHODS:
            patch.setattr(torch.Tensor, name, noting(name))
        yield catch.places


CASES: dict[str, tuple[JEPA, dict[str, Any]]] = {
    "every step": (JEPA(), {}),
    "loss dropout": (JEPA(dropout=0.5), {}),
    "plain training": (JEPA(weight=0.0), {}),
    "accumulation": (JEPA(), {"accumulation": 2, "batch": 4}),
    "InfoNCE": (JEPA(distance=InfoNCE()), {}),
    "separate views": (JEPA(), {"layout": Layout(k=1, shared=False)}),
    "several samples in a row": (JEPA(), {"samples_per_row": 4}),
}


@pytest.mark.parametrize("family", ["llama", "gemma3"])
@pytest.mark.parametrize("case", CASES)
def test_a_step_reads_no_value_of_a_tensor(case, family, monkeypatch, tmp_path):
    objective, options = CASES[case]
    options = {"layout": Layout(k=1), "steps": 4, "logging_steps": 3, "optim": "adamw_torch_fused"} | options
    model = packed_model(family, dtype=torch.float32)
    monkeypatch.setattr(attention, "IN_PIECES", frozenset())  # as on a GPU
    with caught(monkeypatch) as places:
        train(model, [*conversations(15), GROUP], objective, folder=tmp_path, **options)
    assert places == []


@dataclass(frozen=True, kw_only=True)
class Reading(JEPA):
    """An objective that asks what its loss is, in one of the ways there are."""

    read: Callable[[torch.Tensor], object]

    def __call__(self, encoded: Encoded, totals: Totals) -> Terms:
        terms = super().__call__(encoded, totals)
        self.read(terms.loss)
        return terms


@pytest.mark.parametrize(
    "read",
    [
        lambda loss: loss.item(),
        lambda loss: float(loss.detach()),
        lambda loss: 1 if loss > 0 else 0,
        lambda loss: loss.detach().reshape(1).tolist(),
        lambda loss: loss.detach().cpu(),
        lambda loss: loss.reshape(1)[loss.reshape(1) > 0],
        lambda loss: loss.reshape(1).nonzero(),
    ],
    ids=["item", "float", "if", "tolist", "cpu", "by a mask", "nonzero"],
)
def test_every_way_of_reading_would_be_caught(read, monkeypatch, tmp_path):
    with caught(monkeypatch) as places:
        train(packed_model("llama", dtype=torch.float32), conversations(4), Reading(read=read), folder=tmp_path, steps=1)
    assert places
    assert all("test_waiting" in place or " in " in place for place in places)
