"""Choices made by likelihood: nothing is generated, the model says how likely each answer is (HellaSwag).

`Prediction.likelihoods` has two kinds of entries, log-likelihoods in nats:

- "letter A", "letter B" and so on: of the letter after the prompt that lists the endings. The letter with the highest is the
  model's choice. This is the paper's measure: "the relative probabilities of the four candidate options".
- "ending A", "ending B" and so on, or none of them: of the whole ending after the context, summed over its tokens. This is
  how HellaSwag is usually scored. As sums favour short endings, each is divided by the length of its text in characters,
  `Example.extra["ending A"]`, as `acc_norm` of the field's evaluation harness (EleutherAI's lm-evaluation-harness) does;
  the sums are compared beside it.

The choices are all letters that any of these name. Only one that is more likely than every other counts: all equal, as an
untrained model may have it, is wrong, and so is a likelihood that is not a number. An example whose answer is none of the
letters is left out of every measure.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from llm_jepa.records import Example, Prediction
from llm_jepa.scoring.scorer import Measure, Scorer, Verdicts

LETTER_KEY, ENDING_KEY = "letter ", "ending "
"""What stands before a letter in `Prediction.likelihoods`; the second also in `Example.extra`."""

LETTER = Measure(
    name="letter",
    title="right letter",
    what="the right letter is more likely than every other; leaves out examples without a likelihood for every letter",
)
LETTER_PROBABILITY = Measure(
    name="letter_probability",
    title="probability of the right letter",
    what="the right letter's probability among the letters alone; leaves out examples without a likelihood for every letter",
)
ENDING = Measure(
    name="ending",
    title="right ending",
    what="the right ending is more likely per character than every other; leaves out examples without a likelihood and a "
    "text for every ending",
)
ENDING_RAW = Measure(
    name="ending_raw",
    title="right ending, not normalised",
    what="the right ending is more likely as a whole than every other; leaves out examples without a likelihood for every "
    "ending",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoiceScorer(Scorer):
    """Compares the most likely letter, and the most likely ending, with the right one."""

    @property
    def measures(self) -> tuple[Measure, ...]:
        """By letter, the letter's probability, and by ending with and without normalisation."""
        return LETTER, LETTER_PROBABILITY, ENDING, ENDING_RAW

    def __call__(self, example: Example, prediction: Prediction) -> Verdicts:
        """Return the four values; see the measures for what they leave out."""
        right, choices = example.answer.strip(), _choices(example, prediction)
        letters = _of_all(choices, prediction.likelihoods, LETTER_KEY)
        endings = _of_all(choices, prediction.likelihoods, ENDING_KEY)
        return {
            "letter": _chosen(letters, right),
            "letter_probability": _probability(letters, right),
            "ending": _chosen(_per_character(endings, example.extra), right),
            "ending_raw": _chosen(endings, right),
        }


def _choices(example: Example, prediction: Prediction) -> set[str]:
    """Return the letters that the example and the prediction name, with or without a likelihood."""
    named = [(key, LETTER_KEY) for key in prediction.likelihoods]
    named += [(key, ENDING_KEY) for key in (*prediction.likelihoods, *example.extra)]
    return {key.removeprefix(kind) for key, kind in named if key.startswith(kind)}


def _of_all(choices: set[str], likelihoods: Mapping[str, float], kind: str) -> dict[str, float]:
    """Return the likelihoods of one kind by letter; none at all when one is missing: three are no choice of four."""
    found = {letter: likelihoods[kind + letter] for letter in choices if kind + letter in likelihoods}
    return found if len(found) == len(choices) > 1 else {}


def _per_character(endings: Mapping[str, float], texts: Mapping[str, str]) -> dict[str, float]:
    """Return the likelihoods divided by the lengths of the endings; none at all when a text is missing or empty."""
    lengths = {letter: len(texts.get(ENDING_KEY + letter, "")) for letter in endings}
    return {letter: endings[letter] / lengths[letter] for letter in endings} if all(lengths.values()) else {}


def _chosen(values: Mapping[str, float], right: str) -> float | None:
    """Return whether the right choice has the one highest value; None when it has no value."""
    if right not in values:
        return None
    return float(all(values[right] > value for letter, value in values.items() if letter != right))


def _probability(values: Mapping[str, float], right: str) -> float | None:
    """Return exp(right) / sum of exp(each), which is 0 where that is no number; None when the right choice has no value."""
    if right not in values:
        return None
    highest = max(values.values())
    if math.isinf(highest) or any(math.isnan(value) for value in values.values()):
        return 0.0
    return math.exp(values[right] - highest) / math.fsum(math.exp(value - highest) for value in values.values())
