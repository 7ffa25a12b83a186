"""The loop of a sweep: look at what is there, say what is wanted, let the crew work, until nothing is left to do."""

import json
from collections.abc import Callable
from pathlib import Path

from llm_jepa.errors import UserError
from llm_jepa.experiments.experiment import Experiment
from llm_jepa.experiments.sweep.crew import Crew
from llm_jepa.experiments.sweep.folder import TABLE, publish
from llm_jepa.experiments.sweep.ledger import Ledger
from llm_jepa.experiments.sweep.plan import Plan, Trial
from llm_jepa.experiments.sweep.survey import Outcomes, Status, Survey, survey
from llm_jepa.experiments.sweep.table import remarks, settled_line, table_rows
from llm_jepa.experiments.sweep.trials import name_of
from llm_jepa.experiments.sweep.worker import News

_LOOK = 0.5

Watch = Callable[[Survey, Outcomes, list[News]], None]
"""Is shown where the sweep stands, and what is being done."""


class Drive:
    """A sweep under way in this process.

    Args:
        base: the config that all trials share; its output is the sweep's folder.
        plan: the plan.
        ledger: who works on what.
        say: is told every trial that is settled, and every choice, once.
    """

    def __init__(self, base: Experiment, plan: Plan, ledger: Ledger, *, say: Callable[[str], None]) -> None:
        self._base, self._plan, self._ledger, self._say = base, plan, ledger, say
        self._told: set[str] = set()
        self._names: dict[Trial, str] = {}

    def run(self, crew: Crew, watch: Watch) -> tuple[Survey, Outcomes]:
        """Work until every trial is settled, here or elsewhere; return where the sweep stands then.

        Raises:
            UserError: no choice is possible.
        """
        news: list[News] = []
        while True:
            self._ledger.take_over(spared=crew.signs())
            outcomes = self._ledger.outcomes()
            found = survey(self._plan, outcomes, parallel=crew.size)
            self._tell(found, outcomes)
            watch(found, outcomes, news)
            if found.stuck:
                raise UserError(found.stuck)
            if found.done:
                return found, outcomes
            self._ledger.add(found.trials)
            outcomes = self._ledger.outcomes()
            waiting = [trial for trial in found.trials if outcomes[trial].status is Status.waiting]
            for _ in waiting[: crew.size]:
                if not crew.give(waiting):
                    break
            news, dead = crew.watch(_LOOK)
            for sign in dead:
                claim = self._ledger.claimed_by(sign)
                if claim is not None:
                    self._ledger.killed(claim)

    def names(self, found: Survey, outcomes: Outcomes) -> dict[Trial, str]:
        """Return the folder of every trial."""
        for trial in (*found.trials, *outcomes):
            if trial not in self._names:
                self._names[trial] = name_of(self._base, trial)
        return self._names

    def _tell(self, found: Survey, outcomes: Outcomes) -> None:
        """Say what is new, and write the table if anything is."""
        lines = [settled_line(trial, outcome, self._plan) for trial, outcome in outcomes.items() if outcome.settled]
        lines += [f"chosen    {choice.what}: {choice.reason}" for choice in found.choices]
        new = [line for line in lines if line not in self._told]
        for line in new:
            self._say(line)
        self._told.update(new)
        if new or found.done or found.stuck:
            self._write(found, outcomes)

    def _write(self, found: Survey, outcomes: Outcomes) -> None:
        names = self.names(found, outcomes)
        described = {
            "protocol": self._plan.protocol.name,
            "budget": self._plan.budget.name,
            "done": found.done,
            "remarks": remarks(found, outcomes, names, self._plan),
            "trials": table_rows(found, outcomes, names, self._plan),
        }
        publish(Path(self._base.output) / TABLE, json.dumps(described, indent=2, ensure_ascii=False) + "\n")
