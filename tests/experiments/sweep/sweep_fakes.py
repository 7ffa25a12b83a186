"""A stand-in for training: a run that writes what a run leaves behind, with an accuracy that its settings say."""

import json
import os
import time
from pathlib import Path

from llm_jepa.errors import UserError
from llm_jepa.experiments.config import dump_experiment
from llm_jepa.experiments.experiment import Data, Experiment
from llm_jepa.experiments.show import Show
from llm_jepa.model.load import ModelConfig

ROWS = 1000


def experiment(output: Path, **data: str | int) -> Experiment:
    """A config whose data and model are never read."""
    return Experiment(
        output=str(output),
        model=ModelConfig(name="none"),
        data=Data(**{"train": "train.jsonl", "validation": "validation.jsonl", "test": "test.jsonl"} | data),  # pyright: ignore
        training={"num_train_epochs": 4, "use_cpu": True},
    )


def accuracies(run: Experiment) -> tuple[float, float]:
    """Accuracy on validation and test rows, which disagree on what is best: validation likes a learning rate of 4e-5, k 3
    and weight 2; test likes the smallest learning rate, k 0 and weight 0.5. Shorter trainings score less."""
    rate, weight, k = float(run.training["learning_rate"]), run.objective.weight, run.layout.k
    epochs = float(run.training.get("num_train_epochs", 4))
    jepa = 0.01 * (k - 2 * abs(k - 3)) - 0.01 * abs(weight - 2) if weight else 0.0
    validation = 0.5 - 1000 * abs(rate - 4e-5) + jepa - 0.05 * (4 - epochs) + 0.001 * (run.seed % 7)
    test = 0.6 - 1000 * rate - (0.02 * k + 0.01 * weight if weight else 0.0) + 0.0005 * (run.seed % 5)
    return round(validation, 6), round(test, 6)


def fake_run(run: Experiment, arm: str, show: Show) -> None:
    """Write a run folder; every run leaves a line in `counter.txt`, to see how often it was run."""
    folder = Path(run.output)
    if (folder / "results.json").exists():
        return
    root = folder.parents[1]
    with (root.parent / "counter.txt").open("a") as file:
        file.write(f"{folder.name} {arm} {os.getpid()}\n")
    show.train(1, 2, {})
    time.sleep(float(os.environ.get("FAKE_SECONDS", "0")))
    _fail(run, root)
    validation, test = accuracies(run)
    row = {"arm": arm, "seed": run.seed, "split": "test", "examples": ROWS, "exact": test, "weight": run.objective.weight}
    row |= {"k": run.layout.k, "seconds": 60.0, "flops": 2e15, "validation": {"exact": validation}}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(dump_experiment(run))
    (folder / "results.json").write_text(json.dumps(row))


def _fail(run: Experiment, root: Path) -> None:
    """Fail as `broken.json` beside the sweep's folder says, by weight."""
    broken = root.parent / "broken.json"
    kind = json.loads(broken.read_text()).get(f"{run.objective.weight:g}") if broken.exists() else None
    if kind == "user":
        raise UserError("data.train: no rows")
    if kind == "error":
        raise RuntimeError("CUDA out of memory")
    if kind == "killed":
        os._exit(9)


def counted(folder: Path) -> list[str]:
    """The folders that were run, once for every time."""
    path = folder / "counter.txt"
    return [line.split()[0] for line in path.read_text().splitlines()] if path.exists() else []
