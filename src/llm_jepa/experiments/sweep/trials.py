"""A trial -> the experiment it is, the folder it lies in, and what its folder says afterwards.

The folder's name is a hash of the resolved config without output and seed, and the seed: the same trial has the same folder
whatever asked for it, so the run that was chosen is the run that is reported.
"""

import hashlib
import math
from dataclasses import replace
from pathlib import Path

from llm_jepa.experiments.config import dump_experiment
from llm_jepa.experiments.experiment import Experiment
from llm_jepa.experiments.files import RunFolder
from llm_jepa.experiments.results.collected import SHUFFLED
from llm_jepa.experiments.results.run_records import read_run
from llm_jepa.experiments.sweep.plan import Setting, Trial
from llm_jepa.experiments.sweep.survey import Outcome, Status
from llm_jepa.tasks.task import VALIDATION

TRIALS = "trials"
"""The folder of all runs, in that of the sweep."""
_HASH = 12


def experiment_of(base: Experiment, trial: Trial) -> Experiment:
    """Return the run of a trial; its output is the sweep's folder, the folder of trials, and its own name."""
    made = replace(_shared(base, trial.setting), seed=trial.seed)
    return replace(made, output=str(Path(base.output) / TRIALS / _name(made)))


def name_of(base: Experiment, trial: Trial) -> str:
    """Return the name of a trial's folder: `<hash>-seed-<seed>`."""
    return Path(experiment_of(base, trial).output).name


def outcome_of(run: RunFolder) -> Outcome:
    """Return what a finished run scored and cost.

    Raises:
        UserError: a file in its folder is corrupted.
    """
    found = read_run(run.results).results
    accuracy = {found.split: found.accuracy}
    if found.validation is not None:
        accuracy[VALIDATION] = found.validation
    return Outcome(status=Status.finished, accuracy=accuracy, seconds=found.seconds, flops=found.flops)


def _shared(base: Experiment, setting: Setting) -> Experiment:
    training = {**base.training, "learning_rate": setting.learning_rate, **_shortened(base, setting.fraction)}
    return replace(
        base,
        training=training,
        objective=replace(base.objective, weight=setting.weight),
        layout=replace(base.layout, k=setting.k),
        data=replace(base.data, shuffle_pairs=setting.arm == SHUFFLED),
    )


def _shortened(base: Experiment, fraction: float) -> dict[str, float]:
    """Return the extent of a shorter training; its learning rate decays within it."""
    if fraction == 1:
        return {}
    arguments = base.training_arguments(base.output)
    if arguments.max_steps > 0:
        return {"max_steps": max(1, math.ceil(fraction * arguments.max_steps))}
    return {"num_train_epochs": fraction * arguments.num_train_epochs}


def _name(experiment: Experiment) -> str:
    config = dump_experiment(replace(experiment, output="", seed=0))
    return f"{hashlib.sha256(config.encode()).hexdigest()[:_HASH]}-seed-{experiment.seed}"
