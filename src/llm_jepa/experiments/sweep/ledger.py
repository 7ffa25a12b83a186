"""Who works on which trial, in a database of optuna's: several processes and machines share it, and no trial is run twice.

An entry is one attempt at a trial. It waits until a process claims it, which the database grants once; the process then
beats while it works. An entry whose process is dead is given up, and another attempt is added. What two processes add twice
counts once: of several entries for a trial the first one that was not given up is the trial's; the others are never claimed.
"""

import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from optuna.distributions import FloatDistribution
from optuna.exceptions import DuplicatedStudyError, StorageInternalError, UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from llm_jepa.errors import UserError
from llm_jepa.experiments.sweep.lifeline import Sign
from llm_jepa.experiments.sweep.plan import Setting, Trial
from llm_jepa.experiments.sweep.survey import Outcome, Outcomes, Status

GRACE = 120.0
"""Seconds without a beat after which a process that cannot be seen from here is taken for dead."""
ATTEMPTS = 3
"""How often a trial is begun whose process is killed while the sweep lives, before it counts as failed."""
_TRIES, _PAUSE, _PATIENCE = 5, 0.5, 60

_TRIAL, _CLAIM, _BEAT, _OUTCOME = "trial", "claim", "beat", "outcome"
_GIVEN_UP, _KILLED, _AGAIN = "given_up", "killed", "again"
_STATUS = {
    TrialState.WAITING: Status.waiting,
    TrialState.RUNNING: Status.running,
    TrialState.COMPLETE: Status.finished,
    TrialState.FAIL: Status.failed,
    TrialState.PRUNED: Status.failed,
}


@dataclass(frozen=True, slots=True)
class Claim:
    """An entry that a process works on.

    Attributes:
        trial: what it does.
        entry: the number of the entry.
    """

    trial: Trial
    entry: int


class Ledger:
    """The entries of one sweep.

    Args:
        url: of the database, as SQLAlchemy reads it: `sqlite:///sweep.db`, `postgresql://...`.
        name: of the sweep in the database.
        grace: see `GRACE`.

    Raises:
        UserError: the database cannot be opened.
    """

    def __init__(self, url: str, name: str, *, grace: float = GRACE) -> None:
        self._grace = grace
        self._beats: dict[int, tuple[int, float]] = {}
        self._storage = _opened(url)
        try:
            self._study = self._storage.create_new_study([StudyDirection.MAXIMIZE], name)
        except DuplicatedStudyError:
            self._study = self._storage.get_study_id_from_name(name)

    def add(self, trials: Sequence[Trial]) -> None:
        """Add an entry for every trial that has none, or only such as were given up."""
        found = self._entries()
        for trial in trials:
            if trial not in found or _given_up(found[trial]):
                self._append(trial)

    def outcomes(self) -> Outcomes:
        """Return what became of every trial, in the order of the first entries."""
        return {trial: _outcome(entry) for trial, entry in self._entries().items()}

    def claim(self, trials: Sequence[Trial], sign: Sign) -> Claim | None:
        """Claim the first of the trials that waits; None if none does.

        Args:
            trials: in the order in which they are wanted.
            sign: tells others whether this process lives.
        """
        found = self._entries()
        for trial in trials:
            entry = found.get(trial)
            if entry is None or entry.state is not TrialState.WAITING:
                continue
            number = self._id(entry)
            if self._storage.set_trial_state_values(number, TrialState.RUNNING):
                self._storage.set_trial_user_attr(number, _CLAIM, asdict(sign))
                return Claim(trial=trial, entry=number)
        return None

    def beat(self, claim: Claim, count: int) -> bool:
        """Say that the process of a claim lives; return whether the claim still holds."""
        try:
            self._storage.set_trial_user_attr(claim.entry, _BEAT, count)
        except UpdateFinishedTrialError:
            return False
        except StorageInternalError:  # a database that is out of reach for a moment; the next beat may come through
            return True
        return True

    def finish(self, claim: Claim, outcome: Outcome, *, score: float) -> None:
        """Record a finished trial, with the accuracy on which choices are made."""
        kept = {"accuracy": dict(outcome.accuracy), "seconds": outcome.seconds, "flops": outcome.flops}
        self._settle(claim.entry, _OUTCOME, kept, state=TrialState.COMPLETE, values=[score])

    def fail(self, claim: Claim, sentence: str) -> None:
        """Record a failed trial."""
        self._settle(claim.entry, _OUTCOME, {"sentence": sentence}, state=TrialState.FAIL)

    def give_up(self, claim: Claim) -> None:
        """Give a claim back, so that the trial is tried again."""
        self._settle(claim.entry, _GIVEN_UP, True, state=TrialState.FAIL)  # noqa: FBT003 - the value of an attribute

    def killed(self, claim: Claim) -> None:
        """Give a claim back whose process was killed; at the third time it is recorded as failed."""
        entries = [entry for entry in self._all() if _trial(entry) == claim.trial]
        begun = max((entry.number for entry in entries if _AGAIN in entry.user_attrs), default=0)
        times = 1 + sum(_KILLED in entry.user_attrs for entry in entries if entry.number >= begun)
        if times >= ATTEMPTS:
            self.fail(claim, f"its process was killed {times} times; most likely the memory is not enough")
            return
        with suppress(UpdateFinishedTrialError):  # another process was first
            self._storage.set_trial_user_attr(claim.entry, _KILLED, times)
        self.give_up(claim)

    def claimed_by(self, sign: Sign) -> Claim | None:
        """Return the claim that a process holds."""
        for trial, entry in self._entries().items():
            if entry.state is TrialState.RUNNING and _sign(entry) == sign:
                return Claim(trial=trial, entry=self._id(entry))
        return None

    def take_over(self, *, spared: Collection[Sign] = ()) -> None:
        """Give up the claims of dead processes: those whose lock is free, and those that have not beaten for long.

        Args:
            spared: processes that the caller looks after itself.
        """
        for trial, entry in self._entries().items():
            if entry.state is TrialState.RUNNING and _sign(entry) not in spared and self._is_dead(entry):
                self.give_up(Claim(trial=trial, entry=self._id(entry)))

    def retry_failed(self) -> int:
        """Add another attempt for every failed trial; return how many there are."""
        failed = [(trial, entry) for trial, entry in self._entries().items() if _outcome(entry).status is Status.failed]
        for trial, entry in failed:
            self._append(trial, **{_AGAIN: entry.number})
        return len(failed)

    def _append(self, trial: Trial, **attributes: Any) -> None:
        setting = trial.setting
        numbers: dict[str, float] = {"learning_rate": setting.learning_rate, "k": setting.k, "weight": setting.weight}
        made = create_trial(
            state=TrialState.WAITING,
            user_attrs={_TRIAL: {**asdict(setting), "seed": trial.seed}, **attributes},
            params=numbers,  # for whoever looks at the database; the attribute is what is read
            distributions={name: FloatDistribution(value, value) for name, value in numbers.items()},
        )
        self._storage.create_new_trial(self._study, made)

    def _settle(
        self, entry: int, name: str, value: Any, *, state: TrialState, values: Sequence[float] | None = None
    ) -> None:
        try:
            self._storage.set_trial_user_attr(entry, name, value)
            self._storage.set_trial_state_values(entry, state, values)
        except UpdateFinishedTrialError:
            return  # another process was first

    def _entries(self) -> dict[Trial, FrozenTrial]:
        """Return the entry that counts for every trial, in the order of the first ones."""
        found: dict[Trial, list[FrozenTrial]] = {}
        for entry in self._all():
            found.setdefault(_trial(entry), []).append(entry)
        return {trial: _counting(entries) for trial, entries in found.items()}

    def _all(self) -> list[FrozenTrial]:
        """Return all entries, in their order."""
        return sorted(self._storage.get_all_trials(self._study, deepcopy=False), key=lambda entry: entry.number)

    def _id(self, entry: FrozenTrial) -> int:
        return self._storage.get_trial_id_from_study_id_trial_number(self._study, entry.number)

    def _is_dead(self, entry: FrozenTrial) -> bool:
        sign = _sign(entry)
        alive = None if sign is None else sign.alive()
        if alive is not None:
            return not alive
        beat, now = int(entry.user_attrs.get(_BEAT, 0)), time.monotonic()
        before, since = self._beats.get(entry.number, (-1, now))
        if beat != before:
            self._beats[entry.number] = (beat, now)
        return beat == before and now - since > self._grace


def _opened(url: str) -> RDBStorage:
    """Open a database; two processes that make its tables at the same time hinder each other for a moment."""
    sqlite = url.startswith("sqlite")
    for attempt in range(1, _TRIES + 1):
        try:
            storage = RDBStorage(url, engine_kwargs={"connect_args": {"timeout": _PATIENCE}} if sqlite else {})
            if sqlite:
                _one_at_a_time(storage.engine)
            return storage
        except (DBAPIError, StorageInternalError) as error:
            if attempt == _TRIES:
                raise _refused(url, error) from error
            time.sleep(_PAUSE * attempt)
        except (SQLAlchemyError, ImportError, ValueError, RuntimeError) as error:
            raise _refused(url, error) from error
    raise AssertionError("every try returns or raises")


def _one_at_a_time(engine: Engine) -> None:
    """Let every transaction of SQLite wait for the one before: it ignores `SELECT ... FOR UPDATE`, on which claims rely."""

    def leave_to_us(connection: Any, record: Any) -> None:
        del record
        connection.isolation_level = None

    def lock(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    event.listen(engine, "connect", leave_to_us)
    event.listen(engine, "begin", lock)
    engine.dispose()


def _refused(url: str, error: Exception) -> UserError:
    said = " ".join(str(error).partition("[SQL:")[0].split())  # the statement says nothing to who gave the address
    return UserError(f"--storage: cannot open '{url.rpartition('@')[2]}' ({said[:200]})")


def _trial(entry: FrozenTrial) -> Trial:
    values = dict(entry.user_attrs[_TRIAL])
    seed = int(values.pop("seed"))
    return Trial(setting=Setting(**values), seed=seed)


def _given_up(entry: FrozenTrial) -> bool:
    return bool(entry.user_attrs.get(_GIVEN_UP)) and entry.state is not TrialState.COMPLETE


def _counting(entries: Sequence[FrozenTrial]) -> FrozenTrial:
    replaced = {entry.user_attrs.get(_AGAIN) for entry in entries}
    alive = [entry for entry in entries if not _given_up(entry) and entry.number not in replaced]
    return alive[0] if alive else entries[-1]


def _outcome(entry: FrozenTrial) -> Outcome:
    if _given_up(entry):
        return Outcome(status=Status.waiting)
    return Outcome(status=_STATUS[entry.state], **entry.user_attrs.get(_OUTCOME, {}))


def _sign(entry: FrozenTrial) -> Sign | None:
    kept = entry.user_attrs.get(_CLAIM)
    return None if kept is None else Sign(**kept)
