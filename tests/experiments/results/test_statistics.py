import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar
from statsmodels.stats.power import TTestPower

from llm_jepa.errors import UserError
from llm_jepa.experiments.results.statistics import (
    bootstrap_interval,
    compare_arms,
    comparison,
    corrected,
    describe,
    detectable_gain,
    holm,
    mcnemar,
    paired_bootstrap_interval,
    paired_t_test,
    sign_flip_test,
)

JEPA = (0.531, 0.548, 0.519, 0.552, 0.537)
PLAIN = (0.544, 0.541, 0.525, 0.539, 0.533)


def test_describe_divides_by_n_minus_one() -> None:
    described = describe([0.50, 0.54, 0.58])
    assert described.mean == pytest.approx(0.54)
    assert described.deviation == pytest.approx(0.04)
    assert described.n == 3


def test_one_value_has_no_deviation() -> None:
    assert describe([0.5]).deviation is None


def test_describe_needs_a_value() -> None:
    with pytest.raises(ValueError, match="values"):
        describe([])


def test_t_test_by_hand() -> None:
    # Differences 1, 2, 3: mean 2, deviation 1, t = 2 sqrt(3); with two degrees of freedom
    # P(T > t) = 1/2 - t / (2 sqrt(2 + t^2)).
    t = 2 * math.sqrt(3)
    assert paired_t_test([1, 2, 3], [0, 0, 0]) == pytest.approx(0.5 - t / (2 * math.sqrt(2 + t * t)))


def test_t_test_is_one_tailed_for_the_treatment() -> None:
    better, worse = paired_t_test(JEPA, PLAIN), paired_t_test(PLAIN, JEPA)
    assert better is not None
    assert worse is not None
    assert better + worse == pytest.approx(1)
    assert better == pytest.approx(stats.ttest_rel(JEPA, PLAIN).pvalue / 2)


@pytest.mark.parametrize("treatment", [(0.5, 0.6, 0.7), (0.4, 0.5, 0.6)])
def test_t_is_undefined_when_all_differences_are_the_same(treatment: tuple[float, ...]) -> None:
    assert paired_t_test(treatment, (0.4, 0.5, 0.6)) is None
    assert detectable_gain([a - b for a, b in zip(treatment, (0.4, 0.5, 0.6), strict=True)]) is None


@pytest.mark.parametrize("test", [paired_t_test, sign_flip_test, mcnemar])
def test_pairs_are_needed_and_two_of_them(test) -> None:
    with pytest.raises(ValueError, match="control"):
        test([0, 1, 1], [0, 1])
    with pytest.raises(ValueError, match="treatment"):
        test([1], [0])


def test_values_must_be_finite() -> None:
    with pytest.raises(ValueError, match="finite"):
        paired_t_test([0.5, math.nan], [0.4, 0.4])


@pytest.mark.parametrize(
    ("treatment", "expected"),
    [
        ((1, 1, 1, 1, 1), 1 / 32),  # only the observed pattern
        ((-1, -1, -1), 1.0),  # every pattern does at least as well
        ((0, 0, 0), 1.0),  # every pattern has the same sum
        ((0.3, 0.1, 0.2), 1 / 8),
        ((3, -1), 2 / 4),  # sums 4, 2, -2, -4 against 2
        ((0.1, 0.2, -0.3), 5 / 8),  # sum 0 but for rounding: 0 itself twice, and 0.2, 0.4, 0.6
    ],
)
def test_sign_flips_by_hand(treatment: tuple[float, ...], expected: float) -> None:
    assert sign_flip_test(treatment, [0] * len(treatment)) == expected


@given(st.lists(st.integers(-20, 20), min_size=2, max_size=8))
def test_sign_flips_count_every_pattern(differences: list[int]) -> None:
    patterns = itertools.product((1, -1), repeat=len(differences))
    sums = [sum(s * d for s, d in zip(signs, differences, strict=True)) for signs in patterns]
    expected = sum(value >= sum(differences) for value in sums) / len(sums)
    assert sign_flip_test([d / 1000 for d in differences], [0] * len(differences)) == expected


def test_sign_flips_agree_with_scipy() -> None:
    reference = stats.permutation_test(
        (JEPA, PLAIN),
        lambda x, y: np.mean(x) - np.mean(y),
        permutation_type="samples",
        vectorized=False,
        alternative="greater",
    )
    assert sign_flip_test(JEPA, PLAIN) == reference.pvalue


def test_sign_flips_refuse_what_they_cannot_enumerate() -> None:
    with pytest.raises(ValueError, match="2\\^n"):
        sign_flip_test(range(21), [0] * 21)


def test_holm_by_hand() -> None:
    # 3 x .01; 2 x .03; then .04 is raised to keep the order.
    assert holm([0.01, 0.04, 0.03]) == pytest.approx((0.03, 0.06, 0.06))
    assert holm([0.6, 0.9]) == pytest.approx((1, 1))
    assert holm([]) == ()


@settings(max_examples=15)  # statsmodels collects garbage in every call
@given(st.lists(st.floats(0, 1), min_size=1, max_size=10))
def test_holm_never_lowers_a_p_and_keeps_the_order(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    assert all(p <= q <= 1 for p, q in zip(p_values, adjusted, strict=True))
    assert [adjusted[i] for i in np.argsort(p_values)] == sorted(adjusted)


@pytest.mark.parametrize("n", [2, 3, 5, 10, 20])
@pytest.mark.parametrize("alpha", [0.05, 0.05 / 8])
def test_detectable_gain_has_the_power_it_promises(n: int, alpha: float) -> None:
    differences = np.random.default_rng(n).normal(0.01, 0.02, size=n)
    deviation = float(np.std(differences, ddof=1))
    found = detectable_gain(differences.tolist(), alpha=alpha)
    assert found is not None
    threshold = stats.t.isf(alpha, n - 1)
    assert stats.nct.sf(threshold, n - 1, math.sqrt(n) * found / deviation) == pytest.approx(0.8, abs=1e-3)
    assert TTestPower().power(found / deviation, n, alpha, alternative="larger") == pytest.approx(0.8, abs=1e-3)


def test_more_seeds_detect_smaller_gains() -> None:
    few, many = detectable_gain([0.01, -0.01]), detectable_gain([0.01, -0.01] * 5)
    assert few is not None
    assert many is not None
    assert many < few


def test_detectable_gain_needs_two_differences() -> None:
    with pytest.raises(ValueError, match="differences"):
        detectable_gain([0.1])


def test_bootstrap_agrees_with_scipy() -> None:
    correct = [True] * 130 + [False] * 70
    reference = stats.bootstrap(
        (np.array(correct, dtype=float),), np.mean, method="percentile", n_resamples=4000, rng=np.random.default_rng(1)
    ).confidence_interval
    assert bootstrap_interval(correct, seed=0) == pytest.approx((reference.low, reference.high), abs=0.011)
    assert bootstrap_interval(correct, seed=0) == bootstrap_interval(correct, seed=0)


def test_bootstrap_is_wider_at_a_higher_level() -> None:
    correct = [True, False] * 40
    low, high = bootstrap_interval(correct, seed=0, level=0.5)
    wide_low, wide_high = bootstrap_interval(correct, seed=0, level=0.99)
    assert wide_low < low < 0.5 < high < wide_high
    with pytest.raises(ValueError, match="level"):
        bootstrap_interval(correct, seed=0, level=95)


def test_bootstrap_of_all_correct_has_no_width() -> None:
    assert bootstrap_interval([True] * 10, seed=0) == (1, 1)


def test_paired_bootstrap_agrees_with_scipy() -> None:
    draw = np.random.default_rng(3)
    ours, theirs = draw.random(300) < 0.6, draw.random(300) < 0.5
    reference = stats.bootstrap(
        (ours.astype(float) - theirs.astype(float),),
        np.mean,
        method="percentile",
        n_resamples=4000,
        rng=np.random.default_rng(1),
    ).confidence_interval
    found = paired_bootstrap_interval(ours.tolist(), theirs.tolist(), seed=0)
    assert found == pytest.approx((reference.low, reference.high), abs=0.015)


def test_paired_bootstrap_of_equal_runs_is_zero() -> None:
    assert paired_bootstrap_interval([True, False, True], [True, False, True], seed=0) == (0, 0)


def test_mcnemar_by_hand_and_against_statsmodels() -> None:
    ours = [True] * 9 + [False] * 2 + [True] * 30 + [False] * 20
    theirs = [False] * 9 + [True] * 2 + [True] * 30 + [False] * 20
    # Two-sided: twice the chance of at most 2 heads in 11 throws.
    assert mcnemar(ours, theirs) == pytest.approx(2 * (1 + 11 + 55) / 2**11)
    reference: Any = statsmodels_mcnemar([[30, 9], [2, 20]], exact=True)
    assert mcnemar(ours, theirs) == pytest.approx(reference.pvalue)


def test_mcnemar_without_a_differing_example_has_no_p() -> None:
    assert mcnemar([True, False], [True, False]) is None


def test_comparison_pairs_by_seed_not_by_position() -> None:
    found = comparison("jepa", "plain", {4: 0.5, 82: 0.6, 23: 0.7}, {82: 0.5, 4: 0.5, 99: 0.0})
    assert found.seeds == (4, 82)
    assert found.differences == pytest.approx((0, 0.1))
    assert found.gain == pytest.approx(0.05)
    assert found.n == 2


def test_one_seed_gives_no_p_and_says_why() -> None:
    found = comparison("jepa", "plain", {82: 0.7}, {82: 0.5})
    assert (found.p_t, found.p_t_holm, found.p_sign_flip, found.detectable) == (None, None, None, None)
    assert found.reason == "one seed: no test is possible"
    assert not found.significant


def test_equal_differences_give_no_t_but_sign_flips() -> None:
    found = comparison("jepa", "plain", {1: 0.5, 2: 0.6}, {1: 0.4, 2: 0.5})
    assert found.p_t is None
    assert found.p_sign_flip == 0.25
    assert "same difference" in found.reason


def test_no_common_seed_is_an_error() -> None:
    with pytest.raises(ValueError, match="no seed in common"):
        comparison("jepa", "plain", {1: 0.5}, {2: 0.5})


def test_many_seeds_have_no_enumeration_but_a_t_test() -> None:
    values = np.random.default_rng(0).random(30)
    found = comparison("a", "b", dict(enumerate(values)), dict.fromkeys(range(30), 0.5))
    assert found.p_sign_flip is None
    assert found.p_t is not None


def _arms() -> dict[str, dict[int, float]]:
    seeds = (82, 23, 37, 84, 4)
    return {
        "plain": dict(zip(seeds, PLAIN, strict=True)),
        "jepa": dict(zip(seeds, JEPA, strict=True)),
        "shuffled": dict(zip(seeds, (0.55, 0.56, 0.54, 0.57, 0.549), strict=True)),
    }


def test_compare_arms_corrects_over_the_table() -> None:
    pairs = [("jepa", "plain"), ("shuffled", "plain")]
    found = compare_arms(_arms(), pairs)
    raw = [stats.ttest_rel(list(_arms()[a].values()), PLAIN, alternative="greater").pvalue for a, _ in pairs]
    assert [item.p_t for item in found] == pytest.approx(raw)
    assert [item.p_t_holm for item in found] == pytest.approx([max(raw[0], 2 * raw[1]), 2 * raw[1]])
    assert [item.tests for item in found] == [2, 2]
    assert found[1].significant
    assert found[0].detectable == detectable_gain(found[0].differences, alpha=0.025)


def test_comparisons_without_a_test_do_not_count_in_the_correction() -> None:
    one = comparison("a", "b", {1: 0.5}, {1: 0.4})
    two = comparison("c", "b", {1: 0.5, 2: 0.7}, {1: 0.4, 2: 0.5})
    found = corrected([one, two])
    assert found[0] == one
    assert found[1].p_t_holm == two.p_t
    assert found[1].tests == 1
    assert corrected([]) == ()


def test_compare_arms_names_missing_seeds_and_arms() -> None:
    arms = _arms()
    del arms["jepa"][37], arms["jepa"][4]
    with pytest.raises(UserError, match="'jepa' lacks seed 4, 37"):
        compare_arms(arms, [("jepa", "plain")])
    with pytest.raises(UserError, match="'jepa' lacks seed 4, 37"):
        compare_arms(arms, [("plain", "jepa")])
    with pytest.raises(UserError, match="did you mean 'plain'"):
        compare_arms(arms, [("jepa", "plane")])


accuracies = st.lists(st.tuples(st.integers(0, 300), st.integers(0, 300)), min_size=2, max_size=8)


@given(accuracies)
def test_the_t_test_is_that_of_scipy_and_turns_with_its_arms(pairs: list[tuple[int, int]]) -> None:
    treatment, control = [a / 300 for a, _ in pairs], [b / 300 for _, b in pairs]
    p = paired_t_test(treatment, control)
    if p is None:
        assert len({a - b for a, b in pairs}) == 1
        return
    assert p == pytest.approx(float(stats.ttest_rel(treatment, control, alternative="greater").pvalue), rel=1e-9)
    other = paired_t_test(control, treatment)
    assert other is not None
    assert p + other == pytest.approx(1.0)


flags = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=60)


@given(flags)
def test_mcnemar_is_that_of_statsmodels_and_asks_both_ways_alike(pairs: list[tuple[bool, bool]]) -> None:
    ours, theirs = [a for a, _ in pairs], [b for _, b in pairs]
    table = [[sum((a, b) == (first, second) for a, b in pairs) for second in (True, False)] for first in (True, False)]
    p = mcnemar(ours, theirs)
    if p is None:
        assert table[0][1] + table[1][0] == 0
        return
    theirs_p: Any = statsmodels_mcnemar(table, exact=True)
    assert p == pytest.approx(theirs_p.pvalue)
    assert p == mcnemar(theirs, ours)


@settings(deadline=None, max_examples=25)
@given(flags, st.integers(0, 99))
def test_intervals_hold_what_was_seen_and_turn_with_their_arms(pairs: list[tuple[bool, bool]], seed: int) -> None:
    ours, theirs = [a for a, _ in pairs], [b for _, b in pairs]
    low, high = bootstrap_interval(ours, seed=seed)
    assert 0 <= low <= sum(ours) / len(ours) <= high <= 1
    low, high = paired_bootstrap_interval(ours, theirs, seed=seed)
    assert -1 <= low <= (sum(ours) - sum(theirs)) / len(ours) + 1e-12
    assert (sum(ours) - sum(theirs)) / len(ours) - 1e-12 <= high <= 1


@given(st.lists(st.integers(-50, 50), min_size=2, max_size=8).filter(lambda items: len(set(items)) > 1))
def test_the_detectable_gain_scales_with_the_spread_and_falls_with_the_level(differences: list[int]) -> None:
    fine = [value / 1000 for value in differences]
    gain, tenfold = detectable_gain(fine), detectable_gain([value * 10 for value in fine])
    strict = detectable_gain(fine, alpha=0.01)
    assert gain is not None
    assert tenfold == pytest.approx(10 * gain, rel=1e-6)
    assert strict is not None
    assert strict > gain > 0
