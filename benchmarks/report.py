"""What was measured, as tables for a person, as Markdown, and as one line of JSON."""

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import targets, variants
from benchmarks.memory import Memory
from benchmarks.targets import Verdict
from benchmarks.throughput import Throughput
from benchmarks.timing import Result

PACKAGES = ("torch", "transformers", "trl", "accelerate", "tokenizers")
SUMMARY = (
    "Summary: CPU seconds a sample, forward and backward, one thread. Raw: without the trainer, compared with raw rows. "
    "Rows of a trainer: its training_step and its collation."
)
COLUMNS = ("variant", "tokens (padded)", "CPU s (min)", "x NTP", "x Trainer", "target", "met")


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

    def verdicts(self) -> dict[str, list[Verdict]]:
        """Return the verdicts by the row they belong to."""
        vocabulary = int(self.setting["vocabulary"])
        shared, ntp = self.result(variants.SHARED), self.result(variants.NTP)
        tokens = shared.cost.tokens / ntp.cost.tokens if shared and ntp else float("nan")
        over_ntp = self.ratio(variants.SHARED, variants.NTP)
        trainer = targets.over_trainer(vocabulary)
        found = {
            variants.SHARED: [
                targets.SHARED_OVER_NTP.check(over_ntp),
                targets.SHARED_OVER_TOKENS.check(over_ntp / tokens),
                trainer.check(self.ratio(variants.SHARED, variants.TRAINER)),
            ],
            variants.SHARED_ONE: [trainer.check(self.ratio(variants.SHARED_ONE, variants.TRAINER))],
            variants.SHARED_ROWS: [trainer.check(self.ratio(variants.SHARED_ROWS, variants.TRAINER))],
            variants.DROPOUT_75: [targets.DROPOUT_OVER_NTP.check(self.ratio(variants.DROPOUT_75, variants.NTP))],
            variants.THREE: [targets.OFFICIAL_OVER_SHARED.check(self.ratio(variants.THREE, variants.SHARED))],
        }
        rivals = [name for name in (variants.TRL, variants.TRL_PACKED) if self.result(name)]
        if rivals:
            worst = max(self.ratio(variants.NTP, name) for name in rivals)
            found[variants.NTP] = [targets.NTP_OVER_TRL.check(worst)]
        return found

    def other_verdicts(self) -> dict[str, Verdict]:
        """Return the verdicts on what is no step."""
        trainer, *rest = self.memory
        found = {
            f"memory, {item.name}": targets.MEMORY_OVER_TRAINER.check(item.added / max(trainer.added, 1e-9)) for item in rest
        }
        return found | {
            "tokenise": targets.THROUGHPUT.check(self.throughput.tokenise),
            "pack (full and plain)": targets.THROUGHPUT.check(self.throughput.pack_both),
        }


def _bases(name: str) -> tuple[str, str]:
    return variants.RAW.get(name, (variants.NTP, variants.TRAINER))


def summary_rows(report: Report) -> list[tuple[str, ...]]:
    """Return the rows of the last table, one text a column of `COLUMNS`; a second target has a row of its own."""
    verdicts = report.verdicts()
    rows: list[tuple[str, ...]] = []
    for result in report.results:
        found = verdicts.get(result.name, [])
        ntp, trainer = (report.ratio(result.name, base) for base in _bases(result.name))
        cost = result.cost
        rows.append(
            (
                result.name,
                f"{cost.tokens / cost.samples:.1f} ({cost.positions / cost.samples:.1f})",
                f"{result.best:.4f}",
                f"{ntp:.2f}",
                f"{trainer:.2f}",
                *_target(found[:1]),
            )
        )
        rows += [("", "", "", "", "", *_target([verdict])) for verdict in found[1:]]
    others = report.other_verdicts().items()
    return rows + [(name, "", "", "", "", *_target([verdict])) for name, verdict in others]


def _target(found: Sequence[Verdict]) -> tuple[str, str]:
    return (found[0].text, found[0].word) if found else ("", "")


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, left: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", header_style="bold")
    for column in columns:
        table.add_column(column, justify="left" if column in left else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(f"[red]{cell}[/red]" if "MISSED" in cell else cell for cell in row))
    return table


def _detail_rows(report: Report) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for result in report.results:
        base = report.result(_bases(result.name)[0])
        cost = result.cost
        rows.append(
            (
                result.name,
                str(len(result.seconds)),
                f"{result.best:.4f}",
                f"{result.median:.4f}",
                f"{result.best / base.best:.2f} / {result.median / base.median:.2f}" if base else "",
                f"{cost.logits / cost.samples:.1f}",
                f"{cost.flops / cost.samples / 1e9:.2f}",
                f"{result.counted / cost.samples / 1e9:.2f}",
            )
        )
    return rows


def show(report: Report, console: Console) -> None:
    """Print all tables; the compact one comes last."""
    setting = report.setting
    words = ", ".join(f"{name} {value}" for name, value in setting.items())
    console.print(f"\n{words}; {_machine()['cpu']}, one thread")
    columns = ("variant", "rounds", "CPU s (min)", "(median)", "x NTP min / median", "logits", "GFLOP", "(torch)")
    if setting["size"] == "quick":
        console.print("A quick run only shows that it runs: at this size no figure and no verdict means anything.")
    console.print(_table("Times and operations a sample", columns, _detail_rows(report), left=("variant",)))
    console.print(
        "GFLOP: a sample, by the project's CostModel, with attention. (torch): torch.utils.flop_counter, which sees neither "
        "the CPU's fused attention nor element-wise work, embeddings, norms and softmax.\n"
        f"AdamW's step, in no row: {report.optimizer:.4f} CPU s a batch. "
        f"Tokens, shared over NTP, all examples read: {report.token_ratio:.3f}."
    )
    memory = [(item.name, f"{item.before:.0f}", f"{item.added:.0f}") for item in report.memory]
    columns = ("variant", "before, MiB", "added by two steps, MiB")
    console.print(_table("Peak memory", columns, memory, left=("variant",)))
    rate = report.throughput
    console.print(
        f"Examples a second and core: tokenise {rate.tokenise:,.0f} (the library alone "
        f"{rate.library:,.0f}), pack {rate.pack:,.0f}, pack full and plain "
        f"{rate.pack_both:,.0f}, tokenise and pack both {rate.together:,.0f} (vocabulary {rate.vocabulary:,})"
    )
    console.print(_table(SUMMARY, COLUMNS, summary_rows(report), left=("variant", "target", "met")))


def append(report: Report, file: Path) -> None:
    """Append the last table as Markdown and everything as one line of JSON; the file may exist."""
    now = datetime.now(UTC)
    lines = [f"## {now:%Y-%m-%d}, {report.setting['size']}, {_machine()['cpu']}", ""]
    lines += ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    lines += ["| " + " | ".join(row) + " |" for row in summary_rows(report)]
    record = asdict(report) | {
        "date": now.isoformat(timespec="seconds"),
        "machine": _machine(),
        "versions": _versions(),
        "verdicts": [
            {"of": name, "value": verdict.value, "target": verdict.target.source, "met": verdict.met}
            for name, found in report.verdicts().items()
            for verdict in found
        ]
        + [
            {"of": name, "value": verdict.value, "target": verdict.target.source, "met": verdict.met}
            for name, verdict in report.other_verdicts().items()
        ],
    }
    with file.open("a", encoding="utf-8") as out:
        out.write("\n".join([*lines, "", "```json", json.dumps(record), "```", "", ""]))


def _machine() -> dict[str, Any]:
    """Return what the times depend on, without the machine's name."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return {
        "cpu": names[0] if names else platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
    }


def _versions() -> dict[str, str]:
    installed = {item.name for item in metadata.distributions()}
    return {name: metadata.version(name) for name in PACKAGES if name in installed}
