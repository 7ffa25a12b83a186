"""Does one arm beat another? Tests that pair runs by seed, and what such a design could have seen at all.

Accuracies and gains are fractions in 0..1. Tests over seeds ask in one direction, as the paper does: is the treatment
*better* than the control? What is undefined (one seed, no spread) is None, never a number that looks like a result;
`Comparison.reason` then says why. A p-value travels in a `Comparison`, beside its number of seeds and of comparisons.

scipy.stats, which takes a second, and statsmodels, of the extra "plots", are imported where they are used: intervals over
examples belong to every evaluation.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from llm_jepa.errors import UserError, nearest

ALPHA = 0.05
"""Level of every decision: the share of true null hypotheses that would be called a gain."""

POWER = 0.8
"""Probability with which a true gain should be seen (Cohen's convention)."""

_RESAMPLES, _MOST_SEEDS, _ROUNDING = 10_000, 20, 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """Mean and spread of one measure over seeds.

    Attributes:
        mean: arithmetic mean, in the unit of the values.
        deviation: sample standard deviation (division by n - 1), in the unit of the values; None when n = 1.
        n: number of values.
    """

    mean: float
    deviation: float | None
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One paired comparison: is `treatment` better than `control`?

    Attributes:
        treatment: name of the arm that should be better.
        control: name of the arm it is compared with.
        seeds: the seeds both arms have; the pairs.
        differences: treatment - control for each seed, fractions (0.01 is one point); positive is better.
        p_t: one-tailed p of the paired t-test, uncorrected; None when there is no test.
        p_t_holm: `p_t` after Holm's correction over `tests` comparisons; None when there is no test.
        p_sign_flip: one-tailed p of the exact sign-flip test, uncorrected, never below 1 / 2^n; None for one seed
            and for more than 20, whose patterns are too many.
        detectable: smallest true gain this design sees with probability `POWER` at level `ALPHA` / `tests`, a fraction;
            None when the spread is unknown.
        tests: number of comparisons corrected together.
        reason: why `p_t` is None; empty when it is not.
    """

    treatment: str
    control: str
    seeds: tuple[int, ...]
    differences: tuple[float, ...]
    p_t: float | None
    p_t_holm: float | None
    p_sign_flip: float | None
    detectable: float | None
    tests: int = 1
    reason: str = ""

    @property
    def n(self) -> int:
        """Number of seeds that are paired."""
        return len(self.seeds)

    @property
    def gain(self) -> float:
        """Mean of the differences, a fraction; positive is better."""
        return describe(self.differences).mean

    @property
    def significant(self) -> bool:
        """Whether the corrected t-test calls the treatment better at level `ALPHA`."""
        return self.p_t_holm is not None and self.p_t_holm < ALPHA


def describe(values: Sequence[float]) -> Description:
    """Mean, sample standard deviation (n - 1) and number of the values."""
    if not values:
        raise ValueError("values: none given; at least one is needed")
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return Description(mean=float(np.mean(values)), deviation=deviation, n=len(values))


def paired_t_test(treatment: Sequence[float], control: Sequence[float]) -> float | None:
    """One-tailed p of the paired t-test that treatment > control, as in the paper.

    t = mean(d) / (sd(d) / sqrt(n)) with d = treatment - control and n - 1 degrees of freedom. A small p speaks for the
    treatment, a p near 1 for the control. When all differences are the same, sd(d) is 0 and t is undefined: None.

    Example:
        >>> round(paired_t_test([0.53, 0.55, 0.57], [0.52, 0.53, 0.54]), 3)
        0.037
    """
    differences = _differences(treatment, control)
    if _constant(differences):
        return None
    from scipy import stats

    return float(stats.ttest_rel(treatment, control, alternative="greater").pvalue)


def sign_flip_test(treatment: Sequence[float], control: Sequence[float]) -> float:
    """Exact one-tailed p that treatment > control: the share of sign patterns with at least the observed gain.

    p = #{s in {-1, 1}^n : sum(s * d) >= sum(d)} / 2^n: were the arms exchangeable within a seed, every pattern of signs
    would be equally likely. It assumes no normal distribution, but never falls below 1 / 2^n: fewer than five seeds
    cannot reach 0.05. Equal sums count as at least as large, so arms that are the same everywhere give exactly 1.

    Example:
        >>> sign_flip_test([0.53, 0.55, 0.57], [0.52, 0.53, 0.54])
        0.125
    """
    differences = _differences(treatment, control)
    if len(differences) > _MOST_SEEDS:
        raise ValueError(f"treatment: {len(differences)} values; all 2^n patterns are tried up to n = {_MOST_SEEDS}")
    sums = np.zeros(1)
    for difference in differences:
        sums = np.concatenate([sums + difference, sums - difference])
    # Sums that are equal on paper differ in their last bits, and must count as equal.
    slack = _ROUNDING * float(np.abs(differences).sum())
    return float(np.mean(sums >= differences.sum() - slack))


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Holm's step-down correction: p-values that keep the chance of any false gain in the table below the level.

    The i-th smallest of m is multiplied by m - i + 1, made monotone, and cut at 1 (Holm 1979).

    Example:
        >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
        [0.03, 0.06, 0.06]
    """
    if not p_values:
        return ()
    from statsmodels.stats.multitest import multipletests

    _, adjusted, *_ = multipletests(p_values, method="holm")
    return tuple(np.asarray(adjusted).tolist())


def detectable_gain(differences: Sequence[float], *, power: float = POWER, alpha: float = ALPHA) -> float | None:
    """Smallest true mean gain that the one-tailed paired t-test would find with probability `power`.

    The effect size d solves P(T > t_{1 - alpha}) = power for the non-central t with n - 1 degrees of freedom and
    non-centrality d sqrt(n); the gain is d * sd(differences), in the unit of the differences. It takes the observed
    spread for the true one, which with few seeds is a rough estimate. None when the differences are all the same.

    Example:
        >>> round(detectable_gain([0.01, 0.02, 0.03]), 3)
        0.023
    """
    checked = _at_least_two(np.asarray(differences, dtype=float), "differences")
    if _constant(checked):
        return None
    from statsmodels.stats.power import TTestPower

    effect = TTestPower().solve_power(nobs=len(checked), alpha=alpha, power=power, alternative="larger")
    return float(effect) * float(np.std(checked, ddof=1))


def bootstrap_interval(correct: Sequence[bool], *, seed: int, level: float = 0.95) -> tuple[float, float]:
    """Percentile bootstrap interval of the accuracy of *one* run over its test examples, as fractions.

    Resampling makes the number of correct examples binomial, so that is what is drawn. It says how far another test set
    of this size could differ, nothing about another seed. With all or no examples correct the interval has no width.

    Example:
        >>> bootstrap_interval([True] * 50 + [False] * 50, seed=0)
        (0.4, 0.6)
    """
    flags = _at_least_two(np.asarray(correct, dtype=bool), "correct")
    draws = np.random.default_rng(seed).binomial(len(flags), flags.mean(), size=_RESAMPLES)
    return _percentiles(draws / len(flags), level)


def paired_bootstrap_interval(
    treatment: Sequence[bool], control: Sequence[bool], *, seed: int, level: float = 0.95
) -> tuple[float, float]:
    """Percentile bootstrap interval of the accuracy gain of one run over another on the same examples, as fractions.

    An example counts 1 (only the treatment is right), -1 (only the control) or 0: resampling is multinomial.

    Example:
        >>> paired_bootstrap_interval([True] * 60 + [False] * 40, [True] * 40 + [False] * 60, seed=0)
        (0.12, 0.28)
    """
    gains = _differences(treatment, control)
    shares = [float(np.mean(gains == value)) for value in (1, -1, 0)]
    draws = np.random.default_rng(seed).multinomial(len(gains), shares, size=_RESAMPLES)
    return _percentiles((draws[:, 0] - draws[:, 1]) / len(gains), level)


def mcnemar(correct_a: Sequence[bool], correct_b: Sequence[bool]) -> float | None:
    """Exact *two-sided* p of McNemar's test that two runs are right on the same share of the same examples.

    Only examples on which exactly one is right count: under the hypothesis each side has half of them (binomial test).
    It compares two trained models, not two ways of training. None when there is no such example.

    Example:
        >>> mcnemar([True, True, True, False], [False, False, False, False])
        0.25
    """
    gains = _differences(correct_a, correct_b)
    only_a, only_b = int(np.sum(gains > 0)), int(np.sum(gains < 0))
    if only_a + only_b == 0:
        return None
    from scipy import stats

    return float(stats.binomtest(only_a, only_a + only_b, 0.5).pvalue)


def comparison(
    treatment: str, control: str, treatment_by_seed: Mapping[int, float], control_by_seed: Mapping[int, float]
) -> Comparison:
    """Compare two arms on the seeds that both have, as if it were the only comparison (see `corrected`).

    With one seed, or differences that are all the same, there is no t-test: its p is None and `reason` says why.
    """
    seeds = tuple(sorted(treatment_by_seed.keys() & control_by_seed.keys()))
    if not seeds:
        raise ValueError(f"treatment_by_seed: '{treatment}' and '{control}' have no seed in common")
    ours, theirs = [treatment_by_seed[seed] for seed in seeds], [control_by_seed[seed] for seed in seeds]
    differences = tuple(a - b for a, b in zip(ours, theirs, strict=True))
    single = len(seeds) == 1
    p_t = None if single else paired_t_test(ours, theirs)
    untested = "one seed: no test is possible" if single else "the same difference for every seed: t is undefined"
    return Comparison(
        treatment=treatment,
        control=control,
        seeds=seeds,
        differences=differences,
        p_t=p_t,
        p_t_holm=p_t,
        p_sign_flip=sign_flip_test(ours, theirs) if 1 < len(seeds) <= _MOST_SEEDS else None,
        detectable=None if single else detectable_gain(differences),
        reason=untested if p_t is None else "",
    )


def corrected(comparisons: Sequence[Comparison]) -> tuple[Comparison, ...]:
    """Apply Holm's correction over the comparisons that have a p-value.

    Their `detectable` moves to the level `ALPHA` / m that Holm asks of the smallest of m p-values, so that it belongs
    to the decision that is taken; for the other p-values it is a little too large.
    """
    p_values = {index: item.p_t for index, item in enumerate(comparisons) if item.p_t is not None}
    tests = len(p_values)
    result = list(comparisons)
    for index, p in zip(p_values, holm(list(p_values.values())), strict=True):
        detectable = detectable_gain(result[index].differences, alpha=ALPHA / tests)
        result[index] = replace(result[index], p_t_holm=p, tests=tests, detectable=detectable)
    return tuple(result)


def compare_arms(accuracy: Mapping[str, Mapping[int, float]], pairs: Sequence[tuple[str, str]]) -> tuple[Comparison, ...]:
    """Compare the (treatment, control) pairs by seed, and correct over the whole table.

    `accuracy` has for each arm the accuracy (a fraction) of each seed; both arms of a pair must have the same seeds.
    """
    for arm, other in [*pairs, *((control, treatment) for treatment, control in pairs)]:
        if arm not in accuracy:
            raise UserError(f"arm '{arm}' has no results{nearest(arm, accuracy)}")
        missing = sorted(accuracy.get(other, {}).keys() - accuracy[arm].keys())
        if missing:
            seeds = ", ".join(map(str, missing))
            raise UserError(f"arm '{arm}' lacks seed {seeds}, which '{other}' has; run it, or leave it out of both")
    return corrected([comparison(a, b, accuracy[a], accuracy[b]) for a, b in pairs])


def _differences(treatment: Sequence[float], control: Sequence[float]) -> np.ndarray:
    if len(treatment) != len(control):
        raise ValueError(f"control: {len(control)} values for {len(treatment)} of treatment; pairs are needed")
    return _at_least_two(np.asarray(treatment, dtype=float) - np.asarray(control, dtype=float), "treatment")


def _at_least_two(values: np.ndarray, name: str) -> np.ndarray:
    if len(values) < 2:
        raise ValueError(f"{name}: {len(values)} value(s); at least 2 are needed")
    if not np.isfinite(values).all():
        raise ValueError(f"{name}: not all values are finite")
    return values


def _constant(differences: np.ndarray) -> bool:
    return bool(np.ptp(differences) <= _ROUNDING)


def _percentiles(draws: np.ndarray, level: float) -> tuple[float, float]:
    if not 0 < level < 1:
        raise ValueError(f"level: {level} is not between 0 and 1")
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
