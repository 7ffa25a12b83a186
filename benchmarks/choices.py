"""What choices cost, measured, `python -m benchmarks.choices`: attention and loss in pieces, compiling, AdamW, formats.

CPU seconds of one thread, minima of rounds taken in turn. Memory: how far the peak of the process's resident memory rises,
with the loss in pieces first, and then with all logits at once.
"""

import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from torch import nn
from transformers import TrainingArguments

from benchmarks.memory import BYTES
from benchmarks.workload import FOLDER, SIZES, load
from llm_jepa.errors import UserError
from llm_jepa.model import attention, pieces
from llm_jepa.model.compiled import compile_layers
from llm_jepa.model.encode import encode
from llm_jepa.model.head import Tail, cross_entropy, piecewise_nll
from llm_jepa.objective.jepa import JEPA, Totals
from llm_jepa.packing.batch import PackedBatch
from llm_jepa.packing.collate import pack
from llm_jepa.packing.layout import Layout, plain_forest
from llm_jepa.packing.rows import Cheapest

HIDDEN, VOCABULARY, LABELS, AT_ONCE = 128, 49152, 2880, 360
"""A narrow layer, a piece is an eighth of the labels."""

ROUNDS, ATTENTION_ROUNDS, COMPILED_ROUNDS = 1, 7, 3
TASKS, CALLS = ("nl_rx_synth", "spider", "gsm8k"), (0, 1024, 4096, 16384)
"""Whose rows are attended to, and what a call is taken to cost."""


def main() -> int:
    """Measure, and print a line for each choice."""
    torch.set_num_threads(1)
    _head()  # first: its memory is a peak of this process
    try:
        for task in TASKS:
            _attention(task)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    _compiled()
    _optimizers()
    _formats()
    return 0


def _best(variants: Mapping[str, Callable[[], object]], rounds: int = ROUNDS) -> dict[str, float]:
    """Return the least CPU seconds of each variant, taken in turn."""
    best = dict.fromkeys(variants, float("inf"))
    for _ in range(rounds):
        for name, run in variants.items():
            start = time.process_time()
            run()
            best[name] = min(best[name], time.process_time() - start)
    return best


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * BYTES / 2**20


def _attention(task: str) -> None:
    """Measure forward and backward of eight samples with dense masks and in pieces, plain and with the views."""
    size = SIZES["4m"]
    workload = load(size=size, data=task, folder=FOLDER, tokenizer=None)
    model, samples = workload.packed_model(), workload.batch(size.batch)

    def step(batch: PackedBatch, call: int | None) -> None:
        attention.IN_PIECES, pieces.CALL = frozenset({"cpu"} if call is not None else ()), call or 0
        _step(model, batch)

    variants: dict[str, Callable[[], object]] = {}
    for name, make in (("plain", plain_forest), ("LLM-JEPA", Layout(k=1).forest)):
        forests = [make(sample) for sample in samples]
        few = Cheapest(size.hidden).samples_per_row([forest.tokens for forest in forests])
        dense = pack(forests, pad=0, samples_per_row=few)
        variants[f"{name}, dense"] = lambda dense=dense: step(dense, None)
        row = pack(forests, pad=0, samples_per_row=len(forests))
        for call in CALLS:
            variants[f"{name}, pieces, a call {call}"] = lambda row=row, call=call: step(row, call)
    best = _best(variants, rounds=ATTENTION_ROUNDS)
    for name, seconds in best.items():
        print(f"{task}: {name}: {seconds:.3f} s")


def _step(model: nn.Module, batch: PackedBatch) -> None:
    """Forward and backward."""
    totals = Totals(labels=len(batch.label), pairs=max(len(batch.predicted), 1))
    JEPA(weight=1.0 if len(batch.predicted) else 0.0)(encode(model, batch), totals).loss.backward()
    model.zero_grad(set_to_none=True)


def _compiled() -> None:
    """Measure LLM-JEPA on batches of several sizes with layers as they are and compiled, and what compiling takes itself."""
    for name in ("4m", "135m"):
        size = SIZES[name]
        workload = load(size=size, data=TASKS[0], folder=FOLDER, tokenizer=None)
        forests = [Layout(k=1).forest(sample) for sample in workload.batch(4 * size.batch)]
        batches = [
            pack(forests[start : start + size.batch], pad=0, samples_per_row=size.batch)
            for start in range(0, len(forests), size.batch)
        ]
        models = {"as they are": workload.packed_model(), "compiled": workload.packed_model()}
        compile_layers(models["compiled"])
        variants = {way: partial(_each, model, batches) for way, model in models.items()}
        first = _best(variants)
        best = _best(variants, rounds=COMPILED_ROUNDS)
        print(f"layers, {name}: " + ", ".join(f"{way} {best[way]:.2f} s, first {first[way]:.1f} s" for way in variants))


def _each(model: nn.Module, batches: Sequence[PackedBatch]) -> None:
    for batch in batches:
        _step(model, batch)


def _head() -> None:
    layer = nn.Linear(HIDDEN, VOCABULARY, bias=False)
    hidden, label = torch.randn(LABELS, HIDDEN, requires_grad=True), torch.randint(VOCABULARY, (LABELS,))

    def pieces() -> None:
        piecewise_nll(layer, hidden, label, tail=Tail(), at_once=AT_ONCE).sum().backward()

    def whole() -> None:
        cross_entropy(layer(hidden), label).sum().backward()

    layer(hidden[:1]).sum().backward()  # the gradient of the weight is there before the peak is read
    peaks = [_peak()]
    for run in (pieces, whole):
        run()
        peaks.append(_peak())
    best = _best({"pieces": pieces, "whole": whole})
    logits = LABELS * VOCABULARY * 4 / 2**20
    print(f"loss of {LABELS} labels, vocabulary {VOCABULARY}, width {HIDDEN}: {logits:.0f} MiB of logits")
    print(f"whole: {best['whole']:.2f} s, {peaks[2] - peaks[0]:.0f} MiB")
    print(f"pieces of {AT_ONCE}: {best['pieces']:.2f} s, {peaks[1] - peaks[0]:.0f} MiB")


def _optimizers() -> None:
    workload = load(size=SIZES["4m"], data=None, folder=FOLDER, tokenizer=None)
    model = workload.model()
    for part in model.parameters():
        part.grad = torch.randn_like(part)
    ways = {"for loop": {"foreach": False}, "foreach": {"foreach": True}, "fused": {"fused": True}}
    steps = {name: torch.optim.AdamW(model.parameters(), lr=1e-5, **way).step for name, way in ways.items()}
    best = _best(steps, rounds=20)
    times = ", ".join(f"{name} {best[name] * 1e3:.1f} ms" for name in ways)
    print(
        f"AdamW, {model.num_parameters() / 1e6:.1f} M parameters: {times}; Trainer takes {TrainingArguments.default_optim}"
    )


def _formats() -> None:
    """Measure one matrix of SmolLM2-135M on 220 tokens in each format."""
    variants: dict[str, Callable[[], object]] = {}
    for dtype in (torch.float32, torch.bfloat16):
        layer = nn.Linear(576, 1536, bias=False, dtype=dtype)
        tokens = torch.randn(220, 576, dtype=dtype, requires_grad=True)
        variants[str(dtype)] = lambda layer=layer, tokens=tokens: layer(tokens).sum().backward()
    best = _best(variants, rounds=3)
    print("forward and backward, 220 x 576 x 1536: " + ", ".join(f"{name} {1e3 * best[name]:.0f} ms" for name in best))


if __name__ == "__main__":
    sys.exit(main())
