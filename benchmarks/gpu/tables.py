"""What was found, as Markdown tables that are short enough to be read last."""

import math
from collections.abc import Iterable, Mapping, Sequence

from benchmarks.gpu.correctness import Verdict
from benchmarks.gpu.throughput import Timed


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _number(value: float, form: str) -> str:
    return "-" if math.isnan(value) else format(value, form)


def exactness_table(verdicts: Sequence[Verdict]) -> str:
    """Return a line for each kind of attention: its relative errors against separate forwards in float64."""
    rows = [
        (item.name, _number(item.forward, ".1e"), _number(item.backward, ".1e"), "ok" if item.passed else "WRONG")
        for item in verdicts
    ]
    return _table(("against separate forwards in float64", "forward", "backward", ""), rows)


def throughput_table(timed: Mapping[str, Sequence[Timed]], peak: float) -> str:
    """Return a line for each variant; `x Trainer` is of seconds a sample, the first variant's being 1."""
    rows: list[Sequence[str]] = []
    for shape, found in timed.items():
        rows += [_row(shape, item, found[0], peak) for item in found]
        rows += _dropout(shape, found)
    head = ("shape", "variant", "samples/s", "tokens/s", "ms", "x Trainer", f"share of {peak / 1e12:.3g} TFLOP/s", "GiB")
    return _table(head, rows)


def _row(shape: str, item: Timed, first: Timed, peak: float) -> Sequence[str]:
    ratio = (item.seconds / item.samples) / (first.seconds / first.samples)
    return (
        shape,
        item.name,
        f"{item.samples / item.seconds:.0f}",
        f"{item.tokens / item.seconds:.0f}",
        f"{item.seconds * 1e3:.1f}",
        f"{ratio:.2f}",
        f"{item.useful / item.seconds / peak:.1%}",
        _number(item.memory, ".1f"),
    )


def _dropout(shape: str, found: Sequence[Timed]) -> list[Sequence[str]]:
    """Return the mixture that loss dropout 0.75 is: a quarter of the steps in full, the others without the views."""
    by_name = {item.name: item for item in found}
    rows: list[Sequence[str]] = []
    for name, full in by_name.items():
        plain = by_name.get(name.replace("LLM-JEPA shared", "our NTP"))
        if name.startswith("LLM-JEPA shared") and plain is not None:
            taken, first = 0.25 * full.seconds + 0.75 * plain.seconds, found[0]
            ratio = (taken / full.samples) / (first.seconds / first.samples)
            label = name.replace("shared", "shared, dropout 0.75")
            rows.append((shape, label, f"{full.samples / taken:.0f}", "", f"{taken * 1e3:.1f}", f"{ratio:.2f}", "", ""))
    return rows
