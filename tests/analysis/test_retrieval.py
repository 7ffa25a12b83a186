"""Retrieval of partners, against a plain loop and by hand."""

import pytest
import torch

from llm_jepa.analysis.retrieval import ranks, retrieval


def draw(rows: int, seed: int) -> torch.Tensor:
    return torch.randn(rows, 6, generator=torch.Generator().manual_seed(seed))


def test_ranks_are_those_of_a_plain_sort() -> None:
    query, candidate = draw(40, 0), draw(40, 1)
    expected = []
    for index in range(40):
        cosines = torch.nn.functional.cosine_similarity(query[index].double()[None], candidate.double())
        expected.append(sorted(cosines.tolist(), reverse=True).index(float(cosines[index])) + 1)
    assert ranks(query, candidate).tolist() == expected


def test_more_examples_than_a_chunk_give_the_same_ranks() -> None:
    query = draw(2500, 0)
    assert ranks(query, query).tolist() == [1] * 2500


def test_equal_candidates_count_against_the_query() -> None:
    found = retrieval(torch.ones(10, 4), torch.ones(10, 4))
    assert found.at == {1: 0.0, 5: 0.0}
    assert found.mean_reciprocal_rank == pytest.approx(0.1)


def test_shares_and_reciprocal_ranks_by_hand() -> None:
    query = torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]])
    candidate = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.1, 1.0]])
    assert ranks(query, candidate).tolist() == [1, 3, 2]
    found = retrieval(query, candidate, ks=(1, 2))
    assert found.at == {1: pytest.approx(1 / 3), 2: pytest.approx(2 / 3)}
    assert found.mean_reciprocal_rank == pytest.approx((1 + 1 / 3 + 1 / 2) / 3)
    assert found.candidates == 3


def test_a_k_of_all_candidates_says_nothing_and_is_left_out() -> None:
    assert list(retrieval(draw(5, 0), draw(5, 1)).at) == [1]


def test_no_examples_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 example"):
        retrieval(torch.zeros(0, 3), torch.zeros(0, 3))
