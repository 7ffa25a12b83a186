"""All runs below some folders, and which may be compared with which.

A run folder holds `results.json`; `run_records` says what is read from it. Runs of one arm and seed whose configurations
differ are told apart by name (`naming`). Every arm is compared with plain training, and real with shuffled pairs; where
there are several candidates for the control, the one that is configured like the arm.
"""

import math
import re
from collections.abc import Sequence
from pathlib import Path

from llm_jepa.errors import UserError
from llm_jepa.experiments.results.naming import differing, distinguish, same, setting_names
from llm_jepa.experiments.results.run_records import CONFIG, METRICS, RESULTS, Results, RunSummary, read_run
from llm_jepa.experiments.results.statistics import Comparison, comparison, corrected

__all__ = ["RESULTS", "Results", "RunSummary", "read_runs"]

PLAIN, JEPA, SHUFFLED = "plain", "jepa", "shuffled"
"""The arms with a meaning: next-token prediction alone, with JEPA, and JEPA on pairs that do not belong together."""

_KNOWN = (PLAIN, JEPA, SHUFFLED)
_TEST = "test"
_SHUFFLE = "data.shuffle_pairs"


def read_runs(*roots: Path, measure: str | None = None) -> tuple[RunSummary, ...]:
    """Read every run folder below the roots, ordered by arm (plain, jepa, shuffled, the others by name) and seed.

    Args:
        roots: the folders.
        measure: name of the measure that is compared; None: the task's own.

    Raises:
        UserError: a folder is not there or has no runs, a file is corrupted (named with its line), two folders hold the
            same run, or runs were scored on different rows, by different measures, or not by the one that is asked for.
    """
    paths: dict[Path, Path] = {}
    for root in roots:
        if not root.is_dir():
            raise UserError(f"there is no folder '{root}'")
        found = sorted(root.rglob(RESULTS))
        if not found:
            raise UserError(f"{root}: no {RESULTS} in it or below it; finish a run first, or give its folder")
        for path in found:
            paths.setdefault(path.resolve(), path)
    runs = distinguish([read_run(path, measure) for path in paths.values()])
    _check_same_rows(runs)
    order = arms(runs)
    return tuple(sorted(runs, key=lambda run: (order.index(run.arm), run.seed)))


def unfinished(*roots: Path) -> tuple[Path, ...]:
    """Return the folders below the roots with a run that was begun and has no results."""
    begun = {path.parent for root in roots for path in root.rglob(METRICS) if path.with_name(CONFIG).exists()}
    return tuple(sorted(folder for folder in begun if not (folder / RESULTS).exists()))


def scored_on_test(runs: Sequence[RunSummary]) -> tuple[RunSummary, ...]:
    """Leave out what was scored on other rows (a search on validation), unless nothing was scored on the test rows."""
    return tuple(run for run in runs if run.results.split == _TEST) or tuple(runs)


def arms(runs: Sequence[RunSummary]) -> tuple[str, ...]:
    """Names of the arms in the order in which they are shown; numbers in names count as numbers."""
    kinds = {run.arm: run.kind for run in runs}
    place = {kind: i for i, kind in enumerate(_KNOWN)}

    def key(name: str) -> tuple[int, str, list[tuple[float, str]]]:
        kind = kinds[name]
        return place.get(kind, len(place)), "" if kind in place else kind, _natural(name)

    return tuple(sorted(kinds, key=key))


def of_arm(runs: Sequence[RunSummary], arm: str) -> tuple[RunSummary, ...]:
    """The runs of one arm."""
    return tuple(run for run in runs if run.arm == arm)


def compare_runs(runs: Sequence[RunSummary]) -> tuple[Comparison, ...]:
    """Compare every arm with plain training, and real with shuffled pairs, on the seeds they share; Holm over all."""
    by_seed = {arm: {run.seed: run.results.accuracy for run in of_arm(runs, arm)} for arm in arms(runs)}
    return corrected(
        [comparison(a, b, by_seed[a], by_seed[b]) for a, b in _pairs(runs) if by_seed[a].keys() & by_seed[b].keys()]
    )


def notes(runs: Sequence[RunSummary]) -> tuple[str, ...]:
    """What a reader should know: seeds without a partner, mixed configurations, other training rows, diverged values."""
    return (*_unpaired(runs), *_uncontrolled(runs), *_mixed(runs), *_other_training(runs), *_diverged(runs))


def _pairs(runs: Sequence[RunSummary]) -> list[tuple[str, str]]:
    """Every arm with its plain control, then every JEPA arm with its shuffled control."""
    by_kind: dict[str, list[str]] = {}
    kinds = {run.arm: run.kind for run in runs}
    for arm in arms(runs):
        by_kind.setdefault(kinds[arm], []).append(arm)
    found: list[tuple[str, str]] = []
    for treated, control in ((None, PLAIN), (JEPA, SHUFFLED)):
        candidates = by_kind.get(control, [])
        varied = differing([run for run in runs if run.kind == control])
        if control == SHUFFLED and len(by_kind.get(JEPA, [])) > 1:
            varied = sorted({*varied, *differing([run for run in runs if run.kind == JEPA])} - {_SHUFFLE})
        for arm in kinds if treated is None else by_kind.get(treated, []):
            if kinds[arm] != control:
                found.extend((arm, other) for other in candidates if _alike(runs, arm, other, varied))
    order = {arm: i for i, arm in enumerate(arms(runs))}
    return sorted(found, key=lambda pair: (kinds[pair[1]] != PLAIN, order[pair[0]], order[pair[1]]))


def _alike(runs: Sequence[RunSummary], arm: str, other: str, settings: Sequence[str]) -> bool:
    return same(of_arm(runs, arm)[0].settings, of_arm(runs, other)[0].settings, settings)


def _unpaired(runs: Sequence[RunSummary]) -> list[str]:
    seeds = {arm: {run.seed for run in of_arm(runs, arm)} for arm in arms(runs)}
    lacking: dict[tuple[str, tuple[int, ...]], list[str]] = {}
    apart: list[str] = []
    for pair in _pairs(runs):
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
    return lonely + apart


def _uncontrolled(runs: Sequence[RunSummary]) -> list[str]:
    """Arms for which there is no plain training of the same settings."""
    plain = [run for run in runs if run.kind == PLAIN]
    if not plain:
        return []
    controlled = {treatment for treatment, control in _pairs(runs) if control in {run.arm for run in plain}}
    alone = [arm for arm in arms(runs) if arm not in controlled and of_arm(runs, arm)[0].kind != PLAIN]
    names = ", ".join(setting_names(differing(plain)).values())
    return [f"'{arm}' is compared with no plain training: none has the same {names}." for arm in alone]


def _mixed(runs: Sequence[RunSummary]) -> list[str]:
    found: list[str] = []
    for arm in arms(runs):
        names = setting_names(differing(of_arm(runs, arm)))
        if names:
            found.append(f"The runs of '{arm}' differ in more than the seed: {', '.join(names.values())}.")
    return found


def _other_training(runs: Sequence[RunSummary]) -> list[str]:
    trained: dict[str, list[str]] = {}
    for run in runs:
        if "train" in run.data:
            trained.setdefault(run.data["train"], []).append(run.arm)
    if len(trained) < 2:
        return []
    groups = [" and ".join(f"'{arm}'" for arm in dict.fromkeys(names)) for names in trained.values()]
    return [f"Not all runs were trained on the same rows: {'; on others '.join(groups)}."]


def _diverged(runs: Sequence[RunSummary]) -> list[str]:
    return [
        f"'{run.arm}', seed {run.seed}: {count} logged values are not finite; the figures leave them out."
        for run in runs
        if (count := sum(not math.isfinite(value) for line in run.metrics for value in line.values()))
    ]


def _natural(name: str) -> list[tuple[float, str]]:
    """A key that sorts numbers in a name by their size."""
    pieces = re.split(r"(\d+(?:\.\d+)?(?:e[+-]?\d+)?)", name)
    return [(float(piece), "") if i % 2 else (-1.0, piece) for i, piece in enumerate(pieces)]


def _check_same_rows(runs: Sequence[RunSummary]) -> None:
    first: dict[str, RunSummary] = {}
    for run in runs:
        other = first.setdefault(run.results.split, run)
        if run.results.measure != other.results.measure:
            raise UserError(
                f"{run.folder}: scored by '{run.results.measure}', but {other.folder} by '{other.results.measure}'; "
                "compare runs of one task"
            )
        if run.results.examples != other.results.examples:
            raise UserError(
                f"{run.folder}: scored on {run.results.examples} rows of '{run.results.split}', but {other.folder} on "
                f"{other.results.examples}; score both on the same rows"
            )
        mine, theirs = (each.data.get(each.results.split) for each in (run, other))
        if mine and theirs and mine != theirs:
            raise UserError(
                f"{run.folder}: its rows of '{run.results.split}' are others than those of {other.folder}, by the checksums "
                "in environment.json; score both on the same rows"
            )
