"""The objective's terms, what they are divided by, and where gradients flow."""

import math

import pytest
import torch
from torch import Tensor

from llm_jepa.objective.distances import L2, Cosine, InfoNCE, MeanSquaredError
from llm_jepa.objective.jepa import JEPA, Totals
from llm_jepa.packing.batch import Encoded

# Three label tokens of 1, 2 and 6 nats; one pair of the same direction, one at right angles.
NLL = torch.tensor([1.0, 2.0, 6.0])
PREDICTED = torch.tensor([[1.0, 0.0], [0.0, 3.0]])
TARGET = torch.tensor([[2.0, 0.0], [4.0, 0.0]])


def encoded(
    *,
    label_nll: Tensor = NLL,
    predicted: Tensor = PREDICTED,
    target: Tensor = TARGET,
    candidates: Tensor | None = None,
    first_candidate: int = 0,
) -> Encoded:
    return Encoded(
        label_nll=label_nll,
        predicted=predicted,
        target=target,
        candidates=target if candidates is None else candidates,
        first_candidate=first_candidate,
        hidden=torch.zeros(1, 4, predicted.shape[1]),
        sequence=torch.tensor([[0, 0, 4]]),
    )


OWN = Totals(labels=3, pairs=2)


@pytest.mark.parametrize(
    ("objective", "loss", "jepa"),
    [
        (JEPA(), 3.0 + 0.5, 0.5),
        (JEPA(weight=4.0), 3.0 + 2.0, 0.5),
        (JEPA(gamma=0.25, weight=2.0), 0.75 + 1.0, 0.5),
        (JEPA(gamma=0.0, weight=2.0), 1.0, 0.5),
        (JEPA(weight=0.0), 3.0, 0.5),
        (JEPA(weight=2.0, distance=L2()), 3.0 + 6.0, 3.0),
        (JEPA(distance=MeanSquaredError()), 3.0 + 6.5, 6.5),
        (JEPA(distance=InfoNCE(temperature=1.0)), 3.0 + math.log(2), math.log(2)),
    ],
)
def test_hand_solved_terms(objective, loss, jepa):
    terms = objective(encoded(), OWN)
    assert [float(terms.loss), float(terms.next_token), float(terms.jepa)] == pytest.approx([loss, 3.0, jepa])


def test_terms_are_divided_by_the_totals_of_the_step_not_by_their_own_numbers():
    terms = JEPA(weight=2.0)(encoded(), Totals(labels=90, pairs=10))
    assert [float(terms.next_token), float(terms.jepa)] == pytest.approx([0.1, 0.1])
    assert float(terms.loss) == pytest.approx(0.3)


@pytest.mark.parametrize("distance", [Cosine(), L2(), MeanSquaredError()])
def test_terms_of_micro_batches_add_up_to_those_of_the_whole(distance):
    draw = torch.Generator().manual_seed(0)
    nll, predicted, target = (torch.rand(*shape, generator=draw) for shape in ((7,), (5, 3), (5, 3)))
    objective, totals = JEPA(weight=3.0, distance=distance), Totals(labels=7, pairs=5)
    whole = objective(encoded(label_nll=nll, predicted=predicted, target=target), totals)
    parts = [
        objective(encoded(label_nll=nll[left], predicted=predicted[right], target=target[right]), totals)
        for left, right in ((slice(0, 1), slice(0, 3)), (slice(1, 7), slice(3, 5)))
    ]
    for name in ("loss", "next_token", "jepa"):
        assert sum(float(getattr(part, name)) for part in parts) == pytest.approx(float(getattr(whole, name)))


def test_a_micro_batch_without_pairs_has_no_jepa_term():
    empty = torch.zeros(0, 2)
    terms = JEPA()(encoded(predicted=empty, target=empty), Totals(labels=3, pairs=8))
    assert [float(terms.loss), float(terms.jepa)] == [3.0, 0.0]


def test_a_step_without_labels_or_pairs_has_a_loss_of_zero():
    empty = torch.zeros(0, 2)
    terms = JEPA()(encoded(label_nll=torch.zeros(0), predicted=empty, target=empty), Totals(labels=0, pairs=0))
    assert float(terms.loss) == 0.0


def test_contrastive_targets_of_other_ranks_are_candidates_too():
    # This rank's targets stand from index 1 on among four; all four similarities of the first prediction are 1 or 0.
    candidates = torch.tensor([[0.0, 1.0], [2.0, 0.0], [4.0, 0.0], [0.0, 5.0]])
    terms = JEPA(distance=InfoNCE(temperature=1.0))(encoded(candidates=candidates, first_candidate=1), OWN)
    total = math.log(2 * math.e + 2)
    assert float(terms.jepa) == pytest.approx(((total - 1) + total) / 2)


def leaves() -> tuple[Tensor, Tensor, Tensor]:
    draw = torch.Generator().manual_seed(0)
    nll, predicted, target = (torch.rand(*shape, generator=draw) for shape in ((3,), (2, 4), (2, 4)))
    return nll.requires_grad_(), predicted.requires_grad_(), target.requires_grad_()


def gradients(objective: JEPA) -> list[Tensor | None]:
    nll, predicted, target = leaves()
    objective(encoded(label_nll=nll, predicted=predicted, target=target), OWN).loss.backward()
    return [nll.grad, predicted.grad, target.grad]


def test_both_sides_of_a_pair_are_trained():
    nll, predicted, target = gradients(JEPA())
    assert nll is not None
    assert nll.tolist() == pytest.approx([1 / 3] * 3)
    assert predicted is not None
    assert predicted.abs().min() > 0
    assert target is not None
    assert target.abs().min() > 0


@pytest.mark.parametrize("distance", [Cosine(), InfoNCE()])
def test_stop_gradient_treats_the_target_as_a_constant_and_changes_no_value(distance):
    free, stopped = JEPA(distance=distance), JEPA(distance=distance, stop_gradient=True)
    for one, other in zip(gradients(free)[:2], gradients(stopped)[:2], strict=True):
        torch.testing.assert_close(one, other)
    assert gradients(stopped)[2] is None
    assert torch.equal(free(encoded(), OWN).loss, stopped(encoded(), OWN).loss)


def test_weight_0_sends_no_gradient_into_the_views_and_is_the_same_number_bit_for_bit():
    assert gradients(JEPA(weight=0.0))[1:] == [None, None]
    nll = leaves()[0].detach()
    with_views = JEPA(weight=0.0)(encoded(label_nll=nll), OWN).loss
    without = JEPA(weight=0.0)(encoded(label_nll=nll, predicted=torch.zeros(0, 2), target=torch.zeros(0, 2)), OWN).loss
    assert torch.equal(with_views, without)


def test_weight_0_ignores_views_that_are_not_finite():
    terms = JEPA(weight=0.0)(encoded(target=torch.full((2, 2), torch.nan)), OWN)
    assert float(terms.loss) == 3.0


def test_gamma_0_trains_the_views_alone():
    nll, predicted, _ = gradients(JEPA(gamma=0.0))
    assert nll is not None
    assert nll.tolist() == [0.0, 0.0, 0.0]
    assert predicted is not None
    assert predicted.abs().min() > 0


def test_the_gradient_grows_with_the_weight():
    one, four = gradients(JEPA(weight=1.0)), gradients(JEPA(weight=4.0))
    for index in (1, 2):
        small, large = one[index], four[index]
        assert small is not None
        torch.testing.assert_close(large, 4 * small)


def test_only_the_loss_carries_a_gradient():
    nll, predicted, target = leaves()
    terms = JEPA()(encoded(label_nll=nll, predicted=predicted, target=target), OWN)
    assert [terms.loss.requires_grad, terms.next_token.requires_grad, terms.jepa.requires_grad] == [True, False, False]


@pytest.mark.parametrize(
    ("objective", "trains_views"),
    [(JEPA(), True), (JEPA(weight=0.0), False), (JEPA(dropout=1.0), False), (JEPA(weight=0.1, dropout=0.99), True)],
)
def test_views_are_trained_unless_no_step_has_a_jepa_term(objective, trains_views):
    assert objective.trains_views is trains_views
    assert any(objective.uses_views(seed=82, step=step) for step in range(1000)) is trains_views


@pytest.mark.parametrize(
    ("objective", "always"),
    [(JEPA(), True), (JEPA(weight=0.0), False), (JEPA(dropout=1.0), False), (JEPA(dropout=0.01), False)],
)
def test_plain_batches_are_needed_unless_every_step_has_a_jepa_term(objective, always):
    assert objective.always_uses_views is always
    assert all(objective.uses_views(seed=82, step=step) for step in range(1000)) is always


@pytest.mark.parametrize(("distance", "gathers"), [(Cosine(), False), (InfoNCE(), True)])
def test_only_contrastive_distances_gather(distance, gathers):
    assert JEPA(distance=distance).gathers is gathers


def test_a_held_out_loss_combines_the_means_with_the_same_weights():
    assert JEPA(gamma=0.5, weight=2.0).combine(3.0, 0.25) == 2.0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"weight": -1.0}, r"^gamma is 1\.0 and weight -1\.0, but both are 0 or more, and finite$"),
        ({"gamma": -0.5}, r"^gamma is -0\.5 and weight 1\.0, but both are 0 or more, and finite$"),
        ({"dropout": 1.5}, r"^dropout is 1\.5, but a rate lies in 0\.\.1$"),
        ({"dropout": -0.1}, r"^dropout is -0\.1, but a rate lies in 0\.\.1$"),
    ],
)
def test_values_out_of_range_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        JEPA(**values)
