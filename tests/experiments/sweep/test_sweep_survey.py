"""What follows from finished trials: the order of the stages, the choices, and what is said when none is possible."""

from collections.abc import Callable

import pytest

from llm_jepa.experiments.sweep.plan import SEARCHES, Budget, Plan, Protocol, Setting, Trial
from llm_jepa.experiments.sweep.survey import Outcome, Outcomes, Status, Survey, survey

Score = Callable[[Trial], dict[str, float] | None]


def score(trial: Trial) -> dict[str, float]:
    """Validation likes 4e-5, k 3 and weight 2; test likes 1e-5, k 0 and weight 0.5."""
    it = trial.setting
    validation = (
        0.5 - 1000 * abs(it.learning_rate - 4e-5) - 0.01 * abs(it.k - 3) * bool(it.weight) - 0.01 * abs(it.weight - 2)
    )
    test = 0.5 - 1000 * it.learning_rate - 0.01 * it.k * bool(it.weight) - 0.01 * it.weight
    return {"validation": validation - 0.1 * (1 - it.fraction), "test": test}


def settle(trial: Trial, of: Score) -> Outcome:
    found = of(trial)
    if found is None:
        return Outcome(status=Status.failed, sentence="no memory")
    return Outcome(status=Status.finished, accuracy=found)


def play(plan: Plan, of: Score = score, *, parallel: int = 1) -> tuple[Survey, Outcomes, list[Trial]]:
    """Settle one trial after another until nothing is left, as a single process would."""
    outcomes: dict[Trial, Outcome] = {}
    while True:
        found = survey(plan, outcomes, parallel=parallel)
        open_ones = [trial for trial in found.trials if trial not in outcomes]
        if found.done or found.stuck or not open_ones:
            return found, outcomes, list(outcomes)
        outcomes[open_ones[0]] = settle(open_ones[0], of)


def names(found: Survey) -> list[tuple[str, int]]:
    return [(stage.name, len(stage.trials)) for stage in found.stages]


def test_the_stages_are_the_papers_and_the_chosen_runs_are_not_run_again() -> None:
    found, _, order = play(Plan(own_k=1))
    assert names(found) == [("learning rate", 4), ("k and weight", 20), ("chosen arms", 15)]
    assert len(order) == 4 + 20 + 15 - 2
    assert [trial.setting.learning_rate for trial in order[:4]] == [1e-5, 2e-5, 4e-5, 8e-5]
    assert {trial.setting.learning_rate for trial in order[4:]} == {4e-5}
    assert {trial.seed for trial in order[:24]} == {82}
    assert [trial.seed for trial in found.final[::3]] == [82, 23, 37, 84, 4]
    assert found.arms == {
        "plain": Setting(arm="plain", learning_rate=4e-5, k=1, weight=0.0),
        "jepa": Setting(arm="jepa", learning_rate=4e-5, k=3, weight=2.0),
        "shuffled": Setting(arm="shuffled", learning_rate=4e-5, k=3, weight=2.0),
    }


@pytest.mark.parametrize(
    ("protocol", "rate", "cell"), [(Protocol.validation, 4e-5, (3, 2.0)), (Protocol.paper, 1e-5, (0, 0.5))]
)
def test_choices_come_from_the_rows_of_the_protocol(protocol: Protocol, rate: float, cell: tuple[int, float]) -> None:
    found, _, _ = play(Plan(protocol=protocol))
    chosen = found.arms["jepa"]
    assert (chosen.learning_rate, (chosen.k, chosen.weight)) == (rate, cell)
    assert all(f"on the {protocol.value} rows" in choice.reason for choice in found.choices)


def test_a_choice_gives_its_numbers() -> None:
    found, _, _ = play(Plan(learning_rates=(4e-5, 2e-5, 8e-5), ks=(3,), weights=(2.0,)))
    assert [choice.reason for choice in found.choices] == [
        "learning rate 4e-05 scored 48.0 % on the validation rows; the highest of 3; "
        "the next is learning rate 2e-05 with 46.0 %",
        "k 3, weight 2, learning rate 4e-05 scored 50.0 % on the validation rows; the only one tried",
    ]


@pytest.mark.parametrize(
    ("rates", "said"), [((4e-5, 8e-5), "smallest tried, so a smaller"), ((1e-5, 4e-5), "largest tried, so a larger")]
)
def test_a_learning_rate_at_the_end_of_the_grid_is_pointed_out(rates: tuple[float, ...], said: str) -> None:
    found, _, _ = play(Plan(learning_rates=rates))
    assert said in found.choices[0].reason
    assert said not in found.choices[-1].reason


def test_of_equal_cells_the_lightest_is_chosen_and_the_reason_says_so() -> None:
    found, _, _ = play(Plan(), lambda _: {"validation": 0.5})
    assert (found.arms["plain"].learning_rate, found.arms["jepa"].k, found.arms["jepa"].weight) == (1e-5, 0, 0.5)
    assert "the highest of 20, with 19 equal to it of which it is the first" in found.choices[-1].reason


def test_choices_are_made_on_the_mean_over_the_search_seeds() -> None:
    def lucky(trial: Trial) -> dict[str, float]:
        fluke = 0.1 if trial.setting.k == 0 and trial.seed == 82 else 0.0
        return {"validation": score(trial)["validation"] + fluke}

    assert play(Plan(), lucky)[0].arms["jepa"].k == 0
    found, _, _ = play(Plan(search_seeds=5), lucky)
    assert found.arms["jepa"].k == 3
    assert names(found) == [("learning rate", 20), ("k and weight", 100), ("chosen arms", 15)]


def test_equal_budgets_tune_plain_training_on_and_leave_the_jepa_rate_alone() -> None:
    def finer(trial: Trial) -> dict[str, float]:
        best = 5e-5 if trial.setting.arm == "plain" else 4e-5
        return {"validation": 0.5 - 1000 * abs(trial.setting.learning_rate - best)}

    found, _, _ = play(Plan(budget=Budget.equal), finer)
    assert names(found) == [("learning rate", 4), ("more learning rates", 20), ("k and weight", 20), ("chosen arms", 15)]
    assert found.arms["jepa"].learning_rate == 4e-5
    assert found.arms["plain"].learning_rate == pytest.approx(5e-5, rel=0.05)
    assert found.arms["plain"].learning_rate not in Plan().learning_rates


def test_halving_gives_every_cell_a_quarter_and_the_best_quarter_the_whole_training() -> None:
    found, _, _ = play(Plan(search=SEARCHES["halving"]))
    assert names(found) == [("learning rate", 4), ("k and weight, short", 20), ("k and weight", 5), ("chosen arms", 15)]
    short, whole = found.stages[1].trials, found.stages[2].trials
    assert {trial.setting.fraction for trial in short} == {0.25}
    assert {trial.setting.fraction for trial in whole} == {1.0}
    assert {(trial.setting.k, trial.setting.weight) for trial in whole} == {(3, 2.0), (3, 1.0), (2, 2.0), (4, 2.0), (3, 0.5)}


@pytest.mark.parametrize("parallel", [1, 3])
def test_a_sampled_search_proposes_as_many_cells_as_planned_and_none_twice(parallel: int) -> None:
    found, _, order = play(Plan(search=SEARCHES["tpe"], tried=8), parallel=parallel)
    short = [trial for trial in order if trial.setting.fraction == 0.25]
    assert len(short) == len(set(short)) == 8
    assert names(found)[1:3] == [("k and weight, short", 8), ("k and weight", 2)]


def test_a_sampled_search_has_no_more_proposals_under_way_than_may_be() -> None:
    plan = Plan(search=SEARCHES["tpe"])
    outcomes = {trial: settle(trial, score) for trial in survey(plan, {}).trials}
    first = survey(plan, outcomes, parallel=3).stages[-1].trials
    assert len(first) == 3
    outcomes |= {trial: Outcome(status=Status.running) for trial in first}
    assert survey(plan, outcomes, parallel=3).stages[-1].trials == first
    outcomes[first[0]] = settle(first[0], score)
    assert survey(plan, outcomes, parallel=3).stages[-1].trials[:3] == first
    assert len(survey(plan, outcomes, parallel=3).stages[-1].trials) == 4


@pytest.mark.parametrize("status", [Status.waiting, Status.running])
def test_no_choice_is_made_while_a_trial_is_open(status: Status) -> None:
    first = survey(Plan(), {}).trials
    outcomes = {trial: settle(trial, score) for trial in first} | {first[1]: Outcome(status=status)}
    found = survey(Plan(), outcomes)
    assert (len(found.stages), found.choices, found.done) == (1, (), False)


def test_a_failed_setting_takes_no_part_and_the_reason_says_so() -> None:
    found, _, _ = play(Plan(), lambda trial: None if trial.setting.weight == 2 else score(trial))
    assert (found.arms["jepa"].k, found.arms["jepa"].weight) == (3, 1.0)
    assert "5 failed and took no part" in found.choices[-1].reason


def test_a_setting_that_failed_on_one_seed_is_not_compared_on_the_others() -> None:
    found, _, _ = play(
        Plan(search_seeds=2), lambda trial: None if (trial.setting.k, trial.seed) == (3, 23) else score(trial)
    )
    assert found.arms["jepa"].k == 2


def test_a_sweep_is_done_though_runs_of_the_chosen_arms_failed() -> None:
    found, _, _ = play(Plan(), lambda trial: None if trial.seed == 4 else score(trial))
    assert found.done


def test_without_any_finished_trial_the_sweep_says_what_to_mend() -> None:
    found, _, order = play(Plan(), lambda _: None)
    assert len(order) == 4
    assert found.stuck == (
        "no choice is possible: 4 of 4 trials of a stage failed, the first with: no memory; "
        "mend it and give `--retry_failed`"
    )


def test_without_scores_on_the_rows_of_the_protocol_no_choice_is_possible() -> None:
    found, _, _ = play(Plan(), lambda _: {"test": 0.9})
    assert found.stuck == "no choice is possible: the trials were not scored on validation rows; set data.validation"
