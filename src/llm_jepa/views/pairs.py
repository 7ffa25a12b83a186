"""Which view predicts which: the direction, and the shuffled control."""

import random
from collections.abc import Sequence
from dataclasses import replace
from enum import Enum

from llm_jepa.errors import UserError
from llm_jepa.views.tokenize import Sample


class Direction(Enum):
    """Which view predicts which.

    Members:
        text_to_code: view i predicts view i + 1 (the paper's default).
        code_to_text: view i + 1 predicts view i (the "Code -> Text" ablation, Table 3).
    """

    text_to_code = "text_to_code"
    code_to_text = "code_to_text"

    def pairs(self, views: int) -> list[tuple[int, int]]:
        """Return (predicting view, predicted view) for a sample with that many views.

        Example:
            >>> Direction.text_to_code.pairs(3), Direction.code_to_text.pairs(2)
            ([(0, 1), (1, 2)], [(1, 0)])
        """
        forward = [(index, index + 1) for index in range(views - 1)]
        return forward if self is Direction.text_to_code else [(b, a) for a, b in reversed(forward)]


def shuffle_pairs(samples: Sequence[Sample], *, seed: int) -> list[Sample]:
    """Return the samples with every view but the first taken from another sample: the control arm.

    The assignment is fixed for the run, so it can be memorised just as the true one; what it cannot do is to say the same
    thing twice. No sample keeps its own view. Trained sequences of conversations stay as they are; in a group without
    messages each view takes its own sequence along, so the set of trained sequences stays the same.

    Raises:
        UserError: there is only one sample, or the samples differ in their number of views.
    """
    paired = [index for index, sample in enumerate(samples) if len(sample.views) > 1]
    if len(paired) < 2:
        raise UserError("shuffled pairs need at least two samples with views; give more data")
    order = list(paired)
    random.Random(seed).shuffle(order)
    donor = dict(zip(order, order[1:] + order[:1], strict=True))
    return [recombine(sample, samples[donor[index]]) if index in donor else sample for index, sample in enumerate(samples)]


def recombine(sample: Sample, donor: Sample) -> Sample:
    """Return the sample with every view but the first taken from the donor.

    Raises:
        UserError: they differ in their number of views.
    """
    if len(donor.views) != len(sample.views):
        raise UserError(f"{sample.name}: {len(sample.views)} views, but {donor.name} has {len(donor.views)}; cannot shuffle")
    if len(sample.sequences) == len(sample.views):
        return replace(
            sample,
            sequences=(sample.sequences[0], *donor.sequences[1:]),
            views=(sample.views[0], *donor.views[1:]),
        )
    return replace(sample, views=(sample.views[0], *(replace(view, sequence=None) for view in donor.views[1:])))
