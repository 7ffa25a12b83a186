"""Verdicts on generated text: equality, the paper's prefix criterion, and a summary over predictions.

Only strings are compared here. Regular expressions, numbers and queries that mean the same are other modules' affair.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from llm_jepa.records import Prediction


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What the predictions of one evaluation amount to.

    Attributes:
        examples: number of predictions.
        exact: fraction (0 to 1, higher is better) for which `exact_match` holds.
        prefix: fraction (0 to 1, higher is better) for which `prefix_match` holds; never below `exact`.
        stop_rate: fraction (0 to 1) ended by a stop token and not by the token limit. Near 1 for a model that has
            learned to stop; far below, `prefix` and `exact` drift apart.
        mean_tokens: generated tokens per example, stop tokens included.
    """

    examples: int
    exact: float
    prefix: float
    stop_rate: float
    mean_tokens: float


def summarize(predictions: Sequence[Prediction]) -> Summary:
    """Average the verdicts and lengths over all predictions, each example weighing the same.

    Raises:
        ValueError: there are no predictions, or one has an empty expected answer.
    """
    if not predictions:
        raise ValueError("there are no predictions to summarize")
    return Summary(
        examples=len(predictions),
        exact=fmean(exact_match(each.expected, each.generated) for each in predictions),
        prefix=fmean(prefix_match(each.expected, each.generated) for each in predictions),
        stop_rate=fmean(each.stopped for each in predictions),
        mean_tokens=fmean(each.tokens for each in predictions),
    )
