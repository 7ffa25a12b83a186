"""What came of a recipe: its finished runs, read back and sorted by study, preset and arm."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

from llm_jepa.experiments.presets import Preset
from llm_jepa.experiments.results.collected import RESULTS, read_runs
from llm_jepa.experiments.results.run_analysis import parse_analysis
from llm_jepa.experiments.results.run_records import Results, RunSummary
from llm_jepa.recipes.plan import STAGE, Plan
from llm_jepa.recipes.recipe import Reading, Study

BASE = "base"
"""Stands for the untrained model in claims; it has an analysis and nothing else."""

ANALYSIS = "analysis"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a plan. A study is read once, so analyses of its runs are to be made before.

    Attributes:
        plan: the plan.
    """

    plan: Plan
    _read: dict[tuple[str, Preset], tuple[RunSummary, ...]] = field(default_factory=dict, init=False, repr=False)

    def page(self, study: Study, preset: Preset) -> Path:
        """Return the folder of a study's report."""
        return self.plan.pages / f"{study.name}-{preset.value}"

    def folders(self, study: Study, preset: Preset, arm: str) -> list[Path]:
        """Return the folders of an arm's finished runs, in the order of the seeds."""
        root = self.plan.folder(study, preset, study.arm(arm))
        seeds = self.plan.seeds
        numbers = seeds if study.pretrained is None else [STAGE * one + two for one in seeds for two in seeds]
        return [root / f"seed-{number}" for number in numbers if (root / f"seed-{number}" / RESULTS).exists()]

    def runs(self, study: Study, preset: Preset) -> tuple[RunSummary, ...]:
        """Return the finished runs of the wanted arms of a study."""
        key = study.name, preset
        if key not in self._read:
            found = [folder for arm in self.plan.arms(study) for folder in self.folders(study, preset, arm.name)]
            self._read[key] = read_runs(*found) if found and study.scored else ()
        return self._read[key]

    def values(self, study: Study, preset: Preset, arm: str, reading: Reading) -> dict[int, float]:
        """Return a reading of an arm by the run's number; without those that do not have it."""
        if arm == BASE:
            base = self._base(study, preset)
            value = None if base is None else reading.value(base, ())
            return {} if value is None else {0: value}
        runs = self.runs(study, preset)
        folder = study.arm(arm).folder
        own = [run for run in runs if run.folder.parent.name == folder]
        read = {run.seed: reading.value(run, runs) for run in own}
        return {seed: value for seed, value in read.items() if value is not None}

    def independent(self, study: Study, preset: Preset, arm: str, reading: Reading) -> dict[int, float]:
        """Return a reading by seed; of two stages the mean over the second seeds, which share a model, by the first."""
        values = self.values(study, preset, arm, reading)
        if study.pretrained is None:
            return values
        firsts = sorted({number // STAGE for number in values})
        return {first: fmean(values[number] for number in values if number // STAGE == first) for first in firsts}

    def _base(self, study: Study, preset: Preset) -> RunSummary | None:
        """Return the untrained model as a run without scores, from the analysis, of which it is the first model."""
        path = self.page(study, preset) / ANALYSIS / "analysis.json"
        if not path.is_file():
            return None
        first = json.loads(path.read_text(encoding="utf-8"))["models"][0]
        nothing = Results(split="", examples=1, accuracy=0.0)
        return RunSummary(folder=path.parent, arm=BASE, seed=0, results=nothing, analysis=parse_analysis(first, path))
