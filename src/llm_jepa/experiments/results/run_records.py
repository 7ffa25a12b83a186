"""One finished run as it is read back: `results.json`, `metrics.jsonl`, `config.yaml` and `environment.json` of its folder.

Only `results.json` is required; whatever is optional and absent is None, or empty. What cannot be read is named with its
file, and its line where it has lines.
"""

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from llm_jepa.errors import UserError, nearest, shown
from llm_jepa.experiments.files import FORMAT
from llm_jepa.experiments.json_files import json_object
from llm_jepa.experiments.results.run_analysis import ANALYSIS, Analysis, parse_analysis
from llm_jepa.experiments.yaml_files import read_mapping

RESULTS, METRICS, CONFIG, ENVIRONMENT = "results.json", "metrics.jsonl", "config.yaml", "environment.json"

WEIGHT, SLOTS = "objective.weight", "layout.k"
"""The two settings that the paper varies, by their dotted names in `config.yaml`."""

BY_EPOCH = "eval_accuracy"
"""The accuracy after an epoch, by the task's own measure, in `metrics.jsonl`."""

_SHARES = ("stop_rate", "retrieval_at_1")
_STOPPED = "stopped"
"""A scorer's name for what `stop_rate` is."""
_TITLES = {"exact": "Exact match", "prefix": "Prefix match"}
"""The measures of folders that do not name theirs."""
_UNLIKE = frozenset({"output", "seed"})
"""Settings in which runs of one arm differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """What one run scored and cost. None: not measured, or not a finite number.

    Attributes:
        split: name of the rows it was scored on.
        examples: number of those rows.
        accuracy: share of right answers by the task's own measure, 0..1.
        measure: title of that measure.
        measure_name: its name in `results.json` and `verdicts.jsonl`.
        scores: every other measure of the task by its title; None where no example counted.
        validation: accuracy on the validation rows, on which choices are made, 0..1.
        epoch_split: name of the rows on which the accuracy by epoch was measured; empty when it was not.
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
    accuracy: float
    measure: str = _TITLES["exact"]
    measure_name: str = "exact"
    scores: Mapping[str, float | None] = field(default_factory=dict[str, float | None])
    validation: float | None = None
    epoch_split: str = ""
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
        family: the arm's name in `results.json`, where `arm` says more; empty where it is the same.
        settings: its configuration by dotted name, less output and seed.
        data: a checksum of every source of examples by its name.
        analysis: what `llm-jepa analyze` measured on its embeddings; None where it did not.
    """

    folder: Path
    arm: str
    seed: int
    results: Results
    metrics: tuple[Mapping[str, float], ...] = ()
    family: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    data: Mapping[str, str] = field(default_factory=dict[str, str])
    analysis: Analysis | None = None

    @property
    def kind(self) -> str:
        """Which way of training it is: plain, jepa, shuffled, or another name."""
        return self.family or self.arm


def read_run(path: Path, measure: str | None = None) -> RunSummary:
    """Read the run to which a `results.json` belongs.

    Args:
        path: of the file.
        measure: name of the measure that is compared; None: the task's own. Only that was measured by epoch.

    Raises:
        UserError: a file is corrupted, a value in it is none, or it was not scored by the measure.
    """
    row = read_results(path)
    own = measure is None or measure == _measures(row, path)[0]
    if measure is not None and not own:
        row = _by_measure(row, measure, path)
    arm, seed = row.get("arm"), row.get("seed")
    if not isinstance(arm, str) or not arm.strip() or not arm.isprintable():
        raise UserError(f"{path}: 'arm' is {arm!r}; it must be a name in printable characters")
    if type(seed) is not int:
        raise UserError(f"{path}: 'seed' is {seed!r}; it must be a whole number")
    found = _results(row, path)
    given = {name: value for name, value in ((WEIGHT, found.weight), (SLOTS, found.k)) if value is not None}
    return RunSummary(
        folder=path.parent,
        arm=arm,
        seed=seed,
        results=found,
        metrics=tuple(_without(line, () if own else (BY_EPOCH,)) for line in read_metrics(path.with_name(METRICS))),
        settings=_settings(path.with_name(CONFIG)) or given,
        data=_fingerprints(path.with_name(ENVIRONMENT)),
        analysis=_analysis(path.with_name(ANALYSIS)),
    )


def read_results(path: Path) -> dict[str, Any]:
    """Return what a `results.json` says, after making sure that this version understands it.

    Raises:
        UserError: it is damaged, or of a later version of the run folder.
    """
    row = json_object(path.read_bytes(), str(path))
    version = row.get("format", FORMAT)
    if type(version) is not int or version < 1:
        raise UserError(f"{path}: 'format' is {version!r}; it must be the version of the run folder, from 1 on")
    if version > FORMAT:
        raise UserError(
            f"{path}: format {version} of the run folder, and this llm-jepa reads up to {FORMAT}; install a newer one"
        )
    return row


def _results(row: Mapping[str, Any], path: Path) -> Results:
    main, titles = _measures(row, path)
    split, examples = row.get("split"), row.get("examples")
    own = "accuracy" if "accuracy" in row else main
    accuracy = _share(row, own, path)
    if not isinstance(split, str) or not split.isprintable():
        raise UserError(f"{path}: 'split' is {split!r}; it must be the name of the scored rows")
    if type(examples) is not int or examples < 1:
        raise UserError(f"{path}: 'examples' is {examples!r}; it must be the number of scored rows")
    if accuracy is None:
        raise UserError(f"{path}: '{own}' is missing or no finite number; score the run again")
    optional = [item.name for item in fields(Results) if item.default is None and item.name != "validation"]
    return Results(
        split=split,
        examples=examples,
        accuracy=accuracy,
        measure=titles[main],
        measure_name=main,
        scores={titles[name]: _share(row, name, path) for name in titles if name in row and name not in {main, _STOPPED}},
        validation=_validation(row, main, path),
        epoch_split=epoch_split if isinstance(epoch_split := row.get("epoch_split"), str) else "",
        **{name: (_share if name in _SHARES else _number)(row, name, path) for name in optional},
    )


def _by_measure(row: Mapping[str, Any], measure: str, path: Path) -> dict[str, Any]:
    """Return the results as if the measure were the task's own, without the accuracies by epoch, which are of that."""
    _, titles = _measures(row, path)
    if measure not in titles or row.get(measure) is None:
        raise UserError(
            f"{path}: not scored by '{measure}'{nearest(measure, titles)}; --measure takes {', '.join(sorted(titles))}"
        )
    held_out = row.get("validation")
    kept = {"validation": _without(held_out, ("accuracy",))} if isinstance(held_out, dict) else {}
    return _without(row, ("accuracy", "epoch_split")) | {"measure": measure} | kept


def _without(row: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in names}


def _validation(row: Mapping[str, Any], main: str, path: Path) -> float | None:
    held_out = row.get("validation")
    if not isinstance(held_out, dict):
        return None
    return _share(held_out, "accuracy" if "accuracy" in held_out else main, path)


def _measures(row: Mapping[str, Any], path: Path) -> tuple[str, dict[str, str]]:
    """Return the name of the task's own measure, and the title of every measure by its name."""
    main, titles = row.get("measure", "exact"), row.get("titles", _TITLES)
    if not isinstance(titles, dict) or not all(isinstance(part, str) for item in titles.items() for part in item):
        raise UserError(f"{path}: 'titles' is {titles!r}; it must give every measure's title by its name")
    if not isinstance(main, str) or main not in titles:
        raise UserError(f"{path}: 'measure' is {main!r}; it must be one of {', '.join(titles)}")
    return main, titles


def _number(row: Mapping[str, Any], name: str, path: Path) -> float | None:
    value = row.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not _representable(value):
        raise UserError(f"{path}: '{name}' is {shown(value)!r}; it must be a number")
    return value if math.isfinite(value) else None


def _representable(value: float) -> bool:
    """Return whether a number is a floating-point number too; JSON has whole numbers of any length."""
    return isinstance(value, float) or abs(value) < 1 << 1023


def _share(row: Mapping[str, Any], name: str, path: Path) -> float | None:
    value = _number(row, name, path)
    if value is not None and not 0 <= value <= 1:
        raise UserError(f"{path}: '{name}' is {value!r}; it must be a share between 0 and 1")
    return value


def read_metrics(path: Path) -> Iterator[Mapping[str, float]]:
    """Yield the numbers of every line of a `metrics.jsonl`; nothing where there is no file.

    Raises:
        UserError: a line is no JSON object; the sentence names it.
    """
    if not path.exists():
        return
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        if line.strip():
            row = json_object(line, f"{path}:{number}")
            yield {
                key: float(value)
                for key, value in row.items()
                if isinstance(value, int | float) and not isinstance(value, bool) and _representable(value)
            }


def _settings(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        config = read_mapping(path)
    except UserError as error:
        raise UserError(f"{error}; or run the run again") from None
    return {name: value for name, value in _flat(config, "") if name not in _UNLIKE}


def _flat(config: Mapping[Any, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in config.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _analysis(path: Path) -> Analysis | None:
    return parse_analysis(json_object(path.read_bytes(), str(path)), path) if path.exists() else None


def _fingerprints(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    found = json_object(path.read_bytes().decode("utf-8", "replace").encode(), str(path)).get("data")
    return {str(name): str(value) for name, value in found.items()} if isinstance(found, dict) else {}
