"""A trial that does not train: it takes a moment and writes what a run writes, with an accuracy that its settings say."""

import time
from pathlib import Path

from llm_jepa.durable import write
from llm_jepa.experiments.config import dump_experiment
from llm_jepa.experiments.experiment import Experiment
from llm_jepa.experiments.files import RunFolder, write_json
from llm_jepa.experiments.show import Show

PACE = 0.5
"""Seconds of a trial."""
CONFIG = {
    "model": {"name": "none"},
    "data": {"train": "train.jsonl", "validation": "validation.jsonl", "test": "test.jsonl"},
    "training": {"use_cpu": True},
}
"""Neither data nor model is read."""


def stand_in(run: Experiment, arm: str, show: Show) -> None:
    """Write the folder of a run, unless it is finished already."""
    folder = RunFolder(Path(run.output))
    if folder.results.exists():
        return
    show.train(1, 2, {})
    folder.root.mkdir(parents=True, exist_ok=True)
    write(folder.config, dump_experiment(run))
    time.sleep(PACE)
    # The accuracy tells all trials apart, so that another choice would be another table.
    accuracy = round(0.5 - 0.01 * abs(run.layout.k - 2) - 0.02 * run.objective.weight + 0.001 * (run.seed % 7), 6)
    row = {
        "arm": arm,
        "seed": run.seed,
        "split": "test",
        "examples": 1000,
        "exact": accuracy,
        "k": run.layout.k,
        "weight": run.objective.weight,
        "seconds": PACE,
        "flops": 2e15,
        "validation": {"exact": accuracy},
    }
    write_json(folder.results, row)
