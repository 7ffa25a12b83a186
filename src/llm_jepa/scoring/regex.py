"""Verdicts on a generated regular expression of NL-RX: the same text, or another that accepts the same strings.

The paper counts exact matches, and so do we. Equivalence stands beside them, after the measure of Locascio et al. (2016),
who compared automata: two people may write one language in two ways, `(dog)|(.)` and `(.)|(dog)`. The dialect and how it
departs from theirs is in `llm_jepa.scoring.regex_syntax`.

Equivalence is kind in one way that a reader must know: 16 % of the NL-RX-SYNTH test expressions accept no string at all,
such as `([0-9])&(dog)`, and all of these are equivalent. Two golds taken at random are so in 2.8 % of cases.
"""

from dataclasses import dataclass

from llm_jepa.records import Example, Prediction
from llm_jepa.scoring.regex_language import Clock, OutOfTime, same_language
from llm_jepa.scoring.regex_syntax import SyntaxFault, parse
from llm_jepa.scoring.scorer import Measure, Scorer, Verdicts
from llm_jepa.scoring.text import exact_match, prefix_match


def equivalent(expected: str, generated: str, *, seconds: float = 2.0) -> bool | None:
    """Return whether two regular expressions accept the same strings; None where that is not known.

    Whitespace around either text is left out, as in `exact_match`. Equal texts are equivalent and are not looked into. An
    expected text that is no expression gives None, a generated one False. Nothing that a model may write makes this raise.

    Args:
        expected: the reference expression.
        generated: the expression to judge.
        seconds: of wall-clock time for the pair, reading included; None when it is not decided by then. The call may take
            some tenths of a second longer.

    Example:
        >>> equivalent("(dog)|(.)", "(.)|(dog)")
        True
        >>> equivalent("(dog)+", "(dog)*")
        False
        >>> equivalent("dog", "(dog")
        False
    """
    expected, generated = expected.strip(), generated.strip()
    if expected == generated:
        return True
    clock = Clock(seconds)
    try:
        reference = parse(expected, tick=clock.tick)
    except (SyntaxFault, OutOfTime):
        return None
    try:
        return same_language(reference, parse(generated, tick=clock.tick), clock)
    except SyntaxFault:
        return False
    except OutOfTime:
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class RegexScorer(Scorer):
    """Judges regular expressions by their text and by the language they describe.

    Attributes:
        seconds: of wall-clock time for the equivalence of one pair.
    """

    seconds: float = 2.0

    @property
    def measures(self) -> tuple[Measure, ...]:
        """Exact match, which is the paper's, then equivalence, the paper's prefix criterion and the stop rate."""
        return _MEASURES

    def __call__(self, example: Example, prediction: Prediction) -> Verdicts:
        """Return the four verdicts; `prefix` is None where the expected answer is blank, which every text begins with."""
        del example
        expected, generated = prediction.expected, prediction.generated
        same = equivalent(expected, generated, seconds=self.seconds)
        return {
            "exact": float(exact_match(expected, generated)),
            "equivalent": None if same is None else float(same),
            "prefix": float(prefix_match(expected, generated)) if expected.strip() else None,
            "stopped": float(prediction.stopped),
        }


_MEASURES = (
    Measure(name="exact", title="exact match", what="the text is the expected one, whitespace around it aside"),
    Measure(
        name="equivalent",
        title="same language",
        what="the expression accepts the same strings as the expected one; left out where that was not decided in time "
        "or the expected text is no expression",
    ),
    Measure(name="prefix", title="prefix match", what="the text begins with the expected one; left out where that is blank"),
    Measure(name="stopped", title="stopped", what="a stop token ended the text, and not the token limit"),
)
