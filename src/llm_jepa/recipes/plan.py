"""Recipe, scale and options -> the runs to make, stage by stage; recipes with the same run share its folder."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from llm_jepa.errors import UserError, nearest
from llm_jepa.experiments.compare.arms import Arm, arm_experiment
from llm_jepa.experiments.experiment import Experiment
from llm_jepa.experiments.pool import Job
from llm_jepa.experiments.presets import Preset
from llm_jepa.recipes.recipe import Recipe, Study, Variant, starts
from llm_jepa.recipes.scales import Place, Scale

RUNS = "runs"
STAGE = 1000
"""A run of a second stage has the number first seed x 1000 + second seed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned(Job):
    """A run of a recipe.

    Attributes:
        place: its study and preset, for the screen.
    """

    place: str

    @property
    def title(self) -> str:
        """How the run is called on the screen."""
        return f"{self.place}: {Path(self.experiment.output).parent.name}, seed {self.experiment.seed}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All that a call of `llm-jepa reproduce` is about.

    Attributes:
        recipe: the table or figure.
        scale: how large it is made.
        place: where files are.
        presets: sets of options to train with.
        seeds: one run of every arm for each.
        only: names or kinds of arms; empty: all.
        studies: names of studies; empty: all.
    """

    recipe: Recipe
    scale: Scale
    place: Place
    presets: tuple[Preset, ...] = (Preset.correct, Preset.paper_code)
    seeds: tuple[int, ...]
    only: tuple[str, ...] = ()
    studies: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check the names.

        Raises:
            UserError: there is no such arm or study.
        """
        arms = [arm for study in self.recipe.studies for arm in self.scale.arms(self.recipe, study)]
        known = list(dict.fromkeys([*(arm.kind for arm in arms), *(arm.name for arm in arms)]))
        _check("--only", "arm", self.only, known)
        _check("--studies", "study", self.studies, [study.name for study in self.recipe.studies])

    @property
    def pages(self) -> Path:
        """Folder of the recipe's pages."""
        return self.place.root / self.recipe.name

    def chosen(self) -> tuple[Study, ...]:
        """Return the studies that are wanted."""
        return tuple(study for study in self.recipe.studies if not self.studies or study.name in self.studies)

    def arms(self, study: Study) -> tuple[Variant, ...]:
        """Return the arms of a study that are wanted."""
        kept = self.scale.arms(self.recipe, study)
        return tuple(arm for arm in kept if not self.only or arm.name in self.only or arm.kind in self.only)

    def folder(self, study: Study, preset: Preset, arm: Variant | Arm) -> Path:
        """Return where the runs of an arm are."""
        return self.place.root / RUNS / study.name / preset.value / arm.folder

    def stages(self) -> Iterator[tuple[Planned, ...]]:
        """Yield the runs that can be made at the same time, those that others start from first; seed by seed."""
        chosen = self.chosen()
        for studies in (starts(chosen), chosen):
            if studies:
                yield tuple(self._runs(studies))

    def described(self, study: Study, arm: Variant, preset: Preset) -> Experiment:
        """Return an arm's experiment, without output and seed.

        Raises:
            UserError: a setting is refused.
        """
        given = {**study.settings, **arm.overrides}
        settings = self.scale.settings(study, given, preset, self.place)
        return arm_experiment([f"--preset={preset.value}", f"--output={self.place.root}"], Arm(arm.name, settings))

    def _runs(self, studies: Sequence[Study]) -> Iterator[Planned]:
        described = [
            (study, preset, arm, self.described(study, arm, preset))
            for study in studies
            for preset in self.presets
            for arm in self.arms(study)
        ]
        for seed in self.seeds:
            for study, preset, arm, experiment in described:
                folder = self.folder(study, preset, arm)
                place = preset.value if len(studies) == 1 else f"{study.name}, {preset.value}"
                for each in self._seeded(study, preset, arm, experiment, seed):
                    output = str(folder / f"seed-{each.seed}")
                    yield Planned(arm=arm.kind, experiment=replace(each, output=output), place=place)

    def _seeded(self, study: Study, preset: Preset, arm: Variant, experiment: Experiment, seed: int) -> Iterator[Experiment]:
        """Yield the runs of one seed: one, or one for every second seed, from the model that the first seed gave."""
        if study.pretrained is None:
            yield replace(experiment, seed=seed)
            return
        start = self.folder(study.pretrained, preset, arm) / f"seed-{seed}" / "model"
        model = replace(experiment.model, name=str(start), config=None, tokenizer=None)
        for second in self.seeds:
            yield replace(experiment, model=model, seed=STAGE * seed + second)


def _check(option: str, noun: str, given: Sequence[str], known: Sequence[str]) -> None:
    for name in given:
        if name not in known:
            raise UserError(f"{option}: there is no {noun} '{name}'{nearest(name, known)}; there are {', '.join(known)}")
