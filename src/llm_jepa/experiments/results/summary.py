"""Two honest sentences on what the runs show, computed from their numbers.

The first says whether JEPA gained over plain training; the second whether the pairing of the views had a part in it,
and whether the embeddings still tell examples apart. Words follow the corrected test alone: a difference that is not
significant is never called a gain, and one seed is never called a result.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from llm_jepa.experiments.results.collected import JEPA, PLAIN, SHUFFLED, RunSummary, arms, of_arm, read_runs
from llm_jepa.experiments.results.measures import counted, percent, points
from llm_jepa.experiments.results.significance import p_cell
from llm_jepa.experiments.results.statistics import POWER, Comparison, describe
from llm_jepa.objective import monitors
from llm_jepa.objective.monitors import COLLAPSED_COSINE, COLLAPSED_GAP, TELLING_RETRIEVAL

__all__ = ["COLLAPSED_COSINE", "COLLAPSED_GAP", "RunSummary", "collapsed", "main_comparison", "read_runs", "verdict"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Main:
    """The comparison that the verdict is about.

    Attributes:
        comparison: JEPA, or another arm, over plain training.
        chosen: how it was chosen where there were several; empty where it is the only one.
    """

    comparison: Comparison
    chosen: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Evidence:
    """What the sentences are made of: the arm in question, and its three comparisons where they exist."""

    arm: str
    name: str
    runs: tuple[RunSummary, ...]
    over_plain: Comparison
    over_shuffled: Comparison | None
    shuffled_over_plain: Comparison | None

    def accuracy(self, arm: str, comparison: Comparison) -> str:
        """Mean accuracy of an arm over the seeds of a comparison."""
        scores = [run.results.accuracy for run in of_arm(self.runs, arm) if run.seed in comparison.seeds]
        return percent(describe(scores).mean)


def main_comparison(runs: Sequence[RunSummary], comparisons: Sequence[Comparison]) -> Main | None:
    """Return the comparison of JEPA with plain training; without JEPA the first other arm's; None when there is none.

    Of several JEPA arms (a grid) it is the one with the highest accuracy on the validation rows. Where those were not
    scored it is the best on the very rows that are shown, and `chosen` says so.
    """
    kinds = {run.arm: run.kind for run in runs}
    over_plain = [item for item in comparisons if kinds[item.control] == PLAIN and kinds[item.treatment] != SHUFFLED]
    ours = [item for item in over_plain if kinds[item.treatment] == JEPA]
    if len(ours) < 2:
        return next((Main(comparison=item) for item in [*ours, *over_plain]), None)
    count = len({item.treatment for item in ours})
    held_out = {arm: _mean([run.results.validation for run in of_arm(runs, arm)]) for arm in arms(runs)}
    known = {item.treatment: value for item in ours if (value := held_out[item.treatment]) is not None}
    if len(known) == count:
        best = max(ours, key=lambda item: known[item.treatment])
        return Main(comparison=best, chosen=f"the best of {count} arms on the validation rows")
    best = max(ours, key=lambda item: item.gain)
    return Main(comparison=best, chosen=f"the best of {count} arms on these very rows, which flatters it")


def verdict(runs: Sequence[RunSummary], comparisons: Sequence[Comparison]) -> tuple[str, str]:
    """Say in two sentences what the runs show: on the gain, and on the pairing and the embeddings.

    They are about `main_comparison`.
    """
    main = main_comparison(runs, comparisons)
    if main is None:
        absent = "There are no runs with the same seed of plain training and of another arm, so no gain can be measured."
        return absent, "Without such a pair of runs there is nothing to say on the views either."
    item, kinds = main.comparison, {run.arm: run.kind for run in runs}
    over_shuffled = _find(comparisons, kinds, item.treatment, SHUFFLED)
    evidence = _Evidence(
        arm=item.treatment,
        name=_name(item.treatment, of_arm(runs, item.treatment)) + (f", {main.chosen}," if main.chosen else ""),
        runs=tuple(runs),
        over_plain=item,
        over_shuffled=over_shuffled,
        shuffled_over_plain=None if over_shuffled is None else _find(comparisons, kinds, over_shuffled.control, PLAIN),
    )
    return _gain(evidence), f"{_pairing(evidence)}; {_embeddings(evidence)}."


def collapsed(run: RunSummary) -> bool | None:
    """Whether the embeddings all point in one direction and no longer tell examples apart; None when not measured."""
    matched, shuffled = run.results.cosine_matched, run.results.cosine_shuffled
    if matched is None or shuffled is None:
        return None
    retrieval = run.results.retrieval_at_1 or 0
    return monitors.collapsed(cosine_matched=matched, cosine_shuffled=shuffled, retrieval_at_1=retrieval)


def _find(comparisons: Sequence[Comparison], kinds: Mapping[str, str], treatment: str, control: str) -> Comparison | None:
    return next((item for item in comparisons if item.treatment == treatment and kinds[item.control] == control), None)


def _name(arm: str, runs: Sequence[RunSummary]) -> str:
    weights = sorted({run.results.weight for run in runs if run.results.weight is not None})
    name = "JEPA" if arm == JEPA else f"'{arm}'"
    if not weights or any(run.family for run in runs):
        return name
    return f"{name} with weight {' or '.join(f'{weight:g}' for weight in weights)}"


def _of_plain(evidence: _Evidence) -> str:
    """What to call the control: the verdict has to tell one plain arm from another."""
    control = evidence.over_plain.control
    return "plain training" if control == PLAIN else f"'{control}'"


def _gain(evidence: _Evidence) -> str:
    """The first sentence."""
    item = evidence.over_plain
    ours, plain = evidence.accuracy(item.treatment, item), evidence.accuracy(item.control, item)
    test = f" ({counted(item.n, 'seed')})" if item.p_t_holm is None else f", {p_cell(item)}"
    return f"{evidence.name} scored {ours} against {plain} for {_of_plain(evidence)}{test}: {_gain_clause(item)}."


def _gain_clause(item: Comparison) -> str:
    size = f"{_points(abs(item.gain))}"
    if item.n == 1:
        direction = "the same" if item.gain == 0 else f"{size} {'more' if item.gain > 0 else 'less'}"
        return f"{direction}, but one seed allows no test, so neither a gain nor a loss is shown"
    if item.significant:
        return f"a gain of {size}, more than the spread over seeds explains"
    if item.p_t_holm is None:
        return f"no gain was shown, as the difference is {points(item.gain)} points for every seed and t is undefined"
    if item.gain > 0:
        seen = f"no gain was shown, as {points(item.gain)} points are within the spread over seeds"
    else:
        lower = sum(difference < 0 for difference in item.differences)
        seen = f"no gain was seen, and plain training scored higher for {lower} of {counted(item.n, 'seed')}"
    if item.detectable is None:
        return seen
    if item.detectable >= 1:
        return f"{seen}; this design could have shown no gain at all, however large"
    likely = f"with a probability of {POWER:.0%}".replace("%", " %")
    return f"{seen}; with this design a gain of {_points(item.detectable)} would have been, {likely}"


def _pairing(evidence: _Evidence) -> str:
    """What the control on shuffled pairs says."""
    item = evidence.over_shuffled
    if item is None:
        return "No control on shuffled pairs was run with the same seeds, so the part of the pairing is unknown"
    real, shuffled = evidence.accuracy(item.treatment, item), evidence.accuracy(item.control, item)
    scores = f"{shuffled} against {real} for real pairs"
    gained = evidence.over_plain.significant
    if item.n == 1:
        return f"Training on shuffled pairs scored {scores}, with one seed and so without a test"
    if item.significant:
        consequence = "so the pairing has a part in the gain" if gained else "which is no gain over plain training"
        return f"Real pairs scored {_points(item.gain)} more than shuffled ones, {p_cell(item)}, {consequence}"
    control = evidence.shuffled_over_plain
    if gained and control is not None and control.significant:
        return (
            f"The gain survives shuffling: pairs of different examples gained {_points(control.gain)} over plain "
            f"training too, {p_cell(control)}, so what the views say is not shown to matter"
        )
    test = f", {p_cell(item)}" if item.p_t_holm is not None else " (no test)"
    consequence = ", so the gain cannot be put down to the pairing" if gained else ""
    return f"Training on shuffled pairs scored {scores}: the pairing is not shown to matter{test}{consequence}"


def _embeddings(evidence: _Evidence) -> str:
    """Whether the embeddings of the arm tell examples apart."""
    runs = [run for run in of_arm(evidence.runs, evidence.arm) if collapsed(run) is not None]
    cosines = _cosines(runs)
    if cosines is None:
        return "whether its embeddings collapsed was not measured"
    matched, shuffled = cosines
    plain = _cosines(of_arm(evidence.runs, evidence.over_plain.control))
    beside = "" if plain is None else f", under plain training {plain[0]:.3f} and {plain[1]:.3f}"
    numbers = f"(cosine {matched:.3f} for matched and {shuffled:.3f} for shuffled pairs{beside}{_retrieval(runs)})"
    fallen = sum(collapsed(run) is True for run in runs)
    if fallen:
        where = "" if fallen == len(runs) else f" for {fallen} of {counted(len(runs), 'seed')}"
        return f"the embeddings collapsed onto one direction{where} {numbers}"
    if matched - shuffled >= COLLAPSED_GAP:
        return f"the embeddings did not collapse {numbers}"
    telling = (_mean([run.results.retrieval_at_1 for run in runs]) or 0) >= TELLING_RETRIEVAL
    return f"the embeddings lie close together, {'yet' if telling else 'and hardly'} tell examples apart {numbers}"


def _cosines(runs: Sequence[RunSummary]) -> tuple[float, float] | None:
    matched = _mean([run.results.cosine_matched for run in runs])
    shuffled = _mean([run.results.cosine_shuffled for run in runs])
    return None if matched is None or shuffled is None else (matched, shuffled)


def _retrieval(runs: Sequence[RunSummary]) -> str:
    found = _mean([run.results.retrieval_at_1 for run in runs])
    sizes = {run.results.retrieval_candidates for run in runs}
    size = sizes.pop() if len(sizes) == 1 else None
    if found is None or not size:
        return ""
    return f"; retrieval finds {percent(found)} of the partners among {size:,.0f} candidates, chance {percent(1 / size)}"


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return describe(known).mean if known else None


def _points(size: float) -> str:
    return f"{100 * size:.1f} points"
