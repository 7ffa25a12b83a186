"""Steps on the clock: forward, backward and a fused AdamW, float32 weights under bfloat16 autocast, one model for all.

Useful operations are those of the tokens that are no pads, the pairs of tokens that see each other, and logits where a label
is predicted: the same for every variant of one task, whatever it computes besides. The share of the matrix peak is of those.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedModel

from benchmarks.gpu import clock
from benchmarks.gpu.shapes import Shape
from llm_jepa.model.attention import KINDS, rows_for
from llm_jepa.model.compiled import compile_layers
from llm_jepa.model.encode import encode
from llm_jepa.model.flops import CostModel
from llm_jepa.model.head import LOGITS
from llm_jepa.objective.jepa import JEPA, Totals
from llm_jepa.packing.batch import PackedBatch
from llm_jepa.packing.collate import pack
from llm_jepa.packing.layout import Forest, Layout, plain_forest
from llm_jepa.views.tokenize import Sample

IGNORED, OFFICIAL = -100, 512
"""The label that carries no loss, and the tokens of every row of the official code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """What one variant took.

    Attributes:
        name: of the variant.
        samples: in a step.
        tokens: in a step, pads left out.
        seconds: of a step, the median.
        useful: floating-point operations of a step, as above.
        memory: peak in GiB; NaN on a CPU.
    """

    name: str
    samples: int
    tokens: int
    seconds: float
    useful: float
    memory: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A variant: what is run, and what it is useful for."""

    name: str
    run: Callable[[], Tensor]
    samples: int
    tokens: int
    useful: float


class Bench:
    """A model with its optimizer, and the steps that can be taken with it.

    Args:
        shape: of the model.
        device: "cuda" or "cpu".
        samples: as many as the largest step takes.
    """

    def __init__(self, shape: Shape, device: str, samples: Sequence[Sample]) -> None:
        self.shape, self.device, self._samples = shape, device, samples[: shape.batch]
        self.model: PreTrainedModel = shape.model("sdpa", device=device).train()
        self._optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-6, fused=True)
        self._cost = CostModel.of(self.model)

    def steps(self) -> Iterator[Step]:
        """Return the variants, the most telling first; each is built when it is asked for."""
        shared, separate = Layout(k=1), Layout(k=1, shared=False, framed=True)
        full = [shared.forest(sample) for sample in self._samples]
        plain = [plain_forest(sample) for sample in self._samples]
        kinds = ("sdpa", "flex_attention") if self.device != "cpu" else ("sdpa",)
        yield self._padded()
        for kind in reversed(kinds):
            yield self._packed(f"our NTP, {kind}", plain, kind, weight=0.0)
            yield self._packed(f"LLM-JEPA shared, {kind}", full, kind)
        yield self._packed(f"LLM-JEPA separate, {kinds[-1]}", [separate.forest(item) for item in self._samples], kinds[-1])
        yield self._official()

    def compiled_steps(self) -> Iterator[Step]:
        """Return the variants that `training.torch_compile` makes faster or not; no other can be taken after them."""
        kind = "flex_attention" if self.device != "cpu" else "sdpa"
        compile_layers(self.model, backend="inductor" if self.device != "cpu" else "eager")
        yield self._packed(f"our NTP, {kind}, compiled", [plain_forest(item) for item in self._samples], kind, weight=0.0)
        full = [Layout(k=1).forest(sample) for sample in self._samples]
        yield self._packed(f"LLM-JEPA shared, {kind}, compiled", full, kind)

    def time(self, step: Step, *, rounds: int) -> Timed:
        """Return what a step took."""
        clock.start_memory(self.device)
        taken = clock.seconds(
            lambda: self.take(step), device=self.device, warm=2 if self.device == "cpu" else 4, rounds=rounds
        )
        return Timed(
            name=step.name,
            samples=step.samples,
            tokens=step.tokens,
            seconds=taken,
            useful=step.useful,
            memory=clock.peak_memory(self.device),
        )

    def take(self, step: Step) -> None:
        """Take one optimizer step."""
        with torch.autocast(self.device, torch.bfloat16):
            loss = step.run()
        loss.backward()
        self._optimizer.step()
        self._optimizer.zero_grad()

    def _packed(self, name: str, forests: Sequence[Forest], kind: str, *, weight: float = 1.0) -> Step:
        self._attend(kind)
        rows = rows_for(self.model, torch.device(self.device))
        count = rows.samples_per_row([forest.tokens for forest in forests])
        packed = rows.finish(pack(forests, pad=0, samples_per_row=count, row_length=rows.length))
        batch = PackedBatch.from_tensors({part: item.to(self.device) for part, item in packed.tensors().items()})
        objective, totals = JEPA(weight=weight), Totals(labels=len(batch.label), pairs=len(batch.predicted))

        def run() -> Tensor:
            self._attend(kind)
            return objective(encode(self.model, batch, logits_at_once=LOGITS), totals).loss

        return Step(name=name, run=run, samples=len(forests), tokens=int(packed.tokens), useful=self._useful(forests))

    def _attend(self, kind: str) -> None:
        name = KINDS[kind].name
        if self.model.config._attn_implementation != name and name is not None:
            self.model.set_attn_implementation(name)

    def _useful(self, forests: Sequence[Forest]) -> float:
        tokens = sum(forest.tokens for forest in forests)
        labels = sum(sum(segment.trained[1:]) for forest in forests for segment in forest.segments)
        return self._cost.step(tokens=tokens, seen=sum(forest.seen for forest in forests), labels=labels)

    def _padded(self) -> Step:
        """Return what transformers' `Trainer` does: dynamic padding, logits everywhere, the model's own loss."""
        sequences = [sample.sequences[0] for sample in self._samples]
        length = max(len(sequence.ids) for sequence in sequences)
        ids, seen, labels = (torch.full((len(sequences), length), fill) for fill in (0, 0, IGNORED))
        for index, sequence in enumerate(sequences):
            own, trained = torch.tensor(sequence.ids), torch.tensor(sequence.trained)
            ids[index, : len(own)], seen[index, : len(own)] = own, 1
            labels[index, : len(own)] = own.where(trained, IGNORED)
        given = {"input_ids": ids, "attention_mask": seen, "labels": labels}
        moved = {name: item.to(self.device) for name, item in given.items()}

        def run() -> Tensor:
            self._attend("sdpa")
            return self.model(**moved, use_cache=False).loss

        forests = [plain_forest(sample) for sample in self._samples]
        tokens = sum(forest.tokens for forest in forests)
        return Step(name="plain Trainer", run=run, samples=len(forests), tokens=tokens, useful=self._useful(forests))

    def _official(self) -> Step:
        """Return three rows of 512 a sample, logits and hidden states for all of them (docs/fidelity.md)."""
        chosen = self._samples[: self.shape.official]
        count = len(chosen)
        parts = [
            *((sample.sequences[0].ids, sample.sequences[0].trained) for sample in chosen),
            *(((*sample.views[0].framed, 0), ()) for sample in chosen),
            *((sample.views[1].framed, ()) for sample in chosen),
        ]
        ids, seen, labels = (torch.full((3 * count, OFFICIAL), fill) for fill in (0, 0, IGNORED))
        for index, (row, trained) in enumerate(parts):
            own = torch.tensor(row[:OFFICIAL])
            ids[index, : len(own)], seen[index, : len(own)] = own, 1
            if trained:
                labels[index, : len(own)] = own.where(torch.tensor(trained[:OFFICIAL]), IGNORED)
        last = (seen.sum(1) - 1).to(self.device)
        moved = {"input_ids": ids.to(self.device), "attention_mask": seen.to(self.device), "labels": labels.to(self.device)}
        row = torch.arange(3 * count, device=self.device)

        def run() -> Tensor:
            self._attend("sdpa")
            output = self.model(**moved, output_hidden_states=True, use_cache=False)
            read = output.hidden_states[-1][row, last].float()
            distance = 1 - functional.cosine_similarity(read[count : 2 * count], read[2 * count :], dim=-1)
            return output.loss + distance.mean()

        forests = [Layout(k=1).forest(sample) for sample in chosen]
        tokens = sum(len(part) for part, _ in parts)
        return Step(name="official, 3 x 512", run=run, samples=count, tokens=tokens, useful=self._useful(forests))
