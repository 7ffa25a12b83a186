"""The suite's own instrument: a wrong axis raises in tests, in functions and in records alike."""

import pytest
import torch
from jaxtyping import TypeCheckError

from llm_jepa.model.encode import Forward
from llm_jepa.objective.distances import Cosine
from llm_jepa.packing.mask import Visibility


def test_a_wrong_axis_is_caught_in_a_function():
    with pytest.raises(TypeCheckError, match="matched"):
        Cosine()(torch.zeros(2, 4), torch.zeros(2, 4), torch.arange(3))


def test_a_wrong_number_of_axes_is_caught_in_a_record():
    row = torch.zeros(1, 3, dtype=torch.long)
    with pytest.raises(TypeCheckError, match="position"):
        Visibility(segment_start=row, prefix_start=row, prefix_end=row, position=row[0])


def test_a_wrong_type_of_number_is_caught_in_a_record():
    with pytest.raises(TypeCheckError, match="logits"):
        Forward(logits=torch.zeros(2, 4, dtype=torch.long), hidden=torch.zeros(1, 3, 4))
