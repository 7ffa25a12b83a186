"""From what a preflight measured to verdicts: ok, look, or stop, each with what was found and what to do. Pure functions."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any

from llm_jepa.experiments.inspect.data_facts import Leak
from llm_jepa.experiments.inspect.findings import Finding, Severity
from llm_jepa.experiments.preflight.measures import Gradients, Memory
from llm_jepa.experiments.preflight.probe import Aligned, Probe
from llm_jepa.experiments.preflight.view_facts import ViewFacts
from llm_jepa.experiments.units import duration, prefixed, size
from llm_jepa.objective.jepa import JEPA
from llm_jepa.objective.monitors import Alignment

PAPER_WEIGHTS = (0.5, 1.0, 2.0, 4.0)
"""The paper's grid of weights (section 4.1)."""

MANY = 0.5
"""A share from which a fault spoils a run."""

FEW = 0.01
"""A share below which identical views and rows known from training hardly move a score."""

COPIED = 0.9
"""Share of partners found by shared tokens alone, from which retrieval by embeddings says little."""

BLIND = 3.0
"""Retrieval below so many times chance is as good as none."""

SOLVED = 0.95
"""Retrieval on the untouched model above which a JEPA term has little left to teach."""

HALVED = 0.5
"""A gap that falls below this part of what it was, in a few steps, is on its way to collapse."""

TIGHT = 0.9
"""Share of the memory above which the next longer batch may not fit."""

LONG = 24 * 3600.0
"""Seconds of a run that is worth a second look before it is paid for."""

NEGLIGIBLE = 0.01
"""A weight below this part of the equal one hardly moves the model."""


class Verdict(Enum):
    """What to make of a check, from harmless to fatal."""

    ok = "ok"
    look = "look"
    stop = "stop"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One line of a preflight.

    Attributes:
        name: what was looked at.
        verdict: what to make of it.
        found: what was measured, in a sentence or two.
        advice: what to do; empty where there is nothing to do.
        numbers: what was measured, for programs.
    """

    name: str
    verdict: Verdict
    found: str
    advice: str = ""
    numbers: Mapping[str, Any] = field(default_factory=dict[str, Any])


def worst(checks: Sequence[Check]) -> Verdict:
    """Return the gravest verdict."""
    order = list(Verdict)
    return max((check.verdict for check in checks), key=order.index, default=Verdict.ok)


def views(facts: ViewFacts | None) -> Check:
    """Judge whether predicting one view from the other is a task at all."""
    if facts is None:
        return Check(
            name="views",
            verdict=Verdict.look,
            found="Fewer than two pairs of views: there is no JEPA term.",
            advice="Name the views by `data.columns`, or train without it (objective.weight 0).",
        )
    found = (
        f"{facts.identical:.0%} of {facts.pairs} pairs are identical, in {facts.contained:.0%} one view holds the other. A "
        f"target shares {facts.shared:.0%} of its tokens with its source, {facts.shared_shuffled:.0%} with other sources; "
        f"shared tokens alone find {facts.found:.0%} of the partners."
    )
    verdict, advice = _views_verdict(facts)
    return Check(name="views", verdict=verdict, found=found, advice=advice, numbers=asdict(facts))


def _views_verdict(facts: ViewFacts) -> tuple[Verdict, str]:
    if facts.identical >= MANY:
        return Verdict.stop, "Predicting a view from itself teaches nothing; choose other `data.columns`."
    if facts.template > MANY:
        share = f"{facts.template:.0%}"
        return Verdict.look, f"{share} of a view is chat template, alike in all; set `layout.framed: false`."
    if facts.identical > FEW:
        return Verdict.look, "Leave the identical pairs out; `llm-jepa inspect` names them."
    if facts.contained >= MANY:
        return Verdict.look, "The target can be copied; check that the views are what you mean."
    if facts.found >= COPIED:
        return Verdict.look, "Matching words is enough to align such views; a high retrieval will not mean more than that."
    return Verdict.ok, ""


def leakage(leaks: Sequence[Leak]) -> Check:
    """Judge how much of the held-out rows was trained on."""
    if not leaks:
        return Check(
            name="leakage",
            verdict=Verdict.look,
            found="There are no held-out rows, so nothing will be scored.",
            advice="Set data.test, and data.validation for choices.",
        )
    told = [
        f"{leak.same_text} of {leak.rows} {leak.held_out} rows ({leak.same_text / leak.rows:.1%}) occur in train, "
        f"{leak.same} with the same answer"
        for leak in leaks
    ]
    share = max(leak.same_text / leak.rows for leak in leaks)
    verdict = Verdict.stop if share >= MANY else Verdict.look if share > FEW else Verdict.ok
    advice = "Scores on them measure memory; take them out of one of the two." if share > FEW else ""
    numbers = {leak.held_out: asdict(leak) for leak in leaks}
    return Check(name="leakage", verdict=verdict, found="; ".join(told) + ".", advice=advice, numbers=numbers)


def inspection(findings: Sequence[Finding]) -> Check:
    """Judge what `llm-jepa inspect` finds on labels, stop token, template and lengths."""
    counts = {kind.name: sum(item.severity is kind for item in findings) for kind in Severity}
    errors = [item.text for item in findings if item.severity is Severity.error]
    warnings = [item.text for item in findings if item.severity is Severity.warning]
    grave = errors or warnings
    if not grave:
        return Check(name="data", verdict=Verdict.ok, found="Labels, stop token, template and lengths are in order.")
    rest = f" ({counts['error']} errors and {counts['warning']} warnings in all)" if len(errors + warnings) > 1 else ""
    verdict = Verdict.stop if errors else Verdict.look
    advice = "`llm-jepa inspect` with the same config shows them all, token by token."
    return Check(name="data", verdict=verdict, found=f"{grave[0]}{rest}", advice=advice, numbers=counts)


def untouched(aligned: Aligned | None) -> Check:
    """Judge how well the model aligns the views before any training."""
    if aligned is None:
        return Check(name="alignment", verdict=Verdict.ok, found="There are no pairs to align.")
    before, bare = aligned.before, aligned.bare
    found = (
        f"Before training, a prediction has cosine {before.cosine_matched:.3f} with its own target and "
        f"{before.cosine_shuffled:.3f} with others (gap {before.cosine_gap:.3f}); {before.retrieval_at_1:.1%} of "
        f"{before.pairs} find their own ({bare.retrieval_at_1:.1%} without [PRED], {1 / before.pairs:.1%} by chance); "
        f"effective rank {before.effective_rank:.1f}."
    )
    verdict, advice = _alignment_verdict(before, bare)
    numbers = {"before": asdict(before), "without_predictor": asdict(bare)}
    return Check(name="alignment", verdict=verdict, found=found, advice=advice, numbers=numbers)


def _alignment_verdict(before: Alignment, bare: Alignment) -> tuple[Verdict, str]:
    retrieval = max(before.retrieval_at_1, bare.retrieval_at_1)
    if retrieval >= SOLVED:
        return Verdict.look, "The views are told apart already; the JEPA term has little left to teach."
    if before.collapsed:
        return Verdict.look, (
            "All embeddings lie in one direction, so 1 - cosine is small from the start and says nothing; "
            "`objective.distance: InfoNCE` still tells views apart."
        )
    if retrieval < BLIND / before.pairs:
        return Verdict.look, (
            "The model does not see that the views belong together, as one with random weights does not; plan the control "
            "with shuffled pairs (`llm-jepa compare`)."
        )
    return Verdict.ok, ""


def cost(probe: Probe) -> Check:
    """Judge how long the run will take."""
    plan, scoring = probe.plan, probe.scoring_seconds
    numbers = {
        "steps": plan.steps,
        "steps_per_epoch": plan.steps_per_epoch,
        "flops_per_step": plan.flops_per_step,
        "flops": plan.flops,
        "seconds_per_step": probe.seconds_per_step,
        "scoring_seconds": scoring,
        "probing_steps": probe.steps,
    }
    work = f"{plan.steps:,} steps of {prefixed(plan.flops_per_step)}FLOPs, {prefixed(plan.flops)}FLOPs in all"
    if probe.seconds_per_step is None:
        advice = "Take a smaller model, shorter samples or a quicker machine; or give more --steps."
        return Check(name="cost", verdict=Verdict.look, found=f"{work}; one step alone used up the time.", advice=advice)
    training = plan.steps * probe.seconds_per_step
    scored = f", and scoring at most {duration(scoring)}" if scoring is not None else ""
    found = f"{work}; {duration(probe.seconds_per_step)} a step, so training takes {duration(training)}{scored}."
    total = training + (scoring or 0.0)
    verdict = Verdict.look if total > LONG else Verdict.ok
    advice = "With `--max_minutes` it fits into shorter leases." if total > LONG else ""
    numbers["seconds"] = total
    return Check(name="cost", verdict=verdict, found=found, advice=advice, numbers=numbers)


def fits(memory: Memory) -> Check:
    """Judge whether the training fits into the memory."""
    parts = ("weights", "gradients", "optimizer", "activations")
    told = ", ".join(f"{name} {size(getattr(memory, name))}" for name in parts)
    found = f"{told}; at most {size(memory.peak)} were held, of {size(memory.available)}."
    share = memory.needed / memory.available
    verdict = Verdict.stop if share > 1 else Verdict.look if share > TIGHT else Verdict.ok
    advice = TOO_LARGE if share > TIGHT else ""
    return Check(name="memory", verdict=verdict, found=found, advice=advice, numbers=asdict(memory))


TOO_LARGE = (
    "Halve training.per_device_train_batch_size and double training.gradient_accumulation_steps; then "
    "`training.gradient_checkpointing: true`, or `model.lora`."
)


def weight_range(pulls: Gradients | None, objective: JEPA) -> Check:
    """Judge the weight by the gradients of the two terms."""
    if pulls is None:
        return Check(name="weight", verdict=Verdict.ok, found="There are no pairs to weigh.")
    equal = pulls.equal_weight(objective.gamma)
    tenth = None if equal is None else equal / 10
    numbers = {**asdict(pulls), "equal_weight": equal, "tenth_weight": tenth, "paper": list(PAPER_WEIGHTS)}
    if equal is None:
        return Check(
            name="weight",
            verdict=Verdict.look,
            found="The JEPA term has no gradient: prediction and target are alike in every pair.",
            advice="No weight changes that; check that the views are what you mean.",
            numbers=numbers,
        )
    grid = ", ".join(f"{weight:g}" for weight in PAPER_WEIGHTS)
    found = (
        f"At weight {equal:.2g} both terms pull alike, at {equal / 10:.2g} JEPA pulls a tenth (gradients "
        f"{pulls.next_token:.3g} and {pulls.jepa:.3g}, cosine {pulls.cosine:+.2f}); the paper's grid is {grid}."
    )
    verdict, advice = _weight_verdict(objective, equal)
    return Check(name="weight", verdict=verdict, found=found, advice=advice, numbers=numbers)


def _weight_verdict(objective: JEPA, equal: float) -> tuple[Verdict, str]:
    worth = f"try {equal / 10:.2g} to {equal:.2g}"
    if not objective.trains_views:
        return Verdict.ok, f"This arm is plain; for LLM-JEPA, {worth}."
    given = objective.effective_weight
    own = given / equal
    if own > 1:
        return Verdict.look, f"At the given {given:g} JEPA pulls {own:.2g} times as hard; {worth}."
    if own < NEGLIGIBLE:
        return Verdict.look, f"At the given {given:g} JEPA hardly moves the model; {worth}."
    return Verdict.ok, f"The given {given:g} lies where it is worth trying: {worth}."


def first_steps(probe: Probe, objective: JEPA, learning_rate: float) -> Check:
    """Judge what the probing steps did to the alignment: a collapse begins early, and the loss does not show it."""
    aligned = probe.aligned
    if aligned is None:
        return Check(name="first steps", verdict=Verdict.ok, found="There are no pairs to watch.")
    before, after = aligned.before, aligned.after
    found = (
        f"After {probe.steps} steps at weight {objective.weight:g} and learning rate {learning_rate:g}: gap "
        f"{before.cosine_gap:.3f} -> {after.cosine_gap:.3f}, cosine of others {before.cosine_shuffled:.3f} -> "
        f"{after.cosine_shuffled:.3f}, retrieval {before.retrieval_at_1:.1%} -> {after.retrieval_at_1:.1%}, effective rank "
        f"{before.effective_rank:.1f} -> {after.effective_rank:.1f}."
    )
    falls = after.cosine_gap < HALVED * before.cosine_gap and after.effective_rank < before.effective_rank
    sinks = objective.trains_views and not before.collapsed and (after.collapsed or falls)
    advice = (
        "The embeddings run together here; small models did so from weight 0.1 on. Take a smaller weight, or InfoNCE, and "
        "watch gap and retrieval rather than the loss."
        if sinks
        else ""
    )
    verdict = Verdict.look if sinks else Verdict.ok
    numbers = {"steps": probe.steps, "learning_rate": learning_rate, "after": asdict(after)}
    return Check(name="first steps", verdict=verdict, found=found, advice=advice, numbers=numbers)
