"""What was measured, as tables for a person, as Markdown, and as one line of JSON."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import targets, variants
from benchmarks.machine import machine, sentence, versions
from benchmarks.memory import OURS, Memory
from benchmarks.targets import Verdict
from benchmarks.throughput import Throughput
from benchmarks.timing import Result

COLUMNS = (
    "variant",
    "tokens (padded)",
    "GFLOP",
    "CPU s, min",
    "median",
    "samples/s",
    "label tokens/s",
    "x NTP",
    "x Trainer",
)
NL_RX = ("default", "nl_rx_synth", "nl_rx_turk")
"""Data on which LLM-JEPA has a target of its own over plain training."""
FACTS = (
    "A sample, forward, backward and collation, one thread. GFLOP: by the project's CostModel, attention included. "
    "Ratios are of the minima."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything that was measured in one run.

    Attributes:
        setting: what was run: size, rounds, vocabulary, tokenizer, batch.
        results: the timed variants, loss dropout among them.
        optimizer: AdamW's step, seconds a batch; the same for every variant and in none of them.
        memory: of the plain Trainer first, then of ours.
        throughput: of tokenising and packing.
        token_ratio: shared tokens over next-token tokens on all examples read, not the batch alone.
    """

    setting: dict[str, Any]
    results: tuple[Result, ...]
    optimizer: float
    memory: tuple[Memory, ...]
    throughput: Throughput
    token_ratio: float

    def result(self, name: str) -> Result | None:
        """Return the result of a variant, if it was run."""
        return next((result for result in self.results if result.name == name), None)

    def ratio(self, over: str, under: str) -> float:
        """Return the ratio of minima of two variants; NaN where one was not run."""
        above, below = self.result(over), self.result(under)
        return above.best / below.best if above and below else float("nan")

    def verdicts(self) -> dict[str, Verdict]:
        """Return the verdicts of all targets that this run can judge, by what they are about."""
        over_ntp = self.ratio(variants.SHARED, variants.NTP)
        shared, ntp = self.result(variants.SHARED), self.result(variants.NTP)
        tokens = shared.cost.tokens / ntp.cost.tokens if shared and ntp else float("nan")
        rivals = [name for name in (variants.TRL, variants.TRL_PACKED, variants.TRL_FREE) if self.result(name)]
        best = min((self.result(name) for name in rivals), key=_seconds, default=None)
        found = {
            "LLM-JEPA over our NTP": targets.SHARED_OVER_NTP.check(over_ntp),
            "the same over the ratio of tokens": targets.SHARED_OVER_TOKENS.check(over_ntp / tokens),
            "LLM-JEPA, dropout 0.75, over our NTP": targets.DROPOUT_OVER_NTP.check(
                self.ratio(variants.DROPOUT_75, variants.NTP)
            ),
            "LLM-JEPA over plain Trainer": targets.over_trainer(int(self.setting["vocabulary"])).check(
                self.ratio(variants.SHARED, variants.TRAINER)
            ),
            "our NTP over TRL's best": targets.NTP_OVER_TRL.check(ntp.best / best.best if ntp and best else float("nan")),
            "official 3 x 512 over LLM-JEPA": targets.OFFICIAL_OVER_SHARED.check(
                self.ratio(variants.THREE, variants.SHARED)
            ),
        }
        trainer, *rest = self.memory
        for item in rest:
            if item.name in OURS:
                shares = {"allocated": item.allocated / trainer.allocated, "resident": item.added / max(trainer.added, 1e-9)}
                found |= {
                    f"memory {kind}, {item.name}, over plain Trainer": targets.MEMORY_OVER_TRAINER.check(share)
                    for kind, share in shares.items()
                }
        if self.setting["data"] in NL_RX:
            found |= {
                "tokenise": targets.THROUGHPUT.check(self.throughput.tokenise),
                "pack (LLM-JEPA)": targets.THROUGHPUT.check(self.throughput.pack),
                "pack (full and plain, for loss dropout)": targets.THROUGHPUT.check(self.throughput.pack_both),
            }
        else:
            del found["LLM-JEPA over our NTP"]
        return {name: verdict for name, verdict in found.items() if not math.isnan(verdict.value)}


def _seconds(result: Result | None) -> float:
    return result.best if result else math.inf


def rows(report: Report) -> list[tuple[str, ...]]:
    """Return a row of text a variant, one text a column of `COLUMNS`."""
    found: list[tuple[str, ...]] = []
    for result in report.results:
        cost = result.cost
        ntp, trainer = (report.ratio(result.name, base) for base in (variants.NTP, variants.TRAINER))
        found.append(
            (
                result.name,
                f"{cost.tokens / cost.samples:.1f} ({cost.positions / cost.samples:.1f})",
                f"{cost.flops / cost.samples / 1e9:.2f}",
                f"{result.best:.4f}",
                f"{result.median:.4f}",
                f"{1 / result.best:.3g}",
                f"{cost.labels / cost.samples / result.best:.3g}",
                f"{ntp:.2f}",
                f"{trainer:.2f}",
            )
        )
    return found


def memory_rows(report: Report) -> list[tuple[str, ...]]:
    """Return a row of text a variant whose memory was measured, each kind also as a share of the plain Trainer's."""
    base, exact = max(report.memory[0].added, 1e-9), report.memory[0].allocated
    return [
        (
            item.name,
            f"{item.allocated:.0f}",
            f"{item.allocated / exact:.2f}",
            f"{item.before:.0f}",
            f"{item.added:.0f}",
            f"{item.added / base:.2f}",
        )
        for item in report.memory
    ]


def _table(title: str, columns: Sequence[str], cells: Sequence[Sequence[str]], *, left: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", header_style="bold")
    for column in columns:
        table.add_column(column, justify="left" if column in left else "right", no_wrap=True)
    for row in cells:
        table.add_row(*(f"[red]{cell}[/red]" if "MISSED" in cell else cell for cell in row))
    return table


def show(report: Report, console: Console) -> None:
    """Print the tables of one part."""
    setting = report.setting
    console.print(f"\n{', '.join(f'{name} {value}' for name, value in setting.items())}; {sentence()}")
    if setting["size"] == "quick":
        console.print("A quick run only shows that it runs: at this size no figure and no verdict means anything.")
    console.print(_table(FACTS, COLUMNS, rows(report), left=("variant",)))
    console.print(
        f"AdamW's step, in no row: {report.optimizer:.4f} CPU s a batch. "
        f"Tokens, shared over NTP, all examples read: {report.token_ratio:.3f}."
    )
    columns = ("variant", "allocated, MiB", "of Trainer's", "resident before, MiB", "added by a step, MiB", "of Trainer's")
    console.print(_table(f"Peak memory, {setting['memory_batch']} samples", columns, memory_rows(report), left=("variant",)))
    rate = report.throughput
    console.print(
        f"Examples a second and core: tokenise {rate.tokenise:,.0f} (the library alone "
        f"{rate.library:,.0f}), pack {rate.pack:,.0f}, pack full and plain "
        f"{rate.pack_both:,.0f}, tokenise and pack both {rate.together:,.0f} (vocabulary {rate.vocabulary:,})"
    )


def verdict_rows(reports: Sequence[Report]) -> list[tuple[str, ...]]:
    """Return a row of text a target and part: what, where, the value, the target, whether it is met."""
    return [
        (name, f"{report.setting['size']}, {report.setting['data']}", verdict.number, verdict.target.source, verdict.word)
        for report in reports
        for name, verdict in report.verdicts().items()
    ]


def show_verdicts(reports: Sequence[Report], console: Console) -> None:
    """Print every target beside what was measured."""
    columns = ("what", "where", "measured", "target", "met")
    cells = sorted(verdict_rows(reports), key=lambda row: row[0])
    console.print(_table("Targets", columns, cells, left=("what", "where", "target", "met")))


def append(report: Report, file: Path) -> None:
    """Append the tables as Markdown and everything as one line of JSON; the file may exist."""
    now = datetime.now(UTC)
    setting = report.setting
    record = asdict(report) | {
        "date": now.isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": versions(),
        "verdicts": [
            {"of": name, "value": verdict.value, "target": verdict.target.source, "met": verdict.met}
            for name, verdict in report.verdicts().items()
        ],
    }
    lines = [f"## {setting['size']}, {setting['data']} ({now:%Y-%m-%d})", "", sentence(), ""]
    for columns, cells in (
        (COLUMNS, rows(report)),
        (("variant", "before, MiB", "added, MiB", "of Trainer's"), memory_rows(report)),
        (("what", "where", "measured", "target", "met"), verdict_rows([report])),
    ):
        lines += ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
        lines += ["| " + " | ".join(row) + " |" for row in cells] + [""]
    with file.open("a", encoding="utf-8") as out:
        out.write("\n".join([*lines, "```json", json.dumps(record), "```", "", ""]))
