"""How large a recipe is made: as in the paper, or tiny, which runs all of it in minutes on a CPU and shows that it works.

The tiny scale keeps the recipe: its arms, presets, epochs, weights, k and measures. It replaces the model by a small
one of the same
architecture with random weights, takes few rows, and says so on the page.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llm_jepa.experiments.experiment import NL_REGEX
from llm_jepa.experiments.presets import LAST_TOKEN, Preset
from llm_jepa.recipes.recipe import Recipe, Study, Variant, starts
from llm_jepa.recipes.stand_in import write_stand_in
from llm_jepa.tasks.registry import TASKS
from llm_jepa.tasks.sources import local_file
from llm_jepa.tasks.task import TEST, TRAIN

BATCH = {"training.per_device_train_batch_size": 32, "training.gradient_accumulation_steps": 4}
"""128 rows a step, as in the paper, in four micro-batches, whose number matters under `paper_code`."""

SMALL_BATCH = {
    Preset.correct: {"training.per_device_train_batch_size": 16},
    Preset.paper_code: {"training.per_device_train_batch_size": 4, "training.gradient_accumulation_steps": 4},
}
"""16 rows a step; in four micro-batches where their number matters."""

RANK, NL_RX = "model.lora.rank", "nl_rx_"


class Scale(ABC):
    """What a scale makes of a recipe.

    Attributes:
        name: what the command line calls it.
        seeds: how many of the recipe's seeds; None: all.
        gpu: it is meant for an accelerator.
        split: rows that analyses of embeddings read.
    """

    name: str
    seeds: int | None = None
    gpu: bool = True
    split: str = TEST

    @abstractmethod
    def settings(self, study: Study, given: Mapping[str, Any], preset: Preset, place: "Place") -> dict[str, Any]:
        """Return the config's fields of a run from those of the recipe."""

    @abstractmethod
    def changes(self, recipe: Recipe, place: "Place") -> tuple[str, ...]:
        """Return a sentence for each thing that is smaller than in the paper, or not its own."""

    def arms(self, recipe: Recipe, study: Study) -> tuple[Variant, ...]:
        """Return the arms that are trained."""
        del recipe
        return study.arms


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where files are.

    Attributes:
        root: folder of all runs and pages.
        data: where the files of data lie; None: they come from the hub and the public repositories.
    """

    root: Path
    data: Path | None = None

    @property
    def stand_in(self) -> Path:
        """Folder of the rows that are made up."""
        return self.root / "stand-in"


class Paper(Scale):
    """As in the paper."""

    name = "paper"

    def settings(self, study: Study, given: Mapping[str, Any], preset: Preset, place: Place) -> dict[str, Any]:
        """Return the recipe's fields with the paper's batch; checkpoints are written on interruption alone."""
        del study, preset
        folder = {} if place.data is None else {"data.folder": str(place.data)}
        return {**BATCH, "training.save_strategy": "no", **folder, **given}

    def changes(self, recipe: Recipe, place: Place) -> tuple[str, ...]:
        """Return nothing: `Recipe.deviations` has what differs."""
        del recipe, place
        return ()


@dataclass(frozen=True)
class Tiny(Scale):
    """A small model of the same architecture, few rows, two seeds.

    Attributes:
        rows: training rows.
        test_rows: test rows.
        vocabulary: tokens.
        answer: longest answer, in tokens.
        steps: optimizer steps; None: the recipe's epochs.
    """

    rows: int = 128
    test_rows: int = 16
    vocabulary: int = 512
    answer: int = 32
    steps: int | None = None

    name = "tiny"
    seeds = 2
    gpu = False
    split = TRAIN

    def settings(self, study: Study, given: Mapping[str, Any], preset: Preset, place: Place) -> dict[str, Any]:
        """Return the recipe's fields made small."""
        dropped = (
            "model.name",
            "model.tokenizer",
            "model.config",
            "data.validation_size",
            "training.gradient_checkpointing",
        )
        found = {name: value for name, value in given.items() if name not in dropped}
        found |= {
            "model.config": dict(study.model.tiny),
            "model.vocabulary": self.vocabulary,
            **SMALL_BATCH[preset],
            "training.learning_rate": 3e-3,
            "training.save_strategy": "no",
            "training.logging_steps": 2,
            "training.use_cpu": True,
            "evaluation.max_new_tokens": self.answer,
            "evaluation.batch_size": 16,
            "data.limit": self.rows,
            "data.eval_limit": self.test_rows,
            **self._data(study, place),
        }
        if RANK in found:
            found[RANK] = max(1, found[RANK] // 16)
        if preset is Preset.paper_code:
            found[LAST_TOKEN] = -1
        if self.steps is not None:
            found["training.max_steps"] = self.steps
        return found

    def changes(self, recipe: Recipe, place: Place) -> tuple[str, ...]:
        """Return what is small, and what stands in for the data."""
        said = [
            f"Every model is a small one of the same architecture with random weights (about 0.4 million parameters), a "
            f"tokenizer of {self.vocabulary} tokens trained on the rows, and learning rate 3e-3.",
            f"{self.rows} training rows, {self.test_rows} test rows, 16 rows a step, answers of at most {self.answer} "
            "tokens, and two seeds unless others are named.",
            "The small tokenizer has a pad token of its own, so the stop token is trained under paper_code too, which "
            "for Llama and OpenELM it is not.",
        ]
        arms = [arm for study in recipe.studies for arm in study.arms]
        if any(extra.embeds for extra in recipe.extras):
            said.append(f"Embeddings are read on the {self.rows} training rows.")
        if any(RANK in arm.overrides for arm in arms):
            said.append("LoRA ranks are a sixteenth of the paper's.")
        if recipe.small is not None:
            kept = sum(len(self.arms(recipe, study)) for study in recipe.studies)
            said.append(f"Of {len(arms)} arms {kept} are trained.")
        tasks = {study.rows.task for study in (*starts(recipe.studies), *recipe.studies)}
        absent = sorted(task for task in tasks if not _on_disk(task, place))
        if any(task.startswith(NL_RX) for task in absent):
            said.append("Rows of NL-RX come from the embedded generator of the same grammar, not from the data set.")
        made_up = [TASKS[task].title for task in absent if not task.startswith(NL_RX)]
        if made_up:
            said.append(
                f"Rows of {', '.join(made_up)} are made up: a stand-in in the data set's format, with nothing of its "
                "content."
            )
        return tuple(said)

    def arms(self, recipe: Recipe, study: Study) -> tuple[Variant, ...]:
        """Return the arms that the recipe keeps."""
        return tuple(arm for arm in study.arms if recipe.small is None or arm.name in recipe.small)

    def _data(self, study: Study, place: Place) -> dict[str, Any]:
        task = study.rows.task
        if place.data is not None and _on_disk(task, place):
            return {"data.train": task, "data.folder": str(place.data), "data.validation_size": 0}
        if task.startswith(NL_RX):
            return {"data.train": NL_REGEX}
        folder = write_stand_in(task, place.stand_in)
        return {"data.train": task, "data.folder": str(folder), "data.validation_size": 0}


def _on_disk(task: str, place: Place) -> bool:
    """Return whether the files of a task's own splits lie in the folder of data."""
    folder, splits = place.data, TASKS[task].splits
    if folder is None:
        return False
    return all(local_file(splits[name], folder) is not None for name in (TRAIN, TEST) if name in splits)


SCALES: Mapping[str, Scale] = {"paper": Paper(), "tiny": Tiny()}
"""The scales that the command line knows."""
