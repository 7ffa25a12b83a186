"""Coordinates in two dimensions: the same at every call, whatever the embeddings' place and size."""

import pytest
import torch

from llm_jepa.analysis import tsne as module
from llm_jepa.analysis.tsne import check_tsne, tsne
from llm_jepa.errors import UserError


def clouds(rows: int = 30) -> tuple[torch.Tensor, torch.Tensor]:
    """Two views far from each other."""
    draw = torch.randn(2, rows, 8, generator=torch.Generator().manual_seed(0))
    return draw[0], draw[1] + 40


def test_the_coordinates_are_the_same_at_every_call() -> None:
    assert tsne(*clouds()) == tsne(*clouds())


def test_views_that_lie_apart_are_drawn_apart() -> None:
    found = tsne(*clouds())
    assert found is not None
    text, code = (torch.tensor(points) for points in found)
    assert text.shape == code.shape == (30, 2)
    middles = text.mean(dim=0), code.mean(dim=0)
    own = torch.cat([text - middles[0], code - middles[1]]).norm(dim=1).max()
    assert torch.dist(*middles) > own


def test_size_and_place_of_the_whole_do_not_matter() -> None:
    text, code = clouds()
    first, second = tsne(text, code), tsne(text * 1024 + 0.0, code * 1024)
    assert first == second


@pytest.mark.parametrize("points", [(torch.ones(9, 4), torch.ones(9, 4)), (torch.eye(2), torch.eye(2))])
def test_too_few_and_equal_embeddings_give_nothing_to_draw(points: tuple[torch.Tensor, torch.Tensor]) -> None:
    assert tsne(*points) is None


def test_six_embeddings_are_enough() -> None:
    assert tsne(*clouds(3)) is not None


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    check_tsne()
    monkeypatch.setattr(module, "find_spec", lambda _: None)
    with pytest.raises(UserError, match=r"llm-jepa\[plots\].*--no_tsne"):
        check_tsne()
