"""What a sweep tells: the table of all trials, the tables on the screen, and the sentences of the report."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from llm_jepa.experiments.results.collected import PLAIN
from llm_jepa.experiments.results.measures import ABSENT, counted, percent
from llm_jepa.experiments.sweep.plan import Budget, Plan, Protocol, Trial
from llm_jepa.experiments.sweep.survey import Outcome, Outcomes, Stage, Status, Survey, named
from llm_jepa.tasks.task import TEST, VALIDATION

_PROTOCOLS = {
    Protocol.validation: "Settings were chosen on the validation rows; the test rows had no part in any choice.",
    Protocol.paper: (
        "SETTINGS WERE CHOSEN ON THE TEST ROWS, as the paper did: the best of several is high there by chance too, and "
        "neither the gain nor the p-values below allow for it."
    ),
}
_BUDGETS = {
    Budget.paper: "That is the paper's budget; `--budget equal` gives plain training as many.",
    Budget.equal: "The budgets are equal.",
}
_WAITING = Outcome(status=Status.waiting)


def table_rows(found: Survey, outcomes: Outcomes, names: Mapping[Trial, str], plan: Plan) -> list[dict[str, Any]]:
    """Return one row for every trial that is wanted by now, and every other one that was begun.

    Accuracy on other rows than those of the protocol is told for the chosen arms only, so that nobody chooses by it.

    Args:
        found: where the sweep stands.
        outcomes: what became of the trials.
        names: the folder of every trial.
        plan: the plan.
    """
    rows: list[dict[str, Any]] = []
    chosen = set(found.arms.values())
    for trial in dict.fromkeys((*found.trials, *outcomes)):
        outcome = outcomes.get(trial, _WAITING)
        told = (VALIDATION, TEST) if trial in found.final else (plan.protocol.value,)
        rows.append(
            {
                "folder": names[trial],
                "stages": [stage.name for stage in found.stages if trial in stage.trials],
                "status": outcome.status.value,
                **asdict(trial.setting),
                "seed": trial.seed,
                **{split: outcome.accuracy.get(split) if split in told else None for split in (VALIDATION, TEST)},
                "chosen": trial.setting in chosen,
                "seconds": outcome.seconds,
                "flops": outcome.flops,
                "sentence": outcome.sentence,
            }
        )
    return rows


def remarks(found: Survey, outcomes: Outcomes, names: Mapping[Trial, str], plan: Plan) -> list[str]:
    """Return what readers must know: on which rows choices were made, why, at which cost, and what failed."""
    said = [_PROTOCOLS[plan.protocol]]
    said += [f"Chosen {choice.what}: {choice.reason}." for choice in found.choices]
    if found.arms:
        tuned = (len(plan.rates) + len(plan.extra_rates)) * plan.search_seeds
        said.append(
            f"Plain training was tuned with {counted(tuned, 'run')}; the JEPA arm's setting rests on as much as "
            f"{plan.jepa_cost:g} whole runs. {_BUDGETS[plan.budget]}"
        )
    failed = [trial for trial in found.trials if outcomes.get(trial, _WAITING).status is Status.failed]
    for trial in failed:
        said.append(f"Failed: {_title(trial)} ({names[trial]}): {outcomes[trial].sentence}")
    return said


def stage_table(stage: Stage, outcomes: Outcomes, plan: Plan, *, chosen: Sequence[Trial]) -> Table:
    """Return the table of a stage for the screen: one row a trial, the best of the protocol's rows first."""
    split = plan.protocol.value
    shown = Table(title=f"Stage: {stage.name}", title_justify="left", box=SIMPLE_HEAD)
    for column in ("arm", "rate", "k", "weight", "seed", f"{split} %", "minutes", "PFLOPs", ""):
        shown.add_column(column, justify="left" if column in ("arm", "") else "right")
    order = sorted(stage.trials, key=lambda trial: -outcomes.get(trial, _WAITING).accuracy.get(split, -1.0))
    for trial in order:
        outcome, setting = outcomes.get(trial, _WAITING), trial.setting
        plain = setting.arm == PLAIN
        mark = "chosen" if trial in chosen else "" if outcome.status is Status.finished else outcome.status.value
        cells = [
            setting.arm,
            f"{setting.learning_rate:g}",
            ABSENT if plain else str(setting.k),
            ABSENT if plain else f"{setting.weight:g}",
            str(trial.seed),
            _cell(outcome.accuracy.get(split), 100, ".1f"),
            _cell(outcome.seconds, 1 / 60, ".1f"),
            _cell(outcome.flops, 1e-15, ".3g"),
            f"{mark} {outcome.sentence[:60]}".strip(),
        ]
        shown.add_row(*map(Text, cells))
    return shown


def settled_line(trial: Trial, outcome: Outcome, plan: Plan) -> str:
    """Return the line that tells what became of a trial."""
    if outcome.status is Status.failed:
        return f"failed    {_title(trial)}: {outcome.sentence}"
    score = outcome.accuracy.get(plan.protocol.value)
    return f"finished  {_title(trial)}: {ABSENT if score is None else percent(score)} on the {plan.protocol.value} rows"


def _title(trial: Trial) -> str:
    return f"{trial.setting.arm}, {named(trial.setting)}, seed {trial.seed}"


def _cell(value: float | None, factor: float, form: str) -> str:
    return ABSENT if value is None else format(factor * value, form)
