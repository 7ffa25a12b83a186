"""How fast examples become batches, on one core: tokenising with spans, and packing into tensors.

Measured as the least CPU time of several passes over the same examples. Not measured: reading the file, and the data
loader's workers, which would share the work. The tokenizer library alone, called once on the same rendered texts, stands
beside it: no way of using it can be faster.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.workload import Workload
from llm_jepa.packing.collate import Collator
from llm_jepa.packing.layout import Layout
from llm_jepa.packing.rows import OneRow
from llm_jepa.views.tokenize import Tokenizer

BATCH = 8
PASSES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Throughput:
    """Examples per second and core.

    Attributes:
        tokenise: `Tokenizer.samples`, bare views.
        library: the tokenizer library alone on the same texts, rendered before, with offsets.
        pack: the batch with all segments alone, shared layout, k = 1.
        pack_both: the batch with all segments and the plain one, as `JEPATrainer` makes them.
        vocabulary: tokens of the tokenizer.
    """

    tokenise: float
    library: float
    pack: float
    pack_both: float
    vocabulary: int

    @property
    def together(self) -> float:
        """Tokenising and packing one after the other, as `JEPATrainer` does in its first epoch."""
        return 1 / (1 / self.tokenise + 1 / self.pack_both)


def throughput(workload: Workload) -> Throughput:
    """Return the throughput on the workload's examples with its tokenizer."""
    tokenizer = Tokenizer(workload.tokenizer)
    samples = list(tokenizer.samples(workload.examples))
    batches: list[list[dict[str, object]]] = [
        [{"sample": sample} for sample in samples[at : at + BATCH]] for at in range(0, len(samples), BATCH)
    ]

    def pack(*, plain: bool) -> None:
        collate = Collator(layout=Layout(k=1), pad=workload.pad, rows=OneRow(), full=True, plain=plain)
        for batch in batches:
            collate(batch)

    texts = [tokenizer.renderer.render(example.messages, where=example.name).text for example in workload.examples]
    count = len(samples)
    return Throughput(
        tokenise=count / _least(lambda: list(tokenizer.samples(workload.examples))),
        library=count / _least(lambda: workload.tokenizer(texts, add_special_tokens=False, return_offsets_mapping=True)),
        pack=count / _least(lambda: pack(plain=False)),
        pack_both=count / _least(lambda: pack(plain=True)),
        vocabulary=len(workload.tokenizer),
    )


def _least(run: Callable[[], object]) -> float:
    times: list[float] = []
    for _ in range(PASSES):
        start = time.process_time()
        run()
        times.append(time.process_time() - start)
    return min(times)
