"""Compute-matched comparison: every arm is trained for as many operations as plain training of the same seed.

A step with the JEPA term costs more, so at equal epochs LLM-JEPA has computed more (the paper compares "at the same PFLOPs"
in section 5.2). Here the other arms take as many steps as plain training paid for, with the learning rate's schedule laid
out for them: fewer epochs, the same operations within a step.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from llm_jepa.errors import UserError
from llm_jepa.experiments.experiment import Experiment
from llm_jepa.experiments.files import RunFolder
from llm_jepa.experiments.pool import Job


def matched(jobs: Sequence[Job], plain: Sequence[Job]) -> list[Job]:
    """Return the jobs with the operations that finished plain runs of the same seeds took.

    Args:
        jobs: of the other arms.
        plain: finished.

    Raises:
        UserError: an arm has a limit of its own.
    """
    flops = {job.experiment.seed: _flops(job) for job in plain}
    return [replace(job, experiment=_limited(job, flops[job.experiment.seed])) for job in jobs]


def _limited(job: Job, flops: float) -> Experiment:
    own = job.experiment
    if own.max_flops is not None:
        raise UserError(f"arm '{job.arm}' has a max_flops of its own, which --match_compute would replace; leave one out")
    training = {name: value for name, value in own.training.items() if name != "max_steps"}
    return replace(own, training=training, max_flops=flops)


def _flops(job: Job) -> float:
    results = RunFolder(Path(job.experiment.output)).results
    return float(json.loads(results.read_text(encoding="utf-8"))["flops"])
