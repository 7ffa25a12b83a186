"""What a mean and a coin are for: the whole step, or one micro-batch as in the official code."""

import pytest
import torch

from llm_jepa.objective.distances import Cosine, InfoNCE
from llm_jepa.objective.jepa import JEPA, Scope, Totals
from llm_jepa.packing.batch import Encoded

MEAN = 3.0  # of label tokens of 1, 2 and 6 nats
JEPA_MEAN = 0.5  # of a pair of the same direction, and one at right angles


def encoded(*, pairs: int = 2) -> Encoded:
    target = torch.tensor([[2.0, 0.0], [4.0, 0.0]])[:pairs]
    return Encoded(
        label_nll=torch.tensor([1.0, 2.0, 6.0]),
        predicted=torch.tensor([[1.0, 0.0], [0.0, 3.0]])[:pairs],
        target=target,
        candidates=target,
        first_candidate=0,
        hidden=torch.zeros(1, 4, 2),
        sequence=torch.tensor([[0, 0, 4]]),
    )


@pytest.mark.parametrize(
    ("objective", "totals", "loss"),
    [
        # The step has 30 label tokens and 8 pairs; the micro-batch takes its own mean all the same.
        (JEPA(normalization=Scope.micro_batch), Totals(labels=30, pairs=8), MEAN + JEPA_MEAN),
        (JEPA(gamma=0.5, weight=4.0, normalization=Scope.micro_batch), Totals(labels=30, pairs=8), MEAN / 2 + 4 * JEPA_MEAN),
        # Of two ranks each gives half of its mean; the trainer multiplies by two, over which DDP averages.
        (JEPA(normalization=Scope.micro_batch), Totals(labels=30, pairs=8, ranks=2), (MEAN + JEPA_MEAN) / 2),
        # The plain arm takes the step.
        (JEPA(weight=0.0, normalization=Scope.micro_batch), Totals(labels=30, pairs=8), 0.3),
        (JEPA(dropout=1.0, weight=0.0, normalization=Scope.micro_batch), Totals(labels=30, pairs=8, ranks=2), 0.3),
        (JEPA(), Totals(labels=30, pairs=8, ranks=2), 0.3 + 0.125),
    ],
)
def test_hand_solved_losses(objective, totals, loss):
    terms = objective(encoded(), totals)
    assert float(terms.loss) == pytest.approx(loss)
    assert [float(terms.next_token), float(terms.jepa)] == pytest.approx([0.3, 0.125])


def test_a_micro_batch_without_pairs_has_its_own_mean_too():
    terms = JEPA(normalization=Scope.micro_batch)(encoded(pairs=0), Totals(labels=30, pairs=8))
    assert float(terms.loss) == pytest.approx(MEAN)


def test_a_step_of_one_micro_batch_is_the_same_in_both_scopes():
    totals = Totals(labels=3, pairs=2)
    one, other = (JEPA(weight=2.0, normalization=scope)(encoded(), totals) for scope in Scope)
    assert float(one.loss) == pytest.approx(float(other.loss))


def coins(objective: JEPA, *, steps: int = 2000) -> list[tuple[bool, ...]]:
    return [tuple(objective.uses_views(seed=82, step=step, micro_batch=at) for at in range(4)) for step in range(steps)]


def test_the_micro_batches_of_a_step_share_a_coin_or_have_their_own():
    shared, own = (coins(JEPA(dropout=0.5, dropout_scope=scope)) for scope in (Scope.step, Scope.micro_batch))
    assert {len(set(step)) for step in shared} == {1}
    assert len(set(own)) == 16
    assert sum(sum(step) for step in own) / 8000 == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize(("rate", "expected"), [(0.0, True), (1.0, False)])
def test_rates_0_and_1_are_exact_for_micro_batches(rate, expected):
    objective = JEPA(dropout=rate, dropout_scope=Scope.micro_batch)
    assert {flag for step in coins(objective, steps=50) for flag in step} == {expected}


@pytest.mark.parametrize(
    ("distance", "all_ranks", "gathers"), [(InfoNCE(), True, True), (InfoNCE(), False, False), (Cosine(), False, False)]
)
def test_targets_of_other_ranks_are_left_out_if_asked_for(distance, all_ranks, gathers):
    assert JEPA(distance=distance, all_ranks=all_ranks).gathers is gathers
