"""Short answers with several references, found in the output: the scorer of open questions (NQ-Open).

The references stand in the answer, joined with "; ". In the paper an output is right when a reference is a substring of it;
that is `contains_raw`, which finds "5" in "1957" too, and so `contains` asks for whole words. The official code looks the
other way round, for the output in the answer, so that saying nothing is always right; here it is always wrong.

Texts are compared as in the evaluation of SQuAD and NQ-Open (Rajpurkar et al., 2016; Lee et al., 2019): lower case, without
ASCII punctuation, without the articles a, an, the, white space collapsed, accents as separate characters. Punctuation is
removed and not replaced by a space, as there: "1,000" is "1000", and "Paris/London" one word.
"""

import re
import string
import unicodedata
from dataclasses import dataclass

from llm_jepa.records import Example, Prediction
from llm_jepa.scoring.scorer import Measure, Scorer, Verdicts
from llm_jepa.scoring.text import STOPPED

SEPARATOR = "; "

CONTAINS = Measure(
    name="contains",
    title="contains a reference",
    what="a reference occurs in the output as whole words, both normalised; leaves out examples without a reference. Longer "
    "outputs find more, so it is read beside the exact answer",
)
CONTAINS_RAW = Measure(
    name="contains_raw",
    title="contains a reference, as written",
    what="a reference occurs in the output character by character, also inside a word; leaves out examples without one",
)
EXACT_REFERENCE = Measure(
    name="exact_reference",
    title="exact answer",
    what="the output is one of the references, both normalised: the exact match of open-domain question answering; an "
    "output that lists several references is wrong; leaves out examples without one",
)

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")


def normalise(text: str) -> str:
    """Return the words that count, joined by single spaces.

    Example:
        >>> normalise("The  Jackson 5, an American band.")
        'jackson 5 american band'
    """
    plain = unicodedata.normalize("NFD", text).lower().translate(_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", plain).split())


def references(answer: str) -> tuple[str, ...]:
    """Return the references that an answer joins, without white space around and without blank ones.

    Example:
        >>> references("Guy Henry; actor Guy Henry")
        ('Guy Henry', 'actor Guy Henry')
    """
    return tuple(part.strip() for part in answer.split(SEPARATOR) if part.strip())


def contains(output: str, reference: str) -> bool:
    """Return whether the reference occurs in the output as a phrase of whole words, both normalised.

    A reference of which the normalisation leaves nothing ("/", "The") would be in every output. It is right only when it
    is the whole output, compared as written less white space around.

    Example:
        >>> contains("It was Guy Henry, the actor.", "Guy Henry")
        True
        >>> contains("Guy", "Guy Henry")
        False
    """
    phrase = normalise(reference)
    return f" {phrase} " in f" {normalise(output)} " if phrase else output.strip() == reference.strip()


def equals(output: str, reference: str) -> bool:
    """Return whether output and reference are the same, both normalised; where nothing is left of one, as in `contains`.

    Example:
        >>> equals("The Beatles.", "Beatles")
        True
    """
    phrase = normalise(reference)
    return phrase == normalise(output) if phrase else output.strip() == reference.strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class AnyReference(Scorer):
    """Right when any of the references in the answer is in the output. An output without words is wrong.

    `exact_reference` is never above `contains`. `contains_raw` is neither above nor below it: it needs the same case and
    punctuation, and finds a reference inside a word.
    """

    @property
    def measures(self) -> tuple[Measure, ...]:
        """The two containments, equality with a reference, and the stop rate."""
        return CONTAINS, CONTAINS_RAW, EXACT_REFERENCE, STOPPED

    def __call__(self, example: Example, prediction: Prediction) -> Verdicts:
        """Return the four values; see the measures for what they leave out."""
        right, output = references(example.answer), prediction.generated
        if not right:
            return {"contains": None, "contains_raw": None, "exact_reference": None, "stopped": float(prediction.stopped)}
        return {
            "contains": float(any(contains(output, reference) for reference in right)),
            "contains_raw": float(any(reference in output for reference in right)),
            "exact_reference": float(any(equals(output, reference) for reference in right)),
            "stopped": float(prediction.stopped),
        }
