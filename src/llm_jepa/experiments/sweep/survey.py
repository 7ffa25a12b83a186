"""What finished trials say: which choices follow, and which trials come next. Pure functions of plan and outcomes.

A sweep has no other state, so that it continues from any point, in any number of processes, by looking at what is there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from statistics import fmean

from llm_jepa.experiments.results.collected import JEPA, PLAIN, SHUFFLED
from llm_jepa.experiments.results.measures import percent
from llm_jepa.experiments.sweep.plan import Plan, Setting, Trial
from llm_jepa.experiments.sweep.tpe import propose


class Status(Enum):
    """How far a trial is; a trial that a killed process left counts as waiting."""

    waiting = "waiting"
    running = "running"
    finished = "finished"
    failed = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a trial.

    Attributes:
        status: how far it is.
        accuracy: by the name of the split, shares in 0..1.
        seconds: duration of its training.
        flops: floating-point operations of its training.
        sentence: why it failed; empty where it did not.
    """

    status: Status
    accuracy: Mapping[str, float] = field(default_factory=dict[str, float])
    seconds: float | None = None
    flops: float | None = None
    sentence: str = ""

    @property
    def settled(self) -> bool:
        """Whether it is finished or has failed."""
        return self.status in (Status.finished, Status.failed)


Outcomes = Mapping[Trial, Outcome]
"""What became of every trial that was begun, in the order in which they were planned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Trials that are compared with one another."""

    name: str
    trials: tuple[Trial, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A setting that was chosen.

    Attributes:
        what: what was chosen.
        setting: the best one.
        trials: the trials that are why.
        reason: the numbers that are why, one sentence without its stop.
    """

    what: str
    setting: Setting
    trials: tuple[Trial, ...]
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """Where a sweep stands.

    Attributes:
        stages: those that can be told by now, in order.
        choices: those made by now, in order.
        arms: the chosen settings by arm; empty before all choices are made.
        done: whether every trial is settled, and nothing comes after them.
        stuck: why no choice is possible; empty where one is.
    """

    stages: tuple[Stage, ...]
    choices: tuple[Choice, ...] = ()
    arms: Mapping[str, Setting] = field(default_factory=dict[str, Setting])
    done: bool = False
    stuck: str = ""

    @property
    def trials(self) -> tuple[Trial, ...]:
        """All trials that are wanted by now, each once, in order."""
        return tuple(dict.fromkeys(trial for stage in self.stages for trial in stage.trials))

    @property
    def final(self) -> tuple[Trial, ...]:
        """The trials of the chosen arms."""
        return self.stages[-1].trials if self.arms else ()


def survey(plan: Plan, outcomes: Outcomes, *, parallel: int = 1) -> Survey:
    """Say where a sweep stands.

    Args:
        plan: the plan.
        outcomes: what became of the trials.
        parallel: proposals of a sampled search that may be under way at a time.
    """
    stages: list[Stage] = []
    choices: list[Choice] = []
    try:
        arms = _advance(plan, outcomes, stages, choices, parallel=parallel)
    except _Stuck as error:
        return Survey(stages=tuple(stages), choices=tuple(choices), stuck=str(error))
    done = bool(arms) and _settled(stages[-1], outcomes)
    return Survey(stages=tuple(stages), choices=tuple(choices), arms=arms, done=done)


class _Stuck(Exception):
    """No choice is possible."""


def _advance(
    plan: Plan, outcomes: Outcomes, stages: list[Stage], choices: list[Choice], *, parallel: int
) -> dict[str, Setting]:
    """Append the stages and choices that can be told by now, and return the chosen settings by arm, if all are chosen.

    Raises:
        _Stuck: all trials of a stage failed, or none was scored on the rows of the protocol.
    """
    first = Stage(name="learning rate", trials=_spread([plan.plain(rate) for rate in plan.rates], plan.choosing))
    stages.append(first)
    if not _settled(first, outcomes):
        return {}
    choices.append(_choose(plan, first.trials, outcomes, what="learning rate"))
    plain = rate = choices[0].setting
    more = Stage(name="more learning rates", trials=_spread([*map(plan.plain, plan.extra_rates)], plan.choosing))
    if more.trials:
        stages.append(more)
        if _settled(more, outcomes):
            every = (*first.trials, *more.trials)
            choices.append(_choose(plan, every, outcomes, what="learning rate of plain training"))
            plain = choices[-1].setting
    whole = _grid(plan, outcomes, rate.learning_rate, stages, parallel=parallel)
    if whole is None or not _settled(whole, outcomes):
        return {}
    choices.append(_choose(plan, whole.trials, outcomes, what="k and weight"))
    if not _settled(more, outcomes):
        return {}
    jepa = choices[-1].setting
    arms = {PLAIN: plain, JEPA: jepa, SHUFFLED: replace(jepa, arm=SHUFFLED)}
    stages.append(Stage(name="chosen arms", trials=_spread([*arms.values()], plan.seeds)))
    return arms


def _spread(settings: Sequence[Setting], seeds: Sequence[int]) -> tuple[Trial, ...]:
    return tuple(Trial(setting=setting, seed=seed) for seed in seeds for setting in settings)


def _settled(stage: Stage, outcomes: Outcomes) -> bool:
    return all(trial in outcomes and outcomes[trial].settled for trial in stage.trials)


def _grid(plan: Plan, outcomes: Outcomes, rate: float, stages: list[Stage], *, parallel: int) -> Stage | None:
    """Append the stages of the search for k and weight; return that of the whole runs, if it can be told by now."""
    cells = set(plan.cells)
    if plan.search.first is not None:
        short = Stage(name="k and weight, short", trials=_first_rung(plan, outcomes, rate, parallel=parallel))
        stages.append(short)
        if len(short.trials) < plan.sampled or not _settled(short, outcomes):
            return None
        kept = _ranked(plan, short.trials, outcomes)[: plan.search.kept(plan.sampled)]
        cells = {(setting.k, setting.weight) for setting, _ in kept}
    settings = [plan.jepa(rate, cell) for cell in plan.cells if cell in cells]
    stages.append(Stage(name="k and weight", trials=_spread(settings, plan.choosing)))
    return stages[-1]


def _first_rung(plan: Plan, outcomes: Outcomes, rate: float, *, parallel: int) -> tuple[Trial, ...]:
    """Return the short trials: of all cells, or those begun and as many new proposals as may be under way."""
    fraction, seed = plan.search.first or 1.0, plan.seeds[0]
    every = {Trial(setting=plan.jepa(rate, cell, fraction=fraction), seed=seed): cell for cell in plan.cells}
    if not plan.search.sampled:
        return tuple(every)
    begun = [trial for trial in outcomes if trial in every]
    open_ones = sum(not outcomes[trial].settled for trial in begun)
    known = {every[trial]: score for trial in begun if (score := _score(plan, outcomes[trial])) is not None}
    tried = [every[trial] for trial in begun]
    while len(tried) < plan.sampled and open_ones < parallel:
        tried.append(propose(plan.cells, known, tried, seed=seed))
        open_ones += 1
    return tuple(Trial(setting=plan.jepa(rate, cell, fraction=fraction), seed=seed) for cell in tried)


def _score(plan: Plan, outcome: Outcome) -> float | None:
    return outcome.accuracy.get(plan.protocol.value) if outcome.status is Status.finished else None


def _ranked(plan: Plan, trials: Sequence[Trial], outcomes: Outcomes) -> list[tuple[Setting, float]]:
    """Return the settings that were scored on all their seeds, the best first; of equal ones the first that was planned.

    Raises:
        _Stuck: there is none.
    """
    scores: dict[Setting, list[float | None]] = {}
    for trial in trials:
        scores.setdefault(trial.setting, []).append(_score(plan, outcomes[trial]))
    known = {
        setting: fmean(found)
        for setting, values in scores.items()
        if len(found := [value for value in values if value is not None]) == len(values)
    }
    if not known:
        raise _Stuck(_no_choice(plan, trials, outcomes))
    return sorted(known.items(), key=lambda item: -item[1])


def _no_choice(plan: Plan, trials: Sequence[Trial], outcomes: Outcomes) -> str:
    failed = [outcomes[trial].sentence for trial in trials if outcomes[trial].status is Status.failed]
    if failed:
        return (
            f"no choice is possible: {len(failed)} of {len(trials)} trials of a stage failed, the first with: {failed[0]}; "
            "mend it and give `--retry_failed`"
        )
    split = plan.protocol.value
    return f"no choice is possible: the trials were not scored on {split} rows; set data.{split}"


def _choose(plan: Plan, trials: Sequence[Trial], outcomes: Outcomes, *, what: str) -> Choice:
    """Choose the setting with the highest mean accuracy over the seeds.

    Raises:
        _Stuck: there is none with an accuracy.
    """
    ranked = _ranked(plan, trials, outcomes)
    best, score = ranked[0]
    equal = sum(value == score for _, value in ranked[1:])
    parts = [f"{named(best)} scored {percent(score)} on the {plan.protocol.value} rows"]
    settings = len({trial.setting for trial in trials})
    place = f"the highest of {settings}" if settings > 1 else "the only one tried"
    parts.append(f"{place}{f', with {equal} equal to it of which it is the first' if equal else ''}")
    if len(ranked) > 1 and not equal:
        parts.append(f"the next is {named(ranked[1][0])} with {percent(ranked[1][1])}")
    if settings > len(ranked):
        parts.append(f"{settings - len(ranked)} failed and took no part")
    rates = sorted({trial.setting.learning_rate for trial in trials})
    if len(rates) > 1 and best.learning_rate in (rates[0], rates[-1]):
        end = "small" if best.learning_rate == rates[0] else "larg"
        parts.append(f"it is the {end}est tried, so a {end}er one may do better")
    why = tuple(trial for trial in trials if trial.setting == best)
    return Choice(what=what, setting=best, trials=why, reason="; ".join(parts))


def named(setting: Setting) -> str:
    """Return a setting in words.

    Example:
        >>> named(Setting(arm="plain", learning_rate=2e-05, k=1, weight=0.0))
        'learning rate 2e-05'
    """
    rate = f"learning rate {setting.learning_rate:g}"
    if not setting.weight:
        return rate
    short = "" if setting.fraction == 1 else f", {percent(setting.fraction)} of the training"
    return f"k {setting.k}, weight {setting.weight:g}, {rate}{short}"
