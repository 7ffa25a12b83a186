"""What two choices cost, measured: the loss in pieces, and the kinds of AdamW: `python -m benchmarks.choices`.

CPU seconds of one thread, minima of rounds taken in turn. Memory: how far the peak of the process's resident memory rises,
with the loss in pieces first, and then with all logits at once.
"""

import resource
import sys
import time
from collections.abc import Callable, Mapping

import torch
from torch import nn
from transformers import TrainingArguments

from benchmarks.memory import BYTES
from benchmarks.workload import FOLDER, SIZES, load
from llm_jepa.model.head import Tail, cross_entropy, piecewise_nll

HIDDEN, VOCABULARY, LABELS, AT_ONCE = 128, 49152, 2880, 360
"""A narrow layer, a piece is an eighth of the labels."""

ROUNDS = 1


def main() -> int:
    """Measure, and print a line for each choice."""
    torch.set_num_threads(1)
    _head()
    _optimizers()
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


if __name__ == "__main__":
    sys.exit(main())
