"""What `llm-jepa analyze` is given -> models, and how the views are to be read with each.

A run is read as it was trained: its layout, its rendering, its [PRED] tokens. Any other model is read as the first run, so
that "before" and "after" are comparable, but without [PRED], which it lacks, and one view a row, as any architecture can.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from llm_jepa.errors import UserError
from llm_jepa.experiments.config import read_experiment
from llm_jepa.experiments.experiment import NL_REGEX, Data, Experiment, Packing
from llm_jepa.experiments.files import RunFolder
from llm_jepa.experiments.report.differences import visible
from llm_jepa.model.load import ModelConfig
from llm_jepa.packing.layout import Layout

LONGEST = 36
"""Characters of a label; of a longer name the end is shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A model, and how it is read.

    Attributes:
        name: as it was given.
        label: what tables and figures call it; no other subject has the same.
        experiment: where the weights are, and how views become segments.
        run: the folder of the run that trained it; None for any other model.
        remark: a sentence on how it is read, where that is not as it was trained; else empty.
    """

    name: str
    label: str
    experiment: Experiment
    run: RunFolder | None = None
    remark: str = ""


def subjects(names: Sequence[str], *, trusted: bool = False) -> tuple[Subject, ...]:
    """Return what the names stand for, in their order: run folders, model folders, names on the hub, .gguf files.

    Args:
        names: of the models.
        trusted: code that a run folder names may be run.

    Raises:
        UserError: a name is given twice, or a run has no model yet, a damaged config, or code that is not trusted.
    """
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UserError(f"'{twice}' is given twice; give every model once")
    runs = {name: run for name in names if (run := finished_run(name)) is not None}
    trained = {name: read_experiment(run.config, trusted=trusted) for name, run in runs.items()}
    first = next(iter(trained.values()), None)
    labels = _labels(names, list(runs))
    return tuple(
        _of_run(name, labels[name], trained[name], runs[name]) if name in runs else _of_model(name, labels[name], first)
        for name in names
    )


def _check_place(name: str) -> None:
    """Refuse a path where nothing is, before anything is read; what may be a name on the hub passes.

    Raises:
        UserError: there is nothing, and it is no name on the hub: those are `name` or `owner/name`.
    """
    path = Path(name)
    local = name.startswith((".", "/", "~")) or len(path.parts) > 2 or path.suffix == ".gguf"
    beside = len(path.parts) > 1 and path.parent.is_dir()
    if (local or beside) and not path.exists():
        raise UserError(f"there is nothing at '{name}'; give a run's folder, a model's folder, or a name on the hub")


def finished_run(name: str) -> RunFolder | None:
    """Return the run of a folder, or of the `model` inside a run's folder that is not there; None where it is no run.

    Raises:
        UserError: the run has no model yet, or the name is a path where nothing is.
    """
    path = Path(name)
    if path.name == "model" and not path.exists() and RunFolder(path.parent).config.is_file():
        return finished_run(str(path.parent))
    _check_place(name)
    run = RunFolder(path)
    if not run.config.is_file():
        return None
    if not (run.model / "config.json").is_file():
        other = f", or take what `llm-jepa export {name} FOLDER` writes" if run.latest_checkpoint() else ""
        raise UserError(f"the run '{name}' is not finished and has no model yet; give its train command again{other}")
    return run


def exported(model: ModelConfig, run: RunFolder) -> ModelConfig:
    """Return how to load the model that a run wrote."""
    own = dict.fromkeys(("config", "gguf", "revision", "tokenizer", "template", "lora"))
    return replace(model, name=str(run.model), **own)


def _of_run(name: str, label: str, experiment: Experiment, run: RunFolder) -> Subject:
    layout, remark = experiment.layout, ""
    if experiment.model.slots(layout.k) and not run.predictor.is_file():
        remark = f"{label}: its folder has no {run.predictor.name}, so it is read without its [PRED] tokens."
        layout = replace(layout, k=0)
    read = replace(experiment, model=exported(experiment.model, run), layout=layout)
    return Subject(name=name, label=label, experiment=read, run=run, remark=remark)


def _of_model(name: str, label: str, first: Experiment | None) -> Subject:
    if first is None:
        alone = Experiment(output="", model=ModelConfig(name=name), data=Data(train=NL_REGEX), layout=Layout(k=0))
        experiment = replace(alone, packing=Packing(one_forward=False))
    else:
        shared = {"template": first.model.template, "dtype": first.model.dtype, **first.model.rendering}
        shared["template_arguments"] = shared.pop("arguments")
        experiment = replace(
            first,
            model=ModelConfig(name=name, **shared),
            layout=replace(first.layout, k=0),
            packing=replace(first.packing, one_forward=False),
        )
    remark = f"{label}: no run, so it has no [PRED] tokens, and Enc(Text) stands for the prediction."
    return Subject(name=name, label=label, experiment=experiment, remark=remark)


def _labels(names: Sequence[str], runs: Sequence[str]) -> dict[str, str]:
    """Return a label for each name: of several runs their paths below what they share, else the name itself."""
    folders = {name: Path(name).resolve() for name in runs} if len(runs) > 1 else {}
    shared = common_parent([*folders.values()]) if folders else Path()
    full = {name: folder.relative_to(shared).as_posix() for name, folder in folders.items()}
    shown = {name: visible(full.get(name, name)) for name in names}
    if len(set(shown.values())) < len(shown):
        shown = {name: visible(name) for name in names}
    short = {name: text if len(text) <= LONGEST else f"…{text[1 - LONGEST :]}" for name, text in shown.items()}
    if len(set(short.values())) == len(short):
        return short
    return {name: f"{index}: {text}" for index, (name, text) in enumerate(short.items(), start=1)}


def common_parent(folders: Sequence[Path]) -> Path:
    """Return the deepest folder that holds all folders."""
    return Path(os.path.commonpath([folder.resolve().parent for folder in folders]))
