"""Verdicts on generated text: equality, the paper's prefix criterion, the stop rate, and a summary over predictions.

Only strings are compared here. Regular expressions, numbers and queries that mean the same are other modules' affair.
`EXACT` and `STOPPED` are measures of every scorer of generated text.
"""

from dataclasses import dataclass

from llm_jepa.records import Example, Prediction
from llm_jepa.scoring.scorer import Measure, Scorer, Verdicts

EXACT = Measure(
    name="exact",
    title="exact match",
    what="the output is the whole answer and nothing else; leaves out examples with a blank answer",
)
PREFIX = Measure(
    name="prefix",
    title="prefix match",
    what="the output begins with the answer, whatever follows; leaves out examples with a blank answer",
)
STOPPED = Measure(
    name="stopped",
    title="stop rate",
    what="the output was ended by a stop token and not by the token limit; leaves out nothing",
)


def exact_match(expected: str, generated: str) -> bool:
    r"""Return whether the generated text is the expected answer, nothing missing and nothing after it.

    A verdict per example; the fraction of true ones is better when higher. Whitespace around either text is left out of
    the comparison, because chat templates trim it; whitespace inside, case and punctuation count. The stop token is no
    part of the text: an answer that runs into the token limit can still match.

    Example:
        >>> exact_match("([0-9]).*", " ([0-9]).*\n")
        True
        >>> exact_match("([0-9]).*", "([0-9]).*.*")
        False
    """
    return expected.strip() == generated.strip()


def prefix_match(expected: str, generated: str) -> bool:
    """Return whether the generated text begins with the expected answer (the paper's criterion, section A.7).

    A verdict per example; the fraction of true ones is better when higher. What follows the expected answer is left out
    of the comparison, so a model that never stops can be right, and so can a longer, different answer: read it beside
    `exact_match` and the stop rate. Whitespace around either text is left out too, as in `exact_match`.

    Raises:
        ValueError: the expected answer is empty or blank, and every text begins with it.

    Example:
        >>> prefix_match("([0-9]).*", "([0-9]).*.*.*.*")
        True
        >>> prefix_match("([0-9]).*", "([0-9])")
        False
    """
    answer = expected.strip()
    if not answer:
        raise ValueError("the expected answer is empty, and every text begins with it; leave such examples out")
    return generated.strip().startswith(answer)


def exact_verdict(example: Example, prediction: Prediction) -> float | None:
    """Return the value of `EXACT`: `exact_match` as 1 or 0, None when the answer is blank and nothing is to be right."""
    return float(exact_match(example.answer, prediction.generated)) if example.answer.strip() else None


@dataclass(frozen=True, slots=True, kw_only=True)
class TextScorer(Scorer):
    """Compares the output with the answer as text: for answers of any kind, and so the default for a user's own data.

    `exact` is never above `prefix`, and both leave out the same examples. Case, punctuation and white space inside count,
    white space around does not; see `exact_match` and `prefix_match`.

    Example:
        >>> from llm_jepa.records import Message
        >>> example = Example(name="a", messages=(Message(role="assistant", content="[0-9]"),))
        >>> output = Prediction(name="a", prompt="", expected="[0-9]", generated="[0-9][0-9]", stopped=False, tokens=9)
        >>> TextScorer()(example, output)
        {'exact': 0.0, 'prefix': 1.0, 'stopped': 0.0}
    """

    @property
    def measures(self) -> tuple[Measure, ...]:
        """Exact match, prefix match and stop rate."""
        return EXACT, PREFIX, STOPPED

    def __call__(self, example: Example, prediction: Prediction) -> Verdicts:
        """Return the three values; see the measures for what they leave out."""
        return {
            "exact": exact_verdict(example, prediction),
            "prefix": float(prefix_match(example.answer, prediction.generated)) if example.answer.strip() else None,
            "stopped": float(prediction.stopped),
        }
