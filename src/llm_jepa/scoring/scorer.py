"""What a scorer is: one prediction and its example in, named verdicts out."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from statistics import fmean
from typing import TypeAlias

from llm_jepa.records import Example, Prediction

Verdicts: TypeAlias = Mapping[str, float | None]
"""By the name of a measure its value for one example: 1 is right and 0 wrong, or a number; None leaves the example out of
that measure, and the summary counts it."""


class Better(Enum):
    """Which way a measure improves."""

    higher = "higher"
    lower = "lower"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """A number that an evaluation reports.

    Attributes:
        name: its key in `results.json` and `evaluation.json`.
        title: what tables call it.
        what: what it counts and what it leaves out, in a sentence.
        unit: of one value.
        better: which way it improves.
    """

    name: str
    title: str
    what: str
    unit: str = "share, 0 to 1"
    better: Better = Better.higher


class Scorer(ABC):
    """Judges predictions one by one; knows no model."""

    @property
    @abstractmethod
    def measures(self) -> tuple[Measure, ...]:
        """What is measured; the first is the task's own, on which choices are made."""

    @abstractmethod
    def __call__(self, example: Example, prediction: Prediction) -> Verdicts:
        """Return a value for every measure, by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Average:
    """A measure over a set of examples.

    Attributes:
        value: the mean over the examples that count; None when none does.
        counted: how many do.
        excluded: how many were left out.
    """

    value: float | None
    counted: int
    excluded: int


def average(measure: Measure, verdicts: Sequence[Verdicts]) -> Average:
    """Return the mean of one measure over all verdicts, each example weighing the same.

    Example:
        >>> average(Measure(name="exact", title="exact match", what="-"), [{"exact": 1.0}, {"exact": None}, {"exact": 0.0}])
        Average(value=0.5, counted=2, excluded=1)
    """
    found = [verdict[measure.name] for verdict in verdicts]
    known = [value for value in found if value is not None]
    return Average(value=fmean(known) if known else None, counted=len(known), excluded=len(found) - len(known))
