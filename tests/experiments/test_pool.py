"""A run that a command asked for does not depend on whether the command still listens."""

from pathlib import Path
from typing import Any

import pytest
from tests.experiments.small_runs import experiment

from llm_jepa.experiments import pool
from llm_jepa.experiments.pool import Job
from llm_jepa.experiments.show import Show
from llm_jepa.model.load import ModelConfig
from llm_jepa.training.deadline import NEVER

STEPS = 10


class Gone:
    """A queue whose other end was killed."""

    def __init__(self, error: type[Exception]) -> None:
        self._error = error

    def put(self, news: object) -> None:
        del news
        raise self._error


@pytest.mark.parametrize("error", [BrokenPipeError, ConnectionRefusedError, EOFError])
def test_a_run_goes_on_when_nobody_hears_of_it(error: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    steps: list[int] = []

    def run(described: object, *, show: Show, **options: Any) -> None:
        for step in range(1, STEPS + 1):
            show.train(step, STEPS, {"loss": 1.0})
            steps.append(step)
        show.evaluate(1, 2)

    monkeypatch.setattr(pool, "run_experiment", run)
    job = Job(arm="plain", experiment=experiment(tmp_path / "run", tmp_path / "rows.jsonl", ModelConfig(name="base")))
    pool._work(job, Gone(error), NEVER, NEVER)
    assert steps == list(range(1, STEPS + 1))
