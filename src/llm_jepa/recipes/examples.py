"""What recipes show beside numbers: outputs for the paper's texts, free continuations, and the analysis of embeddings."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from llm_jepa.evaluation.evaluate import PREDICTIONS, read_predictions
from llm_jepa.experiments.analyze.analyzing import analyze
from llm_jepa.experiments.config import read_experiment
from llm_jepa.experiments.experiment import Experiment
from llm_jepa.experiments.files import RunFolder
from llm_jepa.experiments.presets import Preset
from llm_jepa.experiments.results.collected import RESULTS
from llm_jepa.recipes.continuing import continued
from llm_jepa.recipes.outcome import ANALYSIS, Outcome
from llm_jepa.recipes.recipe import Extra, Study
from llm_jepa.recipes.sections import Section
from llm_jepa.recipes.untrained import untrained
from llm_jepa.records import Prediction

FIRST = 4
"""Examples that are shown where none of the paper's texts is among the test rows."""

READ = 1000
"""Pairs that an analysis reads."""


@dataclass(frozen=True)
class SideBySide(Extra):
    """The outputs for the texts that the paper shows.

    Attributes:
        texts: as they are in the test rows.
    """

    texts: tuple[str, ...]

    def sections(self, outcome: Outcome) -> Sequence[Section]:
        """Return one table a preset: text, truth, and what every arm wrote, for the first seed."""
        return [
            section
            for study in outcome.plan.chosen()
            for preset in outcome.plan.presets
            if (section := self._section(outcome, study, preset)) is not None
        ]

    def _section(self, outcome: Outcome, study: Study, preset: Preset) -> Section | None:
        arms = [arm for arm in outcome.plan.arms(study) if outcome.folders(study, preset, arm.name)]
        if not arms:
            return None
        by_arm = [read_predictions(outcome.folders(study, preset, arm.name)[0] / PREDICTIONS) for arm in arms]
        found = {text: place for text in self.texts if (place := _place(text, by_arm[0])) is not None}
        text = "" if found else "None of the paper's texts is among the test rows here; the first rows stand for them."
        shown = found or {item.prompt: place for place, item in enumerate(by_arm[0][:FIRST])}
        rows = [
            (asked, by_arm[0][place].expected, *(predictions[place].generated for predictions in by_arm))
            for asked, place in shown.items()
        ]
        columns = ("Text", "Truth", *(arm.name for arm in arms))
        return Section(
            title=f"Outputs, {preset.value}", text=(text,) if text else (), columns=columns, rows=rows, literal=True
        )


def _place(text: str, predictions: Sequence[Prediction]) -> int | None:
    """Return which prediction answers a text: of the prompts that contain it the shortest, for texts begin alike."""
    places = [place for place, item in enumerate(predictions) if text in item.prompt]
    return min(places, key=lambda place: len(predictions[place].prompt), default=None)


@dataclass(frozen=True)
class Continuations(Extra):
    """How pretrained models go on with the first tokens of a training text.

    Attributes:
        given: tokens that are given.
        count: texts.
    """

    given: int
    count: int

    def sections(self, outcome: Outcome) -> Sequence[Section]:
        """Return one table a preset: beginning, how the text goes on, how every arm does; also written to the runs."""
        found: list[Section] = []
        for study in outcome.plan.chosen():
            for preset in outcome.plan.presets:
                arms = [arm for arm in outcome.plan.arms(study) if outcome.folders(study, preset, arm.name)]
                if not arms:
                    continue
                made = [self._made(outcome.folders(study, preset, arm.name)[0]) for arm in arms]
                rows = [
                    (item.prompt, item.expected, *(f"{each[i].generated}{_end(each[i])}" for each in made))
                    for i, item in enumerate(made[0])
                ]
                columns = ("Given", "Truth", *(arm.name for arm in arms))
                found.append(Section(title=f"Continuations, {preset.value}", columns=columns, rows=rows, literal=True))
        return found

    def _made(self, folder: Path) -> list[Prediction]:
        return continued(RunFolder(folder), given=self.given, count=self.count)


def _end(item: Prediction) -> str:
    return "" if item.stopped else " …"


@dataclass(frozen=True)
class Analysis(Extra):
    """The embeddings of all arms and of the untrained model, read by `llm-jepa analyze`, for the first seed."""

    embeds = True

    def sections(self, outcome: Outcome) -> Sequence[Section]:
        """Analyse, and return a link to each page."""
        links: list[tuple[str, str]] = []
        for study in outcome.plan.chosen():
            for preset in outcome.plan.presets:
                folders = [
                    found[0] for arm in outcome.plan.arms(study) if (found := outcome.folders(study, preset, arm.name))
                ]
                if not folders:
                    continue
                folder = outcome.page(study, preset) / ANALYSIS
                if not _fresh(folder, folders):
                    base = untrained(_experiment(folders[0]), folder.parent / "untrained")
                    analyze([base, *map(str, folders), *_options(outcome, folder)])
                address = (folder / "analysis.html").relative_to(outcome.plan.pages).as_posix()
                links.append((f"{study.title}, {preset.value}", address))
        text = "Singular values, least-squares error, t-SNE, both losses, and what tells structure from collapse."
        return [Section(title="Analysis of the embeddings", text=(text,), links=links)] if links else []


def _options(outcome: Outcome, folder: Path) -> list[str]:
    return ["--output", str(folder), "--limit", str(READ), "--split", outcome.plan.scale.split]


def _fresh(folder: Path, runs: Sequence[Path]) -> bool:
    """Return whether the folder has an analysis of just these runs, made after they were finished."""
    path = folder / "analysis.json"
    if not path.is_file() or path.stat().st_mtime < max((run / RESULTS).stat().st_mtime for run in runs):
        return False
    models = json.loads(path.read_text(encoding="utf-8"))["models"]
    return [model["model"] for model in models[1:]] == list(map(str, runs))


def _experiment(folder: Path) -> Experiment:
    return read_experiment(RunFolder(folder).config)
