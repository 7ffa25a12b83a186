"""Labels that a model writes out: right when the output begins with the right one (Rotten Tomatoes, Yelp).

The paper (section 4.1) calls a prediction right if the generated output begins with the ground-truth label. That is taken
at its word: no word boundary is asked for, because a model that has not learned to stop writes "GoodGoodGood", which the
paper counts. The price is that "Goodness" is "Good" too; read `label` beside `exact` and the stop rate. Case counts, white
space around the output does not.

The label that an output gives is the longest known one that it begins with. No label of the paper begins with another, so
there this is the paper's rule; among "Fair" and "Fair to good" it keeps the longer answer from counting for the shorter.
"""

from collections import Counter
from dataclasses import dataclass

from llm_jepa.errors import UserError
from llm_jepa.records import Example, Prediction
from llm_jepa.scoring.scorer import Measure, Scorer, Verdicts
from llm_jepa.scoring.text import EXACT, STOPPED, exact_verdict

LABEL = Measure(
    name="label",
    title="right label",
    what="the output begins with the right label; leaves out examples whose answer is no known label",
)
VALID = Measure(
    name="valid",
    title="any label",
    what="the output begins with a known label, right or wrong; leaves out nothing",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelPrefix(Scorer):
    """Reads the label that an output begins with.

    Attributes:
        labels: all there are, each filled and none twice; white space around them does not count.

    Raises:
        UserError: there are no labels, or one is blank or stands there twice.

    Example:
        >>> LabelPrefix(labels=("Very Good", "Good")).given("Good. Very Good")
        'Good'
    """

    labels: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.labels:
            raise UserError("labels is empty; name every label that an answer may be")
        counts = Counter(label.strip() for label in self.labels)
        if "" in counts:
            raise UserError("labels has a blank one; every output begins with it, so leave it out")
        twice = next((label for label, count in counts.items() if count > 1), None)
        if twice is not None:
            raise UserError(f"labels has '{twice}' twice; name every label once")

    @property
    def measures(self) -> tuple[Measure, ...]:
        """The right label, the whole answer, any label, and the stop rate."""
        return LABEL, EXACT, VALID, STOPPED

    def given(self, output: str) -> str | None:
        """Return the longest label that the output begins with; None when it begins with none."""
        text = output.strip()
        return max((label.strip() for label in self.labels if text.startswith(label.strip())), key=len, default=None)

    def __call__(self, example: Example, prediction: Prediction) -> Verdicts:
        """Return the four values; see the measures for what they leave out."""
        right, given = example.answer.strip(), self.given(prediction.generated)
        known = any(label.strip() == right for label in self.labels)
        return {
            "label": float(given == right) if known else None,
            "exact": exact_verdict(example, prediction),
            "valid": float(given is not None),
            "stopped": float(prediction.stopped),
        }
