"""A whole sweep in one process, with a stand-in for training: resumption, failures, the table, and what it may tell."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.experiments.sweep.sweep_fakes import counted, experiment, fake_run

from llm_jepa.errors import UserError
from llm_jepa.experiments.sweep.drive import Drive
from llm_jepa.experiments.sweep.ledger import Ledger
from llm_jepa.experiments.sweep.lifeline import Lifeline, Sign
from llm_jepa.experiments.sweep.plan import SEARCHES, Budget, Plan, Protocol, Trial
from llm_jepa.experiments.sweep.survey import Outcomes, Survey
from llm_jepa.experiments.sweep.table import remarks
from llm_jepa.experiments.sweep.worker import Desk, News, Run, work

SMALL = {"learning_rates": (2e-5, 4e-5), "ks": (0, 3), "weights": (0.5, 2.0), "seeds": (82, 23)}


@dataclass
class Alone:
    """A crew of one that works in this very process, and stops it after so many trials.

    Attributes:
        desk: what it needs.
        ledger: where it claims.
        most: how many trials it works on.
    """

    desk: Desk
    ledger: Ledger
    most: int = 1000
    size: int = 1
    dead: list[Sign] = field(default_factory=list)
    news: list[News] = field(default_factory=list)

    def give(self, trials: Sequence[Trial]) -> bool:
        if self.most == 0:
            raise KeyboardInterrupt
        self.most -= 1
        with Lifeline(self.desk.root / "workers") as sign:
            try:
                work(self.desk, self.ledger, trials, sign, self.news.append)
            except SystemExit:
                self.dead.append(sign)
        return True

    def signs(self) -> frozenset[Sign]:
        return frozenset()

    def watch(self, seconds: float) -> tuple[list[News], list[Sign]]:
        del seconds
        dead, self.dead = self.dead, []
        return [], dead


@dataclass
class Ended:
    """How a sweep ended: where it stands, what it said, and its table."""

    survey: Survey
    outcomes: Outcomes
    lines: list[str]
    table: dict

    def rows(self, **wanted: object) -> list[dict]:
        return [row for row in self.table["trials"] if all(row[name] == value for name, value in wanted.items())]


Go = Callable[..., Ended]


@pytest.fixture
def go(tmp_path: Path) -> Go:
    """Run a sweep, or go on with it."""

    def run(plan: Plan, *, most: int = 1000, retry: bool = False, by: Run = fake_run) -> Ended:
        base = experiment(tmp_path / "sweep")
        Path(base.output).mkdir(exist_ok=True)
        url = f"sqlite:///{tmp_path / 'sweep.db'}"
        ledger = Ledger(url, "sweep")
        if retry:
            ledger.retry_failed()
        lines: list[str] = []
        drive = Drive(base, plan, ledger, say=lines.append)
        crew = Alone(Desk(base=base, plan=plan, url=url, name="sweep", run=by), ledger, most=most)
        found, outcomes = drive.run(crew, lambda found, outcomes, news: None)  # noqa: ARG005
        return Ended(found, outcomes, lines, json.loads((tmp_path / "sweep" / "sweep.json").read_text()))

    return run


def table_of(tmp_path: Path) -> dict:
    return json.loads((tmp_path / "sweep" / "sweep.json").read_text())


def test_a_sweep_runs_every_trial_once_and_writes_them_all(go: Go, tmp_path: Path) -> None:
    ended = go(Plan(**SMALL))
    assert ended.survey.done
    assert len(counted(tmp_path)) == len(set(counted(tmp_path))) == 2 + 4 + 6 - 2
    assert [row["folder"] for row in ended.table["trials"]] == counted(tmp_path)
    assert {row["status"] for row in ended.table["trials"]} == {"finished"}
    assert (ended.table["done"], ended.table["protocol"]) == (True, "validation")
    chosen = ended.rows(chosen=True, arm="jepa")
    assert [(row["k"], row["weight"], row["learning_rate"], row["seed"]) for row in chosen] == [
        (3, 2.0, 4e-5, 82),
        (3, 2.0, 4e-5, 23),
    ]
    assert chosen[0]["stages"] == ["k and weight", "chosen arms"]
    assert (chosen[0]["seconds"], chosen[0]["flops"]) == (60.0, 2e15)


@pytest.mark.parametrize("most", [1, 2, 4, 6, 9])
def test_a_sweep_stopped_anywhere_goes_on_to_the_same_table_and_repeats_nothing(most: int, go: Go, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        go(Plan(**SMALL), most=most)
    assert len(counted(tmp_path)) == most
    ended = go(Plan(**SMALL))
    assert len(counted(tmp_path)) == len(set(counted(tmp_path))) == 10
    assert [row["folder"] for row in ended.table["trials"]] == counted(tmp_path)


def test_a_finished_sweep_runs_nothing_and_says_the_same(go: Go, tmp_path: Path) -> None:
    first = go(Plan(**SMALL))
    again = go(Plan(**SMALL), most=0)
    assert (again.table, sorted(again.lines)) == (first.table, sorted(first.lines))


def test_a_lost_database_costs_no_run(go: Go, tmp_path: Path) -> None:
    first = go(Plan(**SMALL))
    (tmp_path / "sweep.db").unlink()
    assert go(Plan(**SMALL)).table == first.table
    assert len(counted(tmp_path)) == 10


def test_the_test_rows_are_told_of_the_chosen_arms_only(go: Go) -> None:
    ended = go(Plan(**SMALL))
    told = [row["folder"] for row in ended.rows() if row["test"] is not None]
    assert told == [row["folder"] for row in ended.rows() if "chosen arms" in row["stages"]]
    assert all(row["validation"] is not None for row in ended.rows())


def test_the_papers_protocol_chooses_on_the_test_rows_and_says_so_first(go: Go) -> None:
    ended = go(Plan(**SMALL, protocol=Protocol.paper))
    assert ended.table["protocol"] == "paper"
    assert ended.table["remarks"][0].startswith("SETTINGS WERE CHOSEN ON THE TEST ROWS, as the paper did")
    chosen = ended.survey.arms["jepa"]
    assert (chosen.learning_rate, chosen.k, chosen.weight) == (2e-5, 0, 0.5)


def test_the_honest_protocol_says_on_which_rows_it_chose_and_what_tuning_cost(go: Go) -> None:
    told = go(Plan(**SMALL)).table["remarks"]
    assert told[0] == "Settings were chosen on the validation rows; the test rows had no part in any choice."
    assert told[-1].startswith(
        "Plain training was tuned with 2 runs; the JEPA arm's setting rests on as much as 6 whole runs."
    )


def test_equal_budgets_are_counted(go: Go) -> None:
    ended = go(Plan(**SMALL, budget=Budget.equal))
    assert len(ended.rows(arm="plain", seed=82)) == 6
    assert ended.table["remarks"][-1] == (
        "Plain training was tuned with 6 runs; the JEPA arm's setting rests on as much as 6 whole runs. "
        "The budgets are equal."
    )


@pytest.mark.parametrize("name", ["halving", "tpe"])
def test_cheaper_searches_run_short_trials_first(name: str, go: Go, tmp_path: Path) -> None:
    ended = go(Plan(**SMALL, search=SEARCHES[name], tried=3 if name == "tpe" else None))
    short = [row for row in ended.rows() if row["fraction"] == 0.25]
    assert len(short) == (3 if name == "tpe" else 4)
    assert len(ended.rows(arm="jepa", fraction=1.0, seed=82)) == 1
    assert len(counted(tmp_path)) == len(set(counted(tmp_path)))


@pytest.mark.parametrize(
    ("kind", "sentence"), [("user", "data.train: no rows"), ("error", "RuntimeError: CUDA out of memory")]
)
def test_failed_trials_are_listed_with_their_sentence_and_retried_on_request(
    kind: str, sentence: str, go: Go, tmp_path: Path
) -> None:
    (tmp_path / "broken.json").write_text(json.dumps({"2": kind}))
    ended = go(Plan(**SMALL))
    failed = ended.rows(status="failed")
    assert [(row["weight"], row["sentence"]) for row in failed] == [(2.0, sentence)] * 2
    assert ended.survey.arms["jepa"].weight == 0.5
    assert sum(line.startswith("Failed: jepa, k ") and sentence in line for line in ended.table["remarks"]) == 2
    (tmp_path / "broken.json").unlink()
    assert len(go(Plan(**SMALL), most=0).rows(status="failed")) == 2
    mended = go(Plan(**SMALL), retry=True)
    assert mended.rows(status="failed") == []
    assert mended.survey.arms["jepa"].weight == 2.0


def test_an_unexpected_error_leaves_its_traceback(go: Go, tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text(json.dumps({"2": "error"}))
    ended = go(Plan(**SMALL))
    kept = sorted(path.stem for path in (tmp_path / "sweep" / "failures").iterdir())
    assert kept == sorted(row["folder"] for row in ended.rows(status="failed"))
    assert "in _fail" in (tmp_path / "sweep" / "failures" / f"{kept[0]}.txt").read_text()


def test_where_nothing_can_be_chosen_the_table_is_written_all_the_same(go: Go, tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text(json.dumps({"0": "user"}))
    with pytest.raises(UserError, match="no choice is possible: 2 of 2 trials of a stage failed"):
        go(Plan(**SMALL))
    assert [row["status"] for row in table_of(tmp_path)["trials"]] == ["failed", "failed"]


def test_an_interrupted_trial_is_no_failure(go: Go, tmp_path: Path) -> None:
    def interrupted(*given: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        go(Plan(**SMALL), by=interrupted, most=2)
    assert go(Plan(**SMALL)).rows(status="failed") == []


def test_news_are_told_once(go: Go) -> None:
    lines = go(Plan(**SMALL)).lines
    assert len(lines) == len(set(lines))
    assert next(line for line in lines if line.startswith("chosen")).startswith(
        "chosen    learning rate: learning rate 4e-05 scored"
    )
    assert "finished  plain, learning rate 2e-05, seed 82: 48.5 % on the validation rows" in lines


def test_remarks_before_any_choice_are_the_protocol_alone() -> None:
    assert len(remarks(Survey(stages=()), {}, {}, Plan())) == 1
