"""What finished runs left behind: folders -> frozen records, and which runs may be compared with which.

A run folder holds `results.json` (one object), `metrics.jsonl` (one object a line) and `predictions.jsonl`. Only
`results.json` is required; whatever is optional and absent is None, or empty.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from llm_jepa.errors import UserError
from llm_jepa.experiments.statistics import Comparison, comparison, corrected

RESULTS, METRICS = "results.json", "metrics.jsonl"
PLAIN, JEPA, SHUFFLED = "plain", "jepa", "shuffled"
"""The arms with a meaning: next-token prediction alone, with JEPA, and JEPA on pairs that do not belong together."""

_TEST = "test"
_SHARES = frozenset({"exact", "prefix", "stop_rate", "retrieval_at_1"})
_NAMES = frozenset({"arm", "seed", "split"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """What one run scored and cost. None: not measured, or not a finite number.

    Attributes:
        split: name of the rows it was scored on.
        examples: number of those rows.
        exact: share of right answers, 0..1.
        prefix: share of outputs that begin with the right answer, 0..1.
        stop_rate: share of outputs ended by a stop token, 0..1.
        cosine_matched: mean cosine of predicted and target embedding of the same example.
        cosine_shuffled: the same for embeddings of different examples.
        cosine_gap: `cosine_matched` - `cosine_shuffled`.
        retrieval_at_1: share of examples whose own target is the nearest of `retrieval_candidates`, 0..1.
        retrieval_candidates: number of targets to choose from.
        effective_rank: number of directions the embeddings spread over, at least 1.
        weight: weight of the JEPA term.
        k: number of [PRED] slots.
        tokens: tokens processed in training.
        flops: floating-point operations of training.
        seconds: duration of training.
    """

    split: str
    examples: int
    exact: float
    prefix: float | None = None
    stop_rate: float | None = None
    cosine_matched: float | None = None
    cosine_shuffled: float | None = None
    cosine_gap: float | None = None
    retrieval_at_1: float | None = None
    retrieval_candidates: float | None = None
    effective_rank: float | None = None
    weight: float | None = None
    k: float | None = None
    tokens: float | None = None
    flops: float | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """One finished run.

    Attributes:
        folder: where it lies.
        arm: name of the way of training.
        seed: the seed; runs of different arms with the same seed are pairs.
        results: what it scored.
        metrics: what it logged, one mapping of numbers a line, in the order of the file.
    """

    folder: Path
    arm: str
    seed: int
    results: Results
    metrics: tuple[Mapping[str, float], ...] = ()


def read_runs(root: Path) -> tuple[RunSummary, ...]:
    """Read every run folder below `root`, ordered by arm (plain, jepa, shuffled, the others by name) and seed.

    Raises:
        UserError: there is none, a file is corrupted (named with its line), two folders hold the same arm and seed, or
            runs were scored on different rows.
    """
    runs = [_read_run(path) for path in sorted(root.rglob(RESULTS))]
    if not runs:
        raise UserError(f"{root}: no {RESULTS} in it or below it; finish a run first, or give its folder")
    seen: dict[tuple[str, int, str], RunSummary] = {}
    for run in runs:
        key = (run.arm, run.seed, run.results.split)
        if key in seen:
            raise UserError(f"{run.folder}: arm '{run.arm}' and seed {run.seed} are also in {seen[key].folder}; remove one")
        seen[key] = run
    _check_same_rows(runs)
    order = arms(runs)
    return tuple(sorted(runs, key=lambda run: (order.index(run.arm), run.seed)))


def scored_on_test(runs: Sequence[RunSummary]) -> tuple[RunSummary, ...]:
    """Leave out what was scored on other rows (a search on validation), unless nothing was scored on the test rows."""
    return tuple(run for run in runs if run.results.split == _TEST) or tuple(runs)


def arms(runs: Sequence[RunSummary]) -> tuple[str, ...]:
    """Names of the arms in the order in which they are shown."""
    known = (PLAIN, JEPA, SHUFFLED)
    names = {run.arm for run in runs}
    return (*(name for name in known if name in names), *sorted(names.difference(known)))


def of_arm(runs: Sequence[RunSummary], arm: str) -> tuple[RunSummary, ...]:
    """The runs of one arm."""
    return tuple(run for run in runs if run.arm == arm)


def compare_runs(runs: Sequence[RunSummary]) -> tuple[Comparison, ...]:
    """Compare every arm with plain training, and real with shuffled pairs, on the seeds they share; Holm over all."""
    by_seed = {arm: {run.seed: run.results.exact for run in of_arm(runs, arm)} for arm in arms(runs)}
    return corrected(
        [comparison(a, b, by_seed[a], by_seed[b]) for a, b in _pairs(by_seed) if by_seed[a].keys() & by_seed[b].keys()]
    )


def notes(runs: Sequence[RunSummary]) -> tuple[str, ...]:
    """What a reader of the comparisons should know: seeds without a partner, and values that are no numbers."""
    seeds = {arm: {run.seed for run in of_arm(runs, arm)} for arm in arms(runs)}
    lacking: dict[tuple[str, tuple[int, ...]], list[str]] = {}
    apart: list[str] = []
    for pair in _pairs(seeds):
        if not seeds[pair[0]] & seeds[pair[1]]:
            apart.append(f"'{pair[1]}' is not compared with '{pair[0]}': no seed in common.")
            continue
        for one, other in (pair[::-1], pair):
            if seeds[one] - seeds[other]:
                lacking.setdefault((one, tuple(sorted(seeds[one] - seeds[other]))), []).append(f"'{other}'")
    lonely = [
        f"'{one}' is compared with {', '.join(others)} without seed {', '.join(map(str, missing))}, which only '{one}' has."
        for (one, missing), others in lacking.items()
    ]
    diverged = [
        f"'{run.arm}', seed {run.seed}: {count} logged values are not finite; the figures leave them out."
        for run in runs
        if (count := sum(not math.isfinite(value) for line in run.metrics for value in line.values()))
    ]
    return (*lonely, *apart, *diverged)


def _pairs(names: Mapping[str, object]) -> list[tuple[str, str]]:
    against_plain = [(arm, PLAIN) for arm in names if arm != PLAIN and PLAIN in names]
    return against_plain + ([(JEPA, SHUFFLED)] if JEPA in names and SHUFFLED in names else [])


def _read_run(path: Path) -> RunSummary:
    row = _json_object(path.read_bytes(), str(path))
    arm, seed = row.get("arm"), row.get("seed")
    if not isinstance(arm, str) or not arm.strip() or not arm.isprintable():
        raise UserError(f"{path}: 'arm' is {arm!r}; it must be a name in printable characters")
    if type(seed) is not int:
        raise UserError(f"{path}: 'seed' is {seed!r}; it must be a whole number")
    lines = _metrics(path.with_name(METRICS))
    return RunSummary(folder=path.parent, arm=arm, seed=seed, results=_results(row, path), metrics=tuple(lines))


def _results(row: Mapping[str, object], path: Path) -> Results:
    split, examples, exact = row.get("split"), row.get("examples"), _number(row, "exact", path)
    if not isinstance(split, str) or not split.isprintable():
        raise UserError(f"{path}: 'split' is {split!r}; it must be the name of the scored rows")
    if type(examples) is not int or examples < 1:
        raise UserError(f"{path}: 'examples' is {examples!r}; it must be the number of scored rows")
    if exact is None:
        raise UserError(f"{path}: 'exact' is missing or no finite number; score the run again")
    optional = [field.name for field in fields(Results) if field.name not in {"split", "examples", "exact"}]
    return Results(split=split, examples=examples, exact=exact, **{name: _number(row, name, path) for name in optional})


def _number(row: Mapping[str, object], name: str, path: Path) -> float | None:
    value = row.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UserError(f"{path}: '{name}' is {value!r}; it must be a number")
    if name in _SHARES and not (0 <= value <= 1 or math.isnan(value)):
        raise UserError(f"{path}: '{name}' is {value!r}; it must be a share between 0 and 1")
    return value if math.isfinite(value) else None


def _metrics(path: Path) -> Iterator[Mapping[str, float]]:
    if not path.exists():
        return
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        if line.strip():
            row = _json_object(line, f"{path}:{number}")
            yield {
                key: float(value)
                for key, value in row.items()
                if isinstance(value, int | float) and not isinstance(value, bool)
            }


def _json_object(data: bytes, where: str) -> dict[str, object]:
    try:
        row = json.loads(data)
    except ValueError as error:
        raise UserError(f"{where}: no JSON ({error}); remove it, or make it again by running the run again") from None
    if not isinstance(row, dict):
        raise UserError(f"{where}: a JSON object is wanted, this is a {type(row).__name__}")
    return row


def _check_same_rows(runs: Sequence[RunSummary]) -> None:
    first: dict[str, RunSummary] = {}
    for run in runs:
        other = first.setdefault(run.results.split, run)
        if run.results.examples != other.results.examples:
            raise UserError(
                f"{run.folder}: scored on {run.results.examples} rows of '{run.results.split}', but {other.folder} on "
                f"{other.results.examples}; score both on the same rows"
            )
