"""How tests are written: no p-value without the number of seeds or examples it comes from, and its correction."""

from llm_jepa.experiments.results.measures import ABSENT, counted, p_value, points
from llm_jepa.experiments.results.statistics import POWER, Comparison

TEST_READINGS = (
    (
        "Paired t-test",
        "Probability of at least the observed gain if both arms were equally good, from the differences of runs with the "
        "same seed. Near 1 speaks for the second arm.",
    ),
    (
        "Corrected",
        "Holm's correction: with several comparisons one small p is to be expected, so each is raised to what the whole "
        "table allows.",
    ),
    (
        "Sign flips",
        "The same question without assuming a normal distribution. With n seeds it cannot fall below 1 / 2^n.",
    ),
    (
        "Detectable",
        "Smallest true gain that this number of seeds with this spread would have shown with a probability of "
        f"{100 * POWER:.0f} %. A smaller gain would often go unseen. None: not even a gain of 100 points would.",
    ),
)
"""How to read the columns of the table of tests."""


def p_told(p: float, n: str, tests: int) -> str:
    """A p-value with all that belongs to it, the only way in which one is shown: "p = 0.037 (5 seeds, Holm over 4)".

    Args:
        p: after the correction.
        n: what it was computed from, such as "5 seeds".
        tests: number of comparisons corrected together; 0: it is not corrected.
    """
    corrections = {0: "uncorrected", 1: "one comparison"}
    return f"{p_value(p)} ({n}, {corrections.get(tests, f'Holm over {tests}')})"


def p_cell(comparison: Comparison) -> str:
    """The p of one comparison with all that belongs to it: seeds and correction; or why there is none."""
    if comparison.p_t_holm is None:
        return comparison.reason
    return p_told(comparison.p_t_holm, counted(comparison.n, "seed"), comparison.tests)


def detectable_cell(comparison: Comparison) -> str:
    """The smallest gain that a comparison would have shown, in points; a share cannot gain more than 100."""
    if comparison.detectable is None:
        return ABSENT
    return points(comparison.detectable) if comparison.detectable < 1 else "none"


def p_uncorrected(comparison: Comparison, p: float | None) -> str:
    """A p of one comparison before the correction."""
    return ABSENT if p is None else p_told(p, counted(comparison.n, "seed"), 0)
