"""What a recipe is: a table or figure of the paper as data. What it trains, what it measures, what the paper states."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llm_jepa.experiments.compare.arms import PAPER_SEEDS, Arm
from llm_jepa.experiments.results.run_records import RunSummary
from llm_jepa.recipes.facts import Model, Rows

if TYPE_CHECKING:
    from llm_jepa.recipes.outcome import Outcome
    from llm_jepa.recipes.sections import Section

PERCENT = 100.0


@dataclass(frozen=True, slots=True)
class Stated:
    """A number as the paper prints it: "54.38 ± 1.70", or without a deviation.

    Attributes:
        text: mean, and after "±" the deviation over seeds.
    """

    text: str

    @property
    def parts(self) -> tuple[str, ...]:
        """Mean and deviation, or the mean alone, digit for digit."""
        return tuple(part.strip() for part in self.text.split("±"))

    @property
    def mean(self) -> float:
        """The mean."""
        return float(self.parts[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How a run is read: which number of it stands beside the paper's.

    Attributes:
        title: what the number is, with its unit.
        value: reads it from the run, and from all runs of its study; None where it is not there.
    """

    title: str
    value: Callable[[RunSummary, Sequence[RunSummary]], float | None]


def _accuracy(run: RunSummary, others: Sequence[RunSummary]) -> float:
    del others
    return PERCENT * run.results.accuracy


def _prefix(run: RunSummary, others: Sequence[RunSummary]) -> float | None:
    del others
    share = run.results.scores.get("prefix match")
    return None if share is None else PERCENT * share


ACCURACY = Reading(title="accuracy (%)", value=_accuracy)
PREFIX = Reading(title="prefix match (%)", value=_prefix)


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant(Arm):
    """An arm of a recipe.

    Attributes:
        kind: what reports take it for: "plain", "jepa", "shuffled", or a name of its own; runs of one kind are told apart
            by their settings.
    """

    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A number of the paper and the run that answers it.

    Attributes:
        setting: what the paper calls it.
        arm: name of the arm.
        paper: the paper's number; None where it is drawn and not printed.
        reading: which number of the run.
        note: what a reader should know of this one.
    """

    setting: str
    arm: str
    paper: Stated | None = None
    reading: Reading = ACCURACY
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """A comparison that the paper tests.

    Attributes:
        treatment: name of the arm that should be better.
        control: name of the other.
        p: the paper's p, as it is printed.
        reading: which number of the runs is compared.
    """

    treatment: str
    control: str
    p: str | None = None
    reading: Reading = ACCURACY


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """One model on one data set: runs that may be compared. Recipes that have the same study share its runs.

    Attributes:
        name: its folder; with an arm's name it stands for one configuration, in every recipe.
        title: what pages call it.
        model: which model.
        rows: which data.
        settings: value by dotted name of the config's field, for all arms.
        arms: what is trained.
        claims: the paper's numbers.
        gains: the paper's tests.
        pretrained: None: by the model's own weights, or random ones. A study: every run starts from a run of
            that study, of the same arm, with every seed (two stages).
        scored: the runs answer test rows.
    """

    name: str
    title: str
    model: Model
    rows: Rows
    settings: Mapping[str, Any]
    arms: tuple[Variant, ...]
    claims: tuple[Claim, ...] = ()
    gains: tuple[Gain, ...] = ()
    pretrained: "Study | None" = None
    scored: bool = True

    def arm(self, name: str) -> Variant:
        """Return the arm of this name."""
        return next(arm for arm in self.arms if arm.name == name)


class Extra(ABC):
    """What a recipe shows beside numbers: predictions, continuations, an analysis.

    Attributes:
        embeds: it reads embeddings.
    """

    embeds: bool = False

    @abstractmethod
    def sections(self, outcome: "Outcome") -> "Sequence[Section]":
        """Return what the page shows, once all runs are finished; may measure more on the trained models."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A table or figure of the paper.

    Attributes:
        name: such as "table-2".
        title: what it shows.
        shows: what the paper concludes from it, and how ours is made, in a few sentences.
        studies: what is trained.
        seeds: of every arm; the paper's, unless it shows a single run.
        extras: what is shown beside the numbers.
        deviations: what is known to differ from how the paper's numbers came about, beyond `EVERYWHERE`.
        small: names of the arms that the tiny scale keeps; None: all.
    """

    name: str
    title: str
    shows: str
    studies: tuple[Study, ...]
    seeds: tuple[int, ...] = PAPER_SEEDS
    extras: tuple[Extra, ...] = ()
    deviations: tuple[str, ...] = ()
    small: frozenset[str] | None = None


def starts(studies: Sequence[Study]) -> tuple[Study, ...]:
    """Return the studies whose models others start from, each once."""
    found = {study.pretrained.name: study.pretrained for study in studies if study.pretrained is not None}
    return tuple(found.values())
