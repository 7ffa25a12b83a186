from pathlib import Path
from typing import Any

import pytest

from llm_jepa.experiments.results.collected import Results, RunSummary, compare_runs
from llm_jepa.experiments.results.summary import collapsed, verdict

SEEDS = (82, 23, 37, 84, 4)
PLAIN = (0.544, 0.541, 0.525, 0.539, 0.533)
GAINED = tuple(score + gain for score, gain in zip(PLAIN, (0.030, 0.034, 0.029, 0.033, 0.031), strict=True))
SLIGHTLY = tuple(score + gain for score, gain in zip(PLAIN, (0.014, -0.009, 0.011, -0.004, 0.002), strict=True))
LOST = tuple(score - loss for score, loss in zip(PLAIN, (0.012, 0.017, 0.009, 0.014, 0.011), strict=True))
APART = {"cosine_matched": 0.83, "cosine_shuffled": 0.21, "retrieval_at_1": 0.74}
FALLEN = {"cosine_matched": 0.999, "cosine_shuffled": 0.998, "retrieval_at_1": 0.001}


def _runs(scores: dict[str, tuple[float, ...]], **measured: Any) -> list[RunSummary]:
    """The runs of some arms; what is measured holds for the arm "jepa"."""
    return [
        RunSummary(
            folder=Path(arm) / str(seed),
            arm=arm,
            seed=seed,
            results=Results(
                split="test",
                examples=2000,
                accuracy=exact,
                weight=0.0 if arm == "plain" else 0.05,
                retrieval_candidates=1000,
                **(measured if arm == "jepa" else {}),
            ),
        )
        for arm, values in scores.items()
        for seed, exact in zip(SEEDS, values, strict=False)
    ]


def _verdict(scores: dict[str, tuple[float, ...]], **measured: Any) -> tuple[str, str]:
    runs = _runs(scores, **measured)
    return verdict(runs, compare_runs(runs))


def test_a_significant_gain_is_called_a_gain() -> None:
    first, second = _verdict({"plain": PLAIN, "jepa": GAINED}, **APART)
    assert first == (
        "JEPA with weight 0.05 scored 56.8 % against 53.6 % for plain training, p < 0.001 (5 seeds, one comparison): "
        "a gain of 3.1 points, more than the spread over seeds explains."
    )
    assert second == (
        "No control on shuffled pairs was run with the same seeds, so the part of the pairing is unknown; the embeddings "
        "did not collapse (cosine 0.830 for matched and 0.210 for shuffled pairs; retrieval finds 74.0 % of the partners "
        "among 1,000 candidates, chance 0.1 %)."
    )


def test_a_gain_that_is_not_significant_is_not_called_one() -> None:
    first, _ = _verdict({"plain": PLAIN, "jepa": SLIGHTLY})
    assert first == (
        "JEPA with weight 0.05 scored 53.9 % against 53.6 % for plain training, p = 0.28 (5 seeds, one comparison): "
        "no gain was shown, as +0.3 points are within the spread over seeds; "
        "with this design a gain of 1.3 points would have been, with a probability of 80 %."
    )


def test_a_loss_is_said() -> None:
    shuffled = tuple(score + more for score, more in zip(LOST, (0.001, 0.001, 0.001, 0.001, 0.002), strict=True))
    first, second = _verdict({"plain": PLAIN, "jepa": LOST, "shuffled": shuffled})
    assert "52.4 % against 53.6 %" in first
    assert "p = 1 (5 seeds, Holm over 3)" in first
    assert "no gain was seen, and plain training scored higher for 5 of 5 seeds" in first
    assert second.startswith(
        "Training on shuffled pairs scored 52.5 % against 52.4 % for real pairs: the pairing is not shown to matter, "
        "p = 1 (5 seeds, Holm over 3)"
    )
    assert second.endswith("; whether its embeddings collapsed was not measured.")


def test_a_gain_that_survives_shuffling_is_not_put_down_to_the_views() -> None:
    shuffled = tuple(score + more for score, more in zip(GAINED, (0.001, -0.002, 0.002, 0.000, -0.001), strict=True))
    first, second = _verdict({"plain": PLAIN, "jepa": GAINED, "shuffled": shuffled})
    assert "a gain of 3.1 points" in first
    assert second.startswith(
        "The gain survives shuffling: pairs of different examples gained 3.1 points over plain training too, p "
    )
    assert "so what the views say is not shown to matter" in second


def test_a_gain_over_shuffled_pairs_speaks_for_the_pairing() -> None:
    _, second = _verdict({"plain": PLAIN, "jepa": GAINED, "shuffled": SLIGHTLY})
    assert second.startswith("Real pairs scored 2.9 points more than shuffled ones, p ")
    assert "so the pairing has a part in the gain" in second


def test_a_gain_over_shuffled_pairs_alone_is_no_gain() -> None:
    _, second = _verdict({"plain": PLAIN, "jepa": SLIGHTLY, "shuffled": LOST})
    assert second.startswith("Real pairs scored 1.5 points more than shuffled ones, p ")
    assert "which is no gain over plain training" in second


def test_an_unclear_control_leaves_the_cause_open() -> None:
    shuffled = (0.60, 0.50, 0.59, 0.51, 0.58)
    _, second = _verdict({"plain": PLAIN, "jepa": GAINED, "shuffled": shuffled})
    assert "the pairing is not shown to matter" in second
    assert "so the gain cannot be put down to the pairing" in second


@pytest.mark.parametrize(("score", "words"), [(0.6, "5.6 points more"), (0.5, "4.4 points less"), (0.544, "the same")])
def test_one_seed_is_no_result(score: float, words: str) -> None:
    first, second = _verdict({"plain": PLAIN[:1], "jepa": (score,), "shuffled": (0.53,)}, **APART)
    assert "(1 seed)" in first
    assert first.endswith(f"{words}, but one seed allows no test, so neither a gain nor a loss is shown.")
    assert "with one seed and so without a test" in second
    assert "p =" not in first + second


def test_equal_differences_have_no_test() -> None:
    first, _ = _verdict({"plain": (0.5, 0.6), "jepa": (0.6, 0.7)})
    assert first.endswith(
        "(2 seeds): no gain was shown, as the difference is +10.0 points for every seed and t is undefined."
    )


def test_collapse_is_named_with_its_numbers() -> None:
    _, second = _verdict({"plain": PLAIN, "jepa": LOST}, **FALLEN)
    assert second.endswith(
        "the embeddings collapsed onto one direction (cosine 0.999 for matched and 0.998 for shuffled pairs; "
        "retrieval finds 0.1 % of the partners among 1,000 candidates, chance 0.1 %)."
    )


def test_collapse_of_some_seeds_is_counted() -> None:
    runs = [*_runs({"jepa": PLAIN[:2]}, **FALLEN), *_runs({"plain": PLAIN})]
    runs += [run for run in _runs({"jepa": PLAIN}, **APART) if run.seed not in SEEDS[:2]]
    _, second = verdict(runs, compare_runs(runs))
    assert "collapsed onto one direction for 2 of 5 seeds" in second


def test_close_embeddings_that_find_their_partner_did_not_collapse() -> None:
    _, second = _verdict({"plain": PLAIN, "jepa": LOST}, cosine_matched=0.995, cosine_shuffled=0.97, retrieval_at_1=0.9)
    assert "lie close together, yet tell examples apart" in second


def test_embeddings_without_a_gap_or_a_common_direction_hardly_tell_examples_apart() -> None:
    _, second = _verdict({"plain": PLAIN, "jepa": LOST}, cosine_matched=0.42, cosine_shuffled=0.40)
    assert "and hardly tell examples apart (cosine 0.420 for matched and 0.400 for shuffled pairs)" in second


@pytest.mark.parametrize(
    ("matched", "shuffled", "retrieval", "expected"),
    [
        (0.999, 0.998, 0.001, True),
        (0.999, 0.998, None, True),
        (0.999, 0.998, 0.6, False),
        (0.97, 0.94, 0.001, False),
        (None, 0.99, 0.001, None),
    ],
)
def test_collapse(matched: float | None, shuffled: float, retrieval: float | None, expected: bool | None) -> None:
    measured = Results(
        split="test", examples=1, accuracy=0, cosine_matched=matched, cosine_shuffled=shuffled, retrieval_at_1=retrieval
    )
    assert collapsed(RunSummary(folder=Path(), arm="jepa", seed=1, results=measured)) is expected


def test_plain_training_stands_beside_the_cosines() -> None:
    runs = _runs({"jepa": LOST}, **FALLEN)
    plain = Results(split="test", examples=2000, accuracy=0.5, cosine_matched=0.62, cosine_shuffled=0.41)
    runs.append(RunSummary(folder=Path(), arm="plain", seed=82, results=plain))
    assert "for shuffled pairs, under plain training 0.620 and 0.410;" in verdict(runs, compare_runs(runs))[1]


def test_an_arm_of_another_name_is_judged_when_there_is_no_jepa() -> None:
    first, _ = _verdict({"plain": PLAIN, "infonce": GAINED})
    assert first.startswith("'infonce' with weight 0.05 scored 56.8 % against")


def test_without_plain_runs_there_is_no_verdict() -> None:
    first, second = _verdict({"jepa": PLAIN, "shuffled": PLAIN})
    assert "no gain can be measured" in first
    assert "nothing to say" in second
