"""The weight under loss dropout (paper, section 5.2)."""

import pytest
import torch

from llm_jepa.objective.jepa import JEPA, Scope, Totals, WeightRule
from llm_jepa.packing.batch import Encoded

COMPENSATED = WeightRule.compensated


def encoded() -> Encoded:
    """One label of 3 nats, and one pair at right angles."""
    target = torch.tensor([[2.0, 0.0]])
    return Encoded(
        label_nll=torch.tensor([3.0]),
        predicted=torch.tensor([[0.0, 1.0]]),
        target=target,
        candidates=target,
        first_candidate=0,
        hidden=torch.zeros(1, 2, 2),
        sequence=torch.tensor([[0, 0, 2]]),
    )


@pytest.mark.parametrize(
    ("objective", "weight"),
    [
        (JEPA(weight=2.0, dropout=0.5), 2.0),
        (JEPA(weight=2.0, dropout=0.0, weight_rule=COMPENSATED), 2.0),
        (JEPA(weight=1.0, dropout=0.5, weight_rule=COMPENSATED), 2.0),  # Table 6: LD 0.5 with lambda 2,
        (JEPA(weight=1.0, dropout=0.75, weight_rule=COMPENSATED), 4.0),  # and LD 0.75 with lambda 4
        (JEPA(weight=1.0, dropout=1.0, weight_rule=COMPENSATED), 1.0),
        (JEPA(weight=0.0, dropout=0.5, weight_rule=COMPENSATED), 0.0),
        (JEPA(weight=1.0, dropout=0.5, weight_rule=COMPENSATED, normalization=Scope.micro_batch), 2.0),
    ],
)
def test_the_loss_takes_the_effective_weight(objective, weight):
    assert objective.effective_weight == weight
    terms = objective(encoded(), Totals(labels=1, pairs=1))
    assert [float(terms.loss), float(terms.jepa)] == pytest.approx([3.0 + weight, 1.0])


@pytest.mark.parametrize("rate", [0.0, 0.25, 0.5, 0.75])
def test_over_all_steps_the_term_weighs_the_same_at_every_rate(rate):
    objective, steps = JEPA(weight=1.5, dropout=rate, weight_rule=COMPENSATED), 4000
    kept = sum(objective.uses_views(seed=82, step=step) for step in range(steps))
    assert kept * objective.effective_weight / steps == pytest.approx(1.5, rel=0.05)


def test_a_held_out_set_is_measured_with_the_weight_over_all_steps():
    assert JEPA(weight=2.0, dropout=0.5, weight_rule=COMPENSATED).combine(3.0, 0.5) == 4.0
