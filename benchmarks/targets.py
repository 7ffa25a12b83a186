"""What is aimed at, each target in one place with its source in words, and whether a run meets it.

A target is checked with the ratio of minima (the least disturbed run of each variant). A missed one is shown as missed.
"""

from dataclasses import dataclass

LARGE_VOCABULARY = 100_000
"""Rows of the output layer from which on the target for large vocabularies holds ("128 k")."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A bound.

    Attributes:
        limit: the bound itself.
        source: the target in words, as it was set.
        at_least: the value must reach the limit; else it must not pass it.
    """

    limit: float
    source: str
    at_least: bool = False

    def check(self, value: float) -> "Verdict":
        """Return the verdict on a measured value; what could not be measured (NaN) is missed."""
        met = value >= self.limit if self.at_least else value <= self.limit
        return Verdict(target=self, value=value, met=met)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A measured value beside its target."""

    target: Target
    value: float
    met: bool

    @property
    def word(self) -> str:
        """Return "met" or "MISSED"."""
        return "met" if self.met else "MISSED"

    @property
    def number(self) -> str:
        """Return the value in digits."""
        return f"{self.value:,.0f}" if self.value >= 1000 else f"{self.value:.2f}"


SHARED_OVER_NTP = Target(limit=1.35, source="<= 1.35")
SHARED_OVER_TOKENS = Target(limit=1.05, source="<= 1.05")
SHARED_OVER_TRAINER = Target(limit=1.10, source="<= 1.10")
SHARED_OVER_TRAINER_LARGE = Target(limit=1.0, source="< 1.0 from 100 k vocabulary on")
NTP_OVER_TRL = Target(limit=1.0, source="<= 1.0")
DROPOUT_OVER_NTP = Target(limit=1.12, source="<= 1.12")
OFFICIAL_OVER_SHARED = Target(limit=20.0, source=">= 20", at_least=True)
MEMORY_OVER_TRAINER = Target(limit=1.0, source="<= 1.0")
THROUGHPUT = Target(limit=20_000, source=">= 20,000 a second and core", at_least=True)


def over_trainer(vocabulary: int) -> Target:
    """Return the target for LLM-JEPA over the plain Trainer: large output layers gain from making few logits."""
    return SHARED_OVER_TRAINER_LARGE if vocabulary >= LARGE_VOCABULARY else SHARED_OVER_TRAINER
