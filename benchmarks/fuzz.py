"""`python -m benchmarks.fuzz --minutes 8 --seed 0`: valid data files and configs, mutated at random, fed to their readers.

The one exception that may come back is `UserError`, and its message must be one printable sentence. Every input is a
function of the seed and its number, so a finding is repeated with `--seed S --first N --inputs 1`.
"""

import argparse
import gzip
import io
import json
import random
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow
import pyarrow.parquet

from llm_jepa.errors import UserError
from llm_jepa.experiments.config import dump_experiment, load_experiment, parse_experiment
from llm_jepa.experiments.yaml_files import read_mapping
from llm_jepa.tasks.files import read_examples

LONGEST = 400
"""Characters of a sentence."""

SLOW = 20.0
"""Seconds that one small input may take; more is a finding too."""

ROWS = (
    '{"text": "lines with a number", "code": ".*[0-9].*", "level": 3}\n{"text": "é日本\\u00e9 😀", "code": "a\\nb"}\n',
    '{"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}, '
    '{"role": "assistant", "content": "a"}], "text": "x", "code": "y"}\n',
    '{"prompt": [{"role": "user", "content": "a"}], "completion": "b"}\n{"views": ["one", "two", "three"]}\n',
)
TABLE = 'text,code,note\n"a, b",c,1\n"line\nbreak","say ""x""",\nplain,cell,é\n'
CONFIG = """\
output: runs/mine
model: {name: nowhere, lora: {rank: 8, alpha: 16}, template_arguments: {enable_thinking: false}}
data: {train: train.jsonl, test: test.jsonl, limit: 100, columns: {text: question, code: answer}}
layout: &layout {k: 2, direction: text_to_code}
objective: {weight: 1.0, dropout: 0.5, distance: {class_path: InfoNCE, init_args: {temperature: 0.07}}}
training:
  learning_rate: 2.0e-5
  num_train_epochs: 4
  save_strategy: epoch
evaluation: {max_new_tokens: 64, scorer: {class_path: LabelPrefix, init_args: {labels: [Good, Bad]}}}
seed: 82
"""
WORDS = (
    *(
        "null",
        "true",
        "~",
        ".nan",
        ".inf",
        "-1",
        "0",
        "1e999",
        "9" * 400,
        '""',
        "{}",
        "[]",
        "[[",
        "}}",
        "&a",
        "*a",
        "<<: *a",
    ),
    *(
        "!!python/object/apply:os.system ['true']",
        "!!binary aGk=",
        "!!set {a}",
        "? a",
        "- ",
        "%TAG ! x",
        "---",
        "...",
        "2020-13-45",
    ),
    *(
        "\\ud800",
        "\\u0000",
        "\0",
        "\ufeff",
        "\u2028",
        "\x85",
        "\r",
        "\t",
        "\x1b[2J",
        "\u202e",
        '"',
        "'",
        ",",
        ":",
        "#",
        "|",
        ">",
    ),
    *(
        '"role"',
        '"assistant"',
        '"content"',
        '"text": 1',
        '"views": [',
        "class_path",
        "init_args",
        "llm_jepa.packing.layout.Layout",
    ),
)
"""Pieces that parsers treat in ways of their own."""


def _lines() -> bytes:
    return "".join(ROWS).encode()


def _json() -> bytes:
    return json.dumps({"data": [json.loads(line) for text in ROWS for line in text.splitlines()]}, indent=1).encode()


def _parquet() -> bytes:
    target = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table({"text": ["a", "b"], "code": ["c", "d"], "n": [1, None]}), target)
    return target.getvalue()


SOURCES: Mapping[str, Callable[[], bytes]] = {
    "rows.jsonl": _lines,
    "rows.json": _json,
    "rows.csv": TABLE.encode,
    "rows.tsv": TABLE.replace(",", "\t").encode,
    "rows.parquet": _parquet,
    "rows.jsonl.gz": lambda: gzip.compress(_lines(), mtime=0),
    "config.yaml": CONFIG.encode,
    "run.yaml": lambda: dump_experiment(load_experiment(CONFIG)).encode(),
}
"""Valid input by the name that it is written to."""


def mutated(data: bytes, draw: random.Random) -> bytes:
    """Return the input with a few small changes; half of the compressed ones are changed before they are compressed."""
    packed = data.startswith(b"\x1f\x8b") and draw.random() < 0.5
    data = gzip.decompress(data) if packed else data
    for _ in range(draw.choice((1, 1, 1, 2, 3, 6))):
        data = draw.choice(CHANGES)(data, draw)
    return gzip.compress(data, mtime=0) if packed else data


def _place(data: bytes, draw: random.Random) -> int:
    return draw.randint(0, len(data))


def _flip(data: bytes, draw: random.Random) -> bytes:
    changed = bytearray(data)
    if changed:
        changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def _cut(data: bytes, draw: random.Random) -> bytes:
    return data[: _place(data, draw)]


def _drop(data: bytes, draw: random.Random) -> bytes:
    start = _place(data, draw)
    return data[:start] + data[start + draw.randint(1, 12) :]


def _repeat(data: bytes, draw: random.Random) -> bytes:
    start = _place(data, draw)
    piece = data[start : start + draw.randint(1, 60)]
    return data[:start] + piece * draw.choice((2, 3, 300)) + data[start:]


def _insert(data: bytes, draw: random.Random) -> bytes:
    start, word = _place(data, draw), draw.choice(WORDS)
    return data[:start] + word.encode("utf-8", "surrogatepass") + data[start:]


def _noise(data: bytes, draw: random.Random) -> bytes:
    start = _place(data, draw)
    return data[:start] + draw.randbytes(draw.randint(1, 8)) + data[start:]


def _move(data: bytes, draw: random.Random) -> bytes:
    lines = data.split(b"\n")
    draw.shuffle(lines)
    return b"\n".join(lines)


def _replace(data: bytes, draw: random.Random) -> bytes:
    text = data.decode("utf-8", "replace")
    words = [word for word in text.replace(":", " ").replace(",", " ").split() if word]
    return text.replace(draw.choice(words), draw.choice(WORDS), 1).encode("utf-8", "surrogatepass") if words else data


CHANGES = (_flip, _cut, _drop, _repeat, _insert, _noise, _move, _replace)


@dataclass(slots=True)
class Report:
    """What came of all inputs.

    Attributes:
        outcomes: how many inputs of each source were read, and how many refused.
        findings: what broke the rule, each with the number of its input.
    """

    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    findings: list[str] = field(default_factory=list[str])

    @property
    def inputs(self) -> int:
        """Number of inputs."""
        return self.outcomes.total()


def read(path: Path) -> None:
    """Read an input as the verbs do."""
    if path.suffix == ".yaml":
        read_mapping(path)
        load_experiment(path.read_text(encoding="utf-8"))
        parse_experiment(["--config", str(path)])
    else:
        read_examples(str(path))


def fuzz(numbers: Iterator[int], *, seed: int, folder: Path) -> Report:
    """Feed mutated inputs to the readers.

    Args:
        numbers: of the inputs.
        seed: of all of them.
        folder: is written to.
    """
    report, names = Report(), tuple(SOURCES)
    originals = {name: make() for name, make in SOURCES.items()}
    for number in numbers:
        draw = random.Random(f"{seed} {number}")
        name = names[number % len(names)]
        path = folder / name
        path.write_bytes(mutated(originals[name], draw))
        began = time.monotonic()
        outcome, finding = _outcome(path)
        if finding is None and time.monotonic() - began > SLOW:
            finding = f"took {time.monotonic() - began:.0f} seconds"
        report.outcomes[name, outcome] += 1
        if finding is not None:
            report.findings.append(f"input {number}, {name}: {finding}")
    return report


def _outcome(path: Path) -> tuple[str, str | None]:
    """Return what became of an input, and what is wrong with that."""
    try:
        with redirect_stderr(io.StringIO()):
            read(path)
    except UserError as error:
        said = str(error)
        wrong = "\n" in said or len(said) > LONGEST + 200
        return "refused", f"no sentence: {said[:500]!r}" if wrong else None
    except (Exception, SystemExit):  # noqa: BLE001 - whatever it is, it is what this command looks for
        return "broke", traceback.format_exc(limit=-4)
    return "read", None


def _until(deadline: float, first: int) -> Iterator[int]:
    number = first
    while time.monotonic() < deadline:
        yield number
        number += 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; the exit code is 1 when anything was found."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--inputs", type=int, help="so many inputs instead")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    options = parser.parse_args(arguments)
    numbers: Iterator[int] = _until(time.monotonic() + 60 * options.minutes, options.first)
    if options.inputs is not None:
        numbers = iter(range(options.first, options.first + options.inputs))
    with tempfile.TemporaryDirectory() as folder:
        report = fuzz(numbers, seed=options.seed, folder=Path(folder))
    for (name, outcome), count in sorted(report.outcomes.items()):
        print(f"{name:15} {outcome:8} {count:8,}")
    print(f"{report.inputs:,} inputs, {len(report.findings)} findings")
    for finding in report.findings[:20]:
        print(finding)
    return 1 if report.findings else 0


if __name__ == "__main__":
    sys.exit(main())
