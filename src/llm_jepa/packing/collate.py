"""Forests -> packed rows of tensors, padded to the longest row."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import torch

from llm_jepa.errors import UserError
from llm_jepa.packing.arrays import Place, Placed, longest
from llm_jepa.packing.batch import PackedBatch
from llm_jepa.packing.layout import Forest, Layout, plain_forest
from llm_jepa.packing.rows import ONE_EACH, Rows, spread_evenly
from llm_jepa.views.tokenize import Sample

SEEN = "seen"
"""Where a batch keeps how many tokens its tokens see, by "full" and "plain": a number that no device has to be asked for."""


def pack(
    forests: Sequence[Forest], *, pad: int, samples_per_row: int = 1, row_length: Callable[[int], int] = longest
) -> PackedBatch:
    """Pack forests into rows: `samples_per_row` to a row, balanced by length.

    Args:
        forests: none makes one row of a single pad, so that a model can still be called.
        pad: a valid token id; pads and slots hold it, and nothing depends on which it is.
        samples_per_row: how many samples share a row; more rows than needed are never made.
        row_length: from the tokens of the longest row to the length of all rows.
    """
    count = max(1, -(-len(forests) // samples_per_row))
    placed, places, filled = Placed(), list[list[Place]](), [0] * count
    lengths = [forest.tokens for forest in forests]
    for forest, row in zip(forests, spread_evenly(lengths, count, samples_per_row), strict=True):
        starts: list[int] = []
        for segment in forest.segments:
            start = filled[row]
            prefix = start if segment.parent is None else starts[segment.parent]
            placed.add(segment.ids, segment.trained, (row, start, prefix, segment.visible))
            starts.append(start)
            filled[row] = start + len(segment.ids)
        places.append([(row, start) for start in starts])
    return placed.batch(forests, places, rows=count, pad=pad, row_length=row_length)


def spread(forests: Sequence[Forest], *, pad: int) -> PackedBatch:
    """Give every segment a row of its own, behind a copy of the prefix it sees: for models that cannot be packed.

    Every row is then plain causal. Costs a copy of the prefix for every [PRED] segment.
    """
    placed, places, count = Placed(), list[list[Place]](), 0
    for forest in forests:
        places.append([])
        for segment in forest.segments:
            prefix = () if segment.parent is None else forest.segments[segment.parent].ids[: segment.visible]
            trained = (False,) * len(prefix) + segment.trained if segment.trained else ()
            placed.add((*prefix, *segment.ids), trained, (count, 0, 0, 0))
            places[-1].append((count, len(prefix)))
            count += 1
    return placed.batch(forests, places, rows=max(1, count), pad=pad)


class OverLength(Enum):
    """What happens to a sample that is longer than the limit. Nothing is ever cut.

    Members:
        drop: it is left out, and counted.
        error: the run ends with its name.
    """

    drop = "drop"
    error = "error"


def within_length(
    samples: Sequence[Sample], layout: Layout, *, limit: int, policy: OverLength, some: bool = True
) -> tuple[list[Sample], list[str]]:
    """Return the samples none of whose segments reaches past `limit` tokens of context, and the names of the others.

    The limit counts positions: a segment's own tokens and the prefix it sees. With `some`, one sample at least must remain.

    Raises:
        UserError: a sample is too long and the policy is `error`, or every sample is too long.
    """
    kept: list[Sample] = []
    dropped: list[str] = []
    for sample in samples:
        depth = layout.forest(sample).depth
        if depth <= limit:
            kept.append(sample)
            continue
        if policy is OverLength.error:
            raise UserError(
                f"{sample.name}: {depth} tokens, but the limit is {limit}; raise `data.max_length`, "
                "shorten the sample, or set `data.over_length: drop`"
            )
        dropped.append(sample.name)
    if some and samples and not kept:
        raise UserError(f"every sample is longer than {limit} tokens; raise `data.max_length`")
    return kept, dropped


@dataclass(frozen=True, slots=True, kw_only=True)
class Collator:
    """Packs the samples of a batch; a callable for a DataLoader.

    The result maps "full" to the batch with all segments and "plain" to the batch with the trained sequences alone, each
    only if asked for: a step whose JEPA term is dropped, or that is not trained with one, uses the plain batch. `SEEN` maps
    the same names to what their attention costs.

    Attributes:
        layout: how samples become forests.
        pad: a valid token id.
        rows: how many samples share a row.
        one_forward: pack; else give every segment a row of its own.
        full: make the batch with all segments.
        plain: make the batch of trained sequences alone.
    """

    layout: Layout
    pad: int
    rows: Rows = ONE_EACH
    one_forward: bool = True
    full: bool = True
    plain: bool = False

    def __call__(self, features: Sequence[dict[str, object]]) -> dict[str, dict[str, Any]]:
        """Pack `[{"sample": Sample, ...}, ...]`; an item whose sample is None is a blank (`training.even`) and left out."""
        samples = [feature["sample"] for feature in features]
        chosen = [sample for sample in samples if isinstance(sample, Sample)]
        forests: dict[str, list[Forest]] = {}
        if self.full:
            forests["full"] = [self.layout.forest(sample) for sample in chosen]
        if self.plain:
            forests["plain"] = [plain_forest(sample) for sample in chosen]
        batches: dict[str, dict[str, Any]] = {name: self._pack(made) for name, made in forests.items()}
        return batches | {SEEN: {name: sum(forest.seen for forest in made) for name, made in forests.items()}}

    def _pack(self, forests: Sequence[Forest]) -> dict[str, torch.Tensor]:
        if not self.one_forward:
            return spread(forests, pad=self.pad).tensors()
        chosen = self.rows.samples_per_row([forest.tokens for forest in forests])
        packed = pack(forests, pad=self.pad, samples_per_row=chosen, row_length=self.rows.length)
        return self.rows.finish(packed).tensors()
