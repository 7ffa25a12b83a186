"""The ledger: every trial is claimed once, what a dead process left is taken over, and failures stay until a retry."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from llm_jepa.errors import UserError
from llm_jepa.experiments.sweep.ledger import Claim, Ledger
from llm_jepa.experiments.sweep.lifeline import Lifeline, Sign
from llm_jepa.experiments.sweep.plan import Plan, Trial
from llm_jepa.experiments.sweep.survey import Outcome, Status

TRIALS = [Trial(setting=Plan().jepa(2e-5, cell), seed=82) for cell in Plan().cells[:6]]
FINISHED = Outcome(status=Status.finished, accuracy={"validation": 0.5, "test": 0.4}, seconds=2.0, flops=1e15)
FAR = Sign(path="/nowhere", kernel="another machine")


def ledger(folder: Path, *, grace: float = 60.0, name: str = "sweep") -> Ledger:
    return Ledger(f"sqlite:///{folder / 'sweep.db'}", name, grace=grace)


def claimed(one: Ledger, sign: Sign = FAR) -> Claim:
    claim = one.claim(TRIALS, sign)
    assert claim is not None
    return claim


def statuses(one: Ledger) -> list[str]:
    return [outcome.status.value for outcome in one.outcomes().values()]


def test_what_is_added_waits_in_order_and_is_added_once(tmp_path: Path) -> None:
    one = ledger(tmp_path)
    one.add(TRIALS[:4])
    one.add(TRIALS[2:])
    assert list(one.outcomes()) == TRIALS
    assert statuses(one) == ["waiting"] * 6


def test_outcomes_are_read_back_as_they_were_recorded_by_another_process(tmp_path: Path) -> None:
    one = ledger(tmp_path)
    one.add(TRIALS[:2])
    one.finish(claimed(one), FINISHED, score=0.5)
    one.fail(claimed(one), "no memory")
    assert ledger(tmp_path).outcomes() == {
        TRIALS[0]: FINISHED,
        TRIALS[1]: Outcome(status=Status.failed, sentence="no memory"),
    }


def test_sweeps_of_one_database_do_not_mix(tmp_path: Path) -> None:
    ledger(tmp_path).add(TRIALS)
    assert ledger(tmp_path, name="another").outcomes() == {}


def test_no_two_processes_claim_the_same_trial(tmp_path: Path) -> None:
    several = [ledger(tmp_path) for _ in range(4)]
    several[0].add(TRIALS)

    def claim_all(one: Ledger) -> list[Trial]:
        found: list[Trial] = []
        while claim := one.claim(TRIALS, FAR):
            found.append(claim.trial)
        return found

    with ThreadPoolExecutor(4) as threads:
        claims = [trial for found in threads.map(claim_all, several) for trial in found]
    assert sorted(map(str, claims)) == sorted(map(str, TRIALS))


def test_a_trial_that_two_processes_added_at_the_same_time_is_run_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = ledger(tmp_path), ledger(tmp_path)
    one.add(TRIALS[:1])
    with monkeypatch.context() as patch:
        patch.setattr(other, "_entries", dict)  # it looked before the first had written
        other.add(TRIALS[:1])
    one.finish(claimed(one), FINISHED, score=0.5)
    assert other.claim(TRIALS, FAR) is None
    assert other.outcomes() == {TRIALS[0]: FINISHED}


def test_a_claim_that_is_given_up_is_tried_again_at_its_place(tmp_path: Path) -> None:
    one = ledger(tmp_path)
    one.add(TRIALS[:2])
    one.give_up(claimed(one))
    assert statuses(one) == ["waiting", "waiting"]
    assert claimed(one).trial == TRIALS[1]  # the first has no entry until it is added again
    one.add(TRIALS[:2])
    assert claimed(one).trial == TRIALS[0]
    assert list(one.outcomes()) == TRIALS[:2]


def test_failures_are_tried_again_on_request_only(tmp_path: Path) -> None:
    one = ledger(tmp_path)
    one.add(TRIALS[:1])
    one.fail(claimed(one), "no memory")
    one.add(TRIALS[:1])
    assert one.claim(TRIALS, FAR) is None
    assert one.retry_failed() == 1
    assert statuses(one) == ["waiting"]
    one.finish(claimed(one), FINISHED, score=0.5)
    assert one.retry_failed() == 0
    assert one.outcomes() == {TRIALS[0]: FINISHED}


def test_a_retry_that_was_given_up_does_not_bring_the_failure_back(tmp_path: Path) -> None:
    one = ledger(tmp_path)
    one.add(TRIALS[:1])
    one.fail(claimed(one), "no memory")
    one.retry_failed()
    one.give_up(claimed(one))
    assert statuses(one) == ["waiting"]
    one.add(TRIALS[:1])
    one.finish(claimed(one), FINISHED, score=0.5)
    assert statuses(one) == ["finished"]


def test_a_living_process_keeps_its_claim_however_long_it_is_silent(tmp_path: Path) -> None:
    one = ledger(tmp_path, grace=0.0)
    one.add(TRIALS[:1])
    with Lifeline(tmp_path / "workers") as sign:
        claim = claimed(one, sign)
        one.take_over()
        one.take_over()
        assert statuses(one) == ["running"]
        assert one.claimed_by(sign) == claim
        assert one.claimed_by(FAR) is None


def test_a_killed_process_loses_its_claim_at_once(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from llm_jepa.experiments.sweep.lifeline import Lifeline; "
        "print(Lifeline(Path(sys.argv[1])).__enter__().path, flush=True); os._exit(9)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=120)
    with Lifeline(tmp_path) as mine:
        sign = Sign(path=done.stdout.strip(), kernel=mine.kernel)
    one = ledger(tmp_path)
    one.add(TRIALS[:1])
    claim = claimed(one, sign)
    one.take_over(spared=[sign])
    assert statuses(one) == ["running"]
    one.take_over()
    assert statuses(one) == ["waiting"]
    assert not one.beat(claim, 1)
    one.add(TRIALS[:1])
    assert claimed(one).trial == TRIALS[0]


def test_a_trial_whose_process_is_killed_is_begun_three_times_and_after_a_retry_three_times_more(tmp_path: Path) -> None:
    one = ledger(tmp_path)
    for _ in range(2):
        for killed in (1, 2):
            one.add(TRIALS[:1])
            one.killed(claimed(one))
            assert statuses(one) == ["waiting"], killed
        one.add(TRIALS[:1])
        one.killed(claimed(one))
        assert one.outcomes()[TRIALS[0]] == Outcome(
            status=Status.failed, sentence="its process was killed 3 times; most likely the memory is not enough"
        )
        assert one.retry_failed() == 1


def test_a_process_that_cannot_be_seen_keeps_its_claim_while_it_beats(tmp_path: Path) -> None:
    one = ledger(tmp_path, grace=-1.0)
    one.add(TRIALS[:1])
    claim = claimed(one, FAR)
    for count in range(1, 4):
        one.take_over()
        assert one.beat(claim, count)
    one.take_over()
    assert statuses(one) == ["running"]
    one.take_over()  # the beat is the same as before
    assert statuses(one) == ["waiting"]


def test_within_the_grace_a_silent_process_is_not_given_up(tmp_path: Path) -> None:
    one = ledger(tmp_path, grace=60.0)
    one.add(TRIALS[:1])
    claimed(one, FAR)
    one.take_over()
    one.take_over()
    assert statuses(one) == ["running"]


def test_who_lost_a_claim_records_nothing(tmp_path: Path) -> None:
    one = ledger(tmp_path)
    one.add(TRIALS[:1])
    lost = claimed(one)
    one.give_up(lost)
    one.add(TRIALS[:1])
    one.finish(claimed(one), FINISHED, score=0.5)
    one.fail(lost, "late")
    assert one.outcomes() == {TRIALS[0]: FINISHED}


def test_of_another_kernel_or_a_removed_file_nothing_is_known(tmp_path: Path) -> None:
    with Lifeline(tmp_path) as sign:
        assert sign.alive() is True
        assert Sign(path=sign.path, kernel="another").alive() is None
    assert sign.alive() is None


@pytest.mark.parametrize("url", ["nothing", "sqlite:////no/such/folder/sweep.db"])
def test_a_database_that_cannot_be_opened_is_one_sentence(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llm_jepa.experiments.sweep.ledger._PAUSE", 0.0)
    with pytest.raises(UserError, match=r"^--storage: cannot open '"):
        Ledger(url, "sweep")


def test_a_password_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llm_jepa.experiments.sweep.ledger._PAUSE", 0.0)
    with pytest.raises(UserError) as told:
        Ledger("nodialect://me:secret@host/db", "sweep")
    assert "secret" not in str(told.value)
