"""The paper's numbers beside ours, as values: one row a number and preset, and one a tested gain."""

from dataclasses import dataclass

from llm_jepa.experiments.compare.arms import PAPER_SEEDS
from llm_jepa.experiments.presets import Preset
from llm_jepa.experiments.results.measures import counted, points
from llm_jepa.experiments.results.significance import p_cell
from llm_jepa.experiments.results.statistics import Comparison, comparison, corrected, describe
from llm_jepa.recipes.outcome import Outcome
from llm_jepa.recipes.recipe import PERCENT, Claim, Gain, Study


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """A number of the paper and ours.

    Attributes:
        study: title of the model and the data.
        setting: what the paper calls it.
        preset: set of options of our runs.
        measure: what the number is.
        paper: as the paper prints it; None where it is drawn and not printed.
        paper_mean: its mean.
        ours: our mean; None where there is no run.
        deviation: our sample standard deviation; None with fewer than two runs.
        n: number of our runs.
        note: what a reader should know.
    """

    study: str
    setting: str
    preset: str
    measure: str
    paper: str | None
    paper_mean: float | None
    ours: float | None
    deviation: float | None
    n: int
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tested:
    """A gain that the paper tests, and ours.

    Attributes:
        study: title of the model and the data.
        comparison: who is compared with whom.
        preset: set of options of our runs.
        paper: the paper's gain and p; None where it has none.
        ours: our gain and p, with the number of pairs and the correction.
    """

    study: str
    comparison: str
    preset: str
    paper: str | None
    ours: str


def beside(outcome: Outcome) -> list[Beside]:
    """Return every number that the recipe names, by study, then as the paper lists them, then by preset."""
    plan = outcome.plan
    return [
        _row(outcome, study, claim, preset) for study in plan.chosen() for claim in study.claims for preset in plan.presets
    ]


def _row(outcome: Outcome, study: Study, claim: Claim, preset: Preset) -> Beside:
    values = tuple(outcome.values(study, preset, claim.arm, claim.reading).values())
    found = describe(values) if values else None
    return Beside(
        study=study.title,
        setting=claim.setting,
        preset=preset.value,
        measure=claim.reading.title,
        paper=None if claim.paper is None else claim.paper.text,
        paper_mean=None if claim.paper is None else claim.paper.mean,
        ours=None if found is None else found.mean,
        deviation=None if found is None else found.deviation,
        n=0 if found is None else found.n,
        note=claim.note,
    )


def tested(outcome: Outcome) -> list[Tested]:
    """Return every gain that the recipe names, by preset; the tests of one preset are corrected together."""
    found: list[Tested] = []
    for preset in outcome.plan.presets:
        made = [
            (study, gain, compared)
            for study in outcome.plan.chosen()
            for gain in study.gains
            if (compared := _comparison(outcome, study, gain, preset)) is not None
        ]
        for (study, gain, _), item in zip(made, corrected([compared for _, _, compared in made]), strict=True):
            found.append(
                Tested(
                    study=study.title,
                    comparison=f"{gain.treatment} over {gain.control}",
                    preset=preset.value,
                    paper=_stated(study, gain),
                    ours=f"{points(item.gain)}, {p_cell(item)}",
                )
            )
    return found


def _comparison(outcome: Outcome, study: Study, gain: Gain, preset: Preset) -> Comparison | None:
    by_seed = [
        {seed: value / PERCENT for seed, value in outcome.independent(study, preset, arm, gain.reading).items()}
        for arm in (gain.treatment, gain.control)
    ]
    if not by_seed[0].keys() & by_seed[1].keys():
        return None
    return comparison(gain.treatment, gain.control, *by_seed)


def _stated(study: Study, gain: Gain) -> str | None:
    """Return the paper's gain, from its means, and its p."""
    means = [
        next((claim.paper.mean for claim in study.claims if claim.arm == arm and claim.paper is not None), None)
        for arm in (gain.treatment, gain.control)
    ]
    if means[0] is None or means[1] is None:
        return None
    runs = counted(len(PAPER_SEEDS), "seed") if study.pretrained is None else "5 × 5 runs"
    p = "no test" if gain.p is None else f"p = {gain.p} ({runs}, uncorrected)"
    return f"{points((means[0] - means[1]) / PERCENT)}, {p}"
