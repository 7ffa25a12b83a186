"""`python -m benchmarks.law`: how a step's cost grows with what a user chooses, measured beside the formula.

Five curves on samples of made-up tokens (cost does not depend on which): the length of a row, the share of Code, k, the
samples a row, and the views of a group. Each point is a forward and a backward, CPU seconds of one thread, the minimum over
interleaved rounds; beside it stands what `CostModel` counts for the same batch. The page that explains them is docs/cost.md.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from benchmarks.law_figure import Curve, Point, law_figure
from benchmarks.machine import sentence
from benchmarks.run import settle, terminal
from benchmarks.workload import QUICK, SIZES, Size
from llm_jepa.model.encode import encode
from llm_jepa.model.flops import CostModel
from llm_jepa.model.load import ModelConfig, load_model, prepare
from llm_jepa.model.tokenizer import train_tokenizer
from llm_jepa.objective.jepa import JEPA, Totals
from llm_jepa.packing.batch import PackedBatch
from llm_jepa.packing.collate import pack
from llm_jepa.packing.layout import Layout, plain_forest
from llm_jepa.views.tokenize import Sample, TokenSequence, TokenView

FRAME = 16
"""Tokens that a chat template and a system message put around Text and Code."""
SLOTS = 16


def pair(text: int, code: int) -> Sample:
    """Return a sample of a Text and a Code of these lengths in tokens, inside a template."""
    ids = tuple(1 + index % 400 for index in range(FRAME + text + code))
    start, answer = FRAME - 4, FRAME - 1 + text
    trained = tuple(index >= answer for index in range(len(ids)))
    first = TokenView(ids=ids[start : start + text], framed=(), sequence=0, start=start, end=start + text)
    second = TokenView(ids=ids[answer : answer + code], framed=())
    return Sample("made up", (TokenSequence(ids, trained),), (first, second))


def group(views: int, length: int) -> Sample:
    """Return a group of views, each a trained sequence of its own."""
    ids = tuple(1 + index % 400 for index in range(length))
    sequence = TokenSequence(ids, (False,) + (True,) * (length - 1))
    places = tuple(TokenView(ids=ids[:-1], framed=(), sequence=index, start=0, end=length - 1) for index in range(views))
    return Sample("made up", (sequence,) * views, places)


def batch(samples: Sequence[Sample], *, k: int = 1, jepa: bool = True, per_row: int | None = None) -> PackedBatch:
    """Return the samples packed, with the segments of the JEPA term or without; all in one row where nothing is said."""
    forests = [Layout(k=k).forest(sample) if jepa else plain_forest(sample) for sample in samples]
    return pack(forests, pad=0, samples_per_row=per_row or len(samples))


def curves(model: PreTrainedModel, name: str, *, longest: int, rounds: int) -> list[Curve]:
    """Return the five curves of a model; rows reach `longest` tokens."""
    measured = Measure(model, name, rounds)
    pairs, short = [pair(64, 48)] * 8, [pair(32, 24)] * 16
    total = 112  # tokens of Text and Code together
    codes = {ratio: round(total * ratio / (1 + ratio)) for ratio in (0.1, 0.3, 1.0, 3.0, 10.0)}
    mixed = {ratio: [pair(total - code, code)] * 8 for ratio, code in codes.items()}
    groups = {count: [group(count, 24)] * 8 for count in (2, 3, 4, 5, 6)}
    found = [
        measured("k", {k: batch(pairs, k=k) for k in (0, 1, 2, 4, 8, 16)}, {0: batch(pairs, jepa=False)}),
        measured(
            "|Code| / |Text|",
            {ratio: batch(samples) for ratio, samples in mixed.items()},
            {ratio: batch(samples, jepa=False) for ratio, samples in mixed.items()},
        ),
        measured("samples a row", {n: batch(short, per_row=n) for n in (1, 2, 4, 8, 16)}, {1: batch(short, jepa=False)}),
        measured(
            "views in a group",
            {count: batch(samples) for count, samples in groups.items()},
            {1: batch([group(1, 24)] * 8, jepa=False)},
        ),
    ]
    return [*lengths(model, name, longest=longest, rounds=rounds), *found]


def lengths(model: PreTrainedModel, name: str, *, longest: int, rounds: int) -> list[Curve]:
    """Return the curve over the length of one row of one sample; the longest rows are run once."""
    every = [length for length in (64, 128, 256, 512, 1024, 2048, 4096, 8192) if length <= longest]
    short, long = ([x for x in every if (x <= 1024) == is_short] for is_short in (True, False))

    def rows(chosen: Sequence[int]) -> dict[float, PackedBatch]:
        return {x: batch([pair(x // 2 - FRAME, x // 2)], jepa=False) for x in chosen}

    first = Measure(model, name, rounds)("length of a row", rows(short))
    rest = Measure(model, name, 1)("length of a row", rows(long)) if long else None
    return [Curve(name=first.name, model=name, points=first.points + (rest.points if rest else ()))]


class Measure:
    """Times batches of one model in turn."""

    def __init__(self, model: PreTrainedModel, name: str, rounds: int) -> None:
        self._model, self._name, self._rounds = model, name, rounds
        self._costs = CostModel.of(model)

    def __call__(self, name: str, batches: dict[Any, PackedBatch], plain: dict[Any, PackedBatch] | None = None) -> Curve:
        """Return the curve over `batches`, by x; `plain` are what they are compared with, by x or one for all."""
        bases = plain or {}
        every = [*batches.items(), *bases.items()]
        best = [float("inf")] * len(every)
        for _ in range(self._rounds):
            for index, (_, one) in enumerate(every):
                best[index] = min(best[index], self._seconds(one))
        points = [self._point(x, one, seconds) for (x, one), seconds in zip(every, best, strict=True)]
        over = points[len(batches) :] * (len(batches) if len(bases) == 1 else 1)
        return Curve(name=name, model=self._name, points=tuple(points[: len(batches)]), bases=tuple(over))

    def _seconds(self, one: PackedBatch) -> float:
        self._model.zero_grad(set_to_none=True)
        totals = Totals(labels=one.label.numel(), pairs=max(one.predicted.shape[0], 1))
        objective = JEPA(weight=1.0 if one.predicted.shape[0] else 0.0)
        start = time.process_time()
        objective(encode(self._model, one), totals).loss.backward()
        return time.process_time() - start

    def _point(self, x: float, one: PackedBatch, seconds: float) -> Point:
        seen = int((one.visibility.position + 1).sum())
        flops = self._costs.step(tokens=one.input_ids.numel(), seen=seen, labels=one.label.numel())
        attention = 12 * self._costs.attention * seen
        return Point(x=float(x), seconds=seconds, flops=flops, attention=attention)


def load(size: Size) -> PreTrainedModel:
    """Return a model of this shape with random weights."""
    tokenizer = train_tokenizer(["made up"], size=512)
    vocabulary = max(size.vocabulary, 512)
    config = ModelConfig(config=size.config | {"vocab_size": vocabulary, "max_position_embeddings": 8192}, attention="sdpa")
    model = load_model(config, tokenizer, seed=0)
    prepare(model, k=SLOTS)
    return model


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the tables, and write the figure and the numbers if asked to."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.law", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="rounds on the clock (default: 3)")
    parser.add_argument("--longest", type=int, default=8192, help="longest row of the 4 M model, tokens (default: 8192)")
    parser.add_argument("--longest_large", type=int, default=1024, help="the same of the 135 M model; 0 leaves it out")
    parser.add_argument("--quick", action="store_true", help="a tiny model: does it run?")
    parser.add_argument("--out", type=Path, help="append Markdown tables and a line of JSON to this file")
    parser.add_argument("--plot", type=Path, help="write the figure to this .svg file")
    options = parser.parse_args(arguments)
    settle()
    small = load(QUICK if options.quick else SIZES["4m"])
    found = curves(small, "4 M", longest=512 if options.quick else options.longest, rounds=options.rounds)
    if options.longest_large and not options.quick:
        found += lengths(load(SIZES["135m"]), "135 M", longest=options.longest_large, rounds=2)
    text = "\n".join(
        [f"{sentence()}, {datetime.now(UTC):%Y-%m-%d}.", "", *(line for curve in found for line in table(curve))]
    )
    terminal().print(text, markup=False)
    if options.out is not None:
        with options.out.open("a", encoding="utf-8") as file:
            file.write(f"{text}\n```json\n{json.dumps([asdict(curve) for curve in found])}\n```\n")
    if options.plot is not None:
        options.plot.write_text(law_figure(found), encoding="utf-8")
    return 0


def table(curve: Curve) -> list[str]:
    """Return the curve as lines of Markdown; ratios are over the plain step."""
    last = ("x plain, measured", "formula") if curve.bases else ("GFLOP/s",)
    columns = (f"{curve.name} ({curve.model})".replace("|", "\\|"), "CPU s", "GFLOP", "of them attention", *last)
    lines = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    rates = [(f"{point.flops / point.seconds / 1e9:.0f}",) for point in curve.points]
    ends = [tuple(f"{ratio:.2f}" for ratio in ratios) for ratios in curve.ratios()] if curve.bases else rates
    for point, end in zip(curve.points, ends, strict=True):
        share = f"{point.attention / point.flops:.0%}"
        cells = (f"{point.x:g}", f"{point.seconds:.3f}", f"{point.flops / 1e9:.2f}", share, *end)
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, ""]


if __name__ == "__main__":
    sys.exit(main())
