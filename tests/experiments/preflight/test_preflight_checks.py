"""Verdicts of a preflight: every finding, from measurements written out."""

from dataclasses import replace

import pytest

from llm_jepa.experiments.inspect.data_facts import Leak
from llm_jepa.experiments.inspect.findings import Finding, Severity
from llm_jepa.experiments.planning import Plan
from llm_jepa.experiments.preflight import checks
from llm_jepa.experiments.preflight.checks import Check, Verdict
from llm_jepa.experiments.preflight.measures import Gradients, Memory
from llm_jepa.experiments.preflight.probe import Aligned, Probe
from llm_jepa.experiments.preflight.view_facts import ViewFacts
from llm_jepa.objective.jepa import JEPA
from llm_jepa.objective.monitors import Alignment

VIEWS = ViewFacts(pairs=200, identical=0.0, contained=0.0, shared=0.2, shared_shuffled=0.1, found=0.3, template=0.0)
LEAK = Leak(held_out="test", rows=200, train="train", same_text=0, same=0, same_answer=0)
ALIGNED = Alignment(
    cosine_matched=0.6, cosine_shuffled=0.3, cosine_gap=0.3, retrieval_at_1=0.4, effective_rank=50.0, pairs=200
)
COLLAPSED = Alignment(
    cosine_matched=0.995, cosine_shuffled=0.994, cosine_gap=0.001, retrieval_at_1=0.005, effective_rank=2.0, pairs=200
)
MEMORY = Memory(weights=10, gradients=10, optimizer=20, activations=10, peak=40, available=1000)
PROBE = Probe(
    aligned=Aligned(before=ALIGNED, bare=ALIGNED, after=ALIGNED),
    gradients=Gradients(next_token=2.0, jepa=4.0, cosine=-0.1),
    plan=Plan(steps=1000, steps_per_epoch=250, flops_per_step=2e9),
    steps=20,
    seconds_per_step=0.5,
    scoring_seconds=60.0,
    memory=MEMORY,
)


@pytest.mark.parametrize(
    ("changes", "verdict", "words"),
    [
        ({}, Verdict.ok, ""),
        ({"identical": 0.6}, Verdict.stop, "choose other `data.columns`"),
        ({"identical": 0.05}, Verdict.look, "Leave the identical pairs out"),
        ({"contained": 0.7}, Verdict.look, "can be copied"),
        ({"found": 0.95}, Verdict.look, "Matching words is enough"),
        ({"template": 0.6}, Verdict.look, "60% of a view is chat template"),
    ],
)
def test_views(changes, verdict, words):
    found = checks.views(replace(VIEWS, **changes))
    assert found.verdict is verdict
    assert words in found.advice
    assert bool(words) == bool(found.advice)


def test_no_pairs_of_views_are_looked_at():
    assert checks.views(None).verdict is Verdict.look


@pytest.mark.parametrize(("same", "verdict"), [(0, Verdict.ok), (2, Verdict.ok), (4, Verdict.look), (120, Verdict.stop)])
def test_leakage(same, verdict):
    found = checks.leakage([LEAK, replace(LEAK, held_out="validation", same_text=same, same=1)])
    assert found.verdict is verdict
    assert f"{same} of 200 validation rows" in found.found


def test_nothing_to_score_is_told():
    assert "data.test" in checks.leakage([]).advice


@pytest.mark.parametrize(
    ("severities", "verdict", "told"),
    [
        ((), Verdict.ok, "in order"),
        ((Severity.note,), Verdict.ok, "in order"),
        ((Severity.note, Severity.warning), Verdict.look, "the warning"),
        ((Severity.warning, Severity.error), Verdict.stop, "the error (1 errors and 1 warnings in all)"),
    ],
)
def test_inspection(severities, verdict, told):
    found = checks.inspection([Finding(severity, f"the {severity.name}") for severity in severities])
    assert found.verdict is verdict
    assert told in found.found


@pytest.mark.parametrize(
    ("before", "verdict", "words"),
    [
        (ALIGNED, Verdict.ok, ""),
        (replace(ALIGNED, retrieval_at_1=0.97), Verdict.look, "little left to teach"),
        (COLLAPSED, Verdict.look, "InfoNCE"),
        (replace(ALIGNED, retrieval_at_1=0.01), Verdict.look, "does not see that the views belong together"),
    ],
)
def test_alignment_of_the_untouched_model(before, verdict, words):
    found = checks.untouched(Aligned(before=before, bare=before, after=before))
    assert found.verdict is verdict
    assert words in found.advice


def test_new_slots_do_not_hide_what_the_model_sees_without_them():
    blind = replace(ALIGNED, retrieval_at_1=0.0)
    assert checks.untouched(Aligned(before=blind, bare=ALIGNED, after=blind)).verdict is Verdict.ok


@pytest.mark.parametrize(
    ("objective", "verdict", "words"),
    [
        (JEPA(weight=0.2), Verdict.ok, "The given 0.2 lies where it is worth trying: try 0.05 to 0.5."),
        (JEPA(weight=1.0), Verdict.look, "At the given 1 JEPA pulls 2 times as hard; try 0.05 to 0.5."),
        (JEPA(weight=0.001), Verdict.look, "hardly moves the model"),
        (JEPA(weight=0.0), Verdict.ok, "This arm is plain; for LLM-JEPA, try 0.05 to 0.5."),
        (JEPA(weight=1.0, gamma=4.0), Verdict.ok, "try 0.2 to 2."),
    ],
)
def test_the_weight_is_judged_by_the_gradients(objective, verdict, words):
    found = checks.weight_range(PROBE.gradients, objective)
    assert found.verdict is verdict
    assert words in found.advice
    assert "the paper's grid is 0.5, 1, 2, 4" in found.found


def test_a_jepa_term_without_a_gradient_is_told():
    found = checks.weight_range(Gradients(next_token=1.0, jepa=0.0, cosine=0.0), JEPA())
    assert found.verdict is Verdict.look
    assert found.numbers["equal_weight"] is None


@pytest.mark.parametrize(
    ("objective", "before", "after", "verdict"),
    [
        (JEPA(), ALIGNED, ALIGNED, Verdict.ok),
        (JEPA(), ALIGNED, COLLAPSED, Verdict.look),
        (JEPA(), ALIGNED, replace(ALIGNED, cosine_gap=0.1, effective_rank=30.0), Verdict.look),
        (JEPA(), ALIGNED, replace(ALIGNED, cosine_gap=0.1, effective_rank=60.0), Verdict.ok),
        (JEPA(weight=0.0), ALIGNED, COLLAPSED, Verdict.ok),
        (JEPA(), COLLAPSED, COLLAPSED, Verdict.ok),
    ],
)
def test_a_collapse_in_the_first_steps_is_told_with_its_numbers(objective, before, after, verdict):
    probed = replace(PROBE, aligned=Aligned(before=before, bare=before, after=after))
    found = checks.first_steps(probed, objective, 2e-5)
    assert found.verdict is verdict
    assert f"gap {before.cosine_gap:.3f} -> {after.cosine_gap:.3f}" in found.found


def test_cost_is_reckoned_from_the_measured_steps():
    found = checks.cost(PROBE)
    assert found.verdict is Verdict.ok
    assert found.found == (
        "1,000 steps of 2 GFLOPs, 2 TFLOPs in all; 0.5 s a step, so training takes 8.3 minutes, and scoring at most 1 "
        "minutes."
    )
    assert found.numbers["seconds"] == 560.0


@pytest.mark.parametrize(
    ("seconds", "words"), [(100.0, "--max_minutes"), (None, "Take a smaller model")], ids=["a day", "one step is too long"]
)
def test_a_long_run_deserves_a_look(seconds, words):
    found = checks.cost(replace(PROBE, seconds_per_step=seconds))
    assert found.verdict is Verdict.look
    assert words in found.advice


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, Verdict.ok),
        ({"available": 53}, Verdict.look),
        ({"available": 49}, Verdict.stop),
        ({"peak": 1001}, Verdict.stop),
    ],
)
def test_memory(changes, verdict):
    found = checks.fits(replace(MEMORY, **changes))
    assert found.verdict is verdict
    assert bool(found.advice) == (verdict is not Verdict.ok)


def test_the_worst_verdict_counts():
    made = [Check(name="a", verdict=verdict, found="") for verdict in (Verdict.look, Verdict.stop, Verdict.ok)]
    assert checks.worst(made) is Verdict.stop
    assert checks.worst([]) is Verdict.ok


def test_what_has_no_pairs_is_not_judged():
    bare = replace(PROBE, aligned=None, gradients=None)
    found = [checks.untouched(None), checks.weight_range(None, JEPA()), checks.first_steps(bare, JEPA(), 1e-5)]
    assert {check.verdict for check in found} == {Verdict.ok}
