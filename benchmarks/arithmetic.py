"""Memory and speed of training from 1 to 70 billion parameters, by arithmetic alone: `python -m benchmarks.arithmetic`.

Nothing here is measured on a GPU. What is counted and what is assumed stands in docs/scaling.md, which holds the tables that
this module prints; its tests compare parameters and stored activations with what transformers and autograd do.
"""

from collections.abc import Sequence
from dataclasses import dataclass

GIGA = 1e9
DEVICES = 8
PEAK, SHARE = 989e12, 0.4
"""Dense bfloat16 operations a second of an H100 or H200 by its data sheet, and the share of them that is assumed."""
TEXT, CODE, PROMPT, K = 40, 15, 25, 1
"""Tokens of an NL-RX sample in a chat template, rounded: Text, the answer, the template around them, and [PRED] slots."""
TOKENS = 8192
"""Tokens of a micro-batch on a device."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A decoder of the Llama family.

    Attributes:
        name: what the tables call it.
        layers: number of layers.
        hidden: width of the hidden states.
        inner: width inside the feed-forward part.
        queries: width of all query heads together.
        keys: width of all key heads together; values have the same.
        vocabulary: tokens.
        tied: whether the output layer is the input embedding.
    """

    name: str
    layers: int
    hidden: int
    inner: int
    queries: int
    keys: int
    vocabulary: int = 128256
    tied: bool = False

    @property
    def layer(self) -> int:
        """Parameters of a layer."""
        attention = 2 * self.hidden * self.queries + 2 * self.hidden * self.keys
        return attention + 3 * self.hidden * self.inner + 2 * self.hidden

    @property
    def table(self) -> int:
        """Parameters of the embedding, or of the output layer."""
        return self.vocabulary * self.hidden

    @property
    def parameters(self) -> int:
        """All parameters."""
        return self.layers * self.layer + self.hidden + self.table * (1 if self.tied else 2)

    @property
    def stored(self) -> int:
        """Bytes that a layer keeps of a token for the backward, in bfloat16; norms compute in float32."""
        halves = 6 * self.hidden + self.queries + 2 * self.keys + 4 * self.inner
        return 2 * halves + 8 * self.hidden


SHAPES = (
    Shape(name="1 B", layers=16, hidden=2048, inner=8192, queries=2048, keys=512, tied=True),
    Shape(name="3 B", layers=28, hidden=3072, inner=8192, queries=3072, keys=1024, tied=True),
    Shape(name="8 B", layers=32, hidden=4096, inner=14336, queries=4096, keys=1024),
    Shape(name="70 B", layers=80, hidden=8192, inner=28672, queries=8192, keys=1024),
)
"""Llama 3.2 1B and 3B, Llama 3.1 8B and 70B."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """How bytes of a parameter are spread.

    Attributes:
        name: what the tables call it.
        everywhere: bytes of a parameter that every device holds.
        spread: bytes of a parameter that the devices divide among themselves.
        gathers: whether a layer's weights are put together where they are used.
    """

    name: str
    everywhere: int
    spread: int
    gathers: bool = False

    def state(self, shape: Shape, devices: int) -> float:
        """Return bytes on each device: weights, gradients, optimizer, and of a gathering engine what is put together."""
        held = shape.parameters * (self.everywhere + self.spread / devices)
        layers_and_tables = 2 * shape.layer + (1 if shape.tied else 2) * shape.table
        return held + (2 * layers_and_tables if self.gathers else 0)


ENGINES = (
    Engine(name="DDP", everywhere=4 + 4 + 8 + 2, spread=0),
    Engine(name="ZeRO 2", everywhere=2, spread=2 + 4 + 8),
    Engine(name="FSDP2", everywhere=0, spread=4 + 4 + 8, gathers=True),
    Engine(name="ZeRO 3", everywhere=0, spread=2 + 2 + 4 + 8, gathers=True),
)
"""AdamW with float32 master weights and bfloat16 arithmetic."""


def activations(shape: Shape, tokens: int, *, checkpointing: bool) -> float:
    """Return bytes that the layers keep of so many tokens for the backward."""
    if not checkpointing:
        return shape.layers * shape.stored * tokens
    return (shape.layers * 2 * shape.hidden + shape.stored) * tokens


def logits(shape: Shape, positions: int) -> int:
    """Return bytes of the logits at so many positions: bfloat16, float32, and float32 log-probabilities for the backward."""
    return (2 + 4 + 4) * shape.vocabulary * positions


def operations(shape: Shape, *, tokens: int, labels: int, seen: int, checkpointing: bool) -> float:
    """Return operations of a step: as `llm_jepa.model.flops` counts, and a second forward of the layers if checkpointed."""
    body = shape.layers * (shape.layer - 2 * shape.hidden)
    inside = 6 * body * tokens + 12 * shape.layers * shape.queries * seen
    return inside * (4 / 3 if checkpointing else 1) + 6 * shape.table * labels


def _causal(tokens: int) -> int:
    """Return how many tokens the tokens of a sequence see, themselves included."""
    return tokens * (tokens + 1) // 2


def memory_rows(shapes: Sequence[Shape] = SHAPES, *, devices: int = DEVICES) -> list[list[str]]:
    """Return GB of state on each device by engine."""
    return [
        [shape.name, f"{shape.parameters / GIGA:.2f}", *(f"{e.state(shape, devices) / GIGA:.0f}" for e in ENGINES)]
        for shape in shapes
    ]


def activation_rows(shapes: Sequence[Shape] = SHAPES) -> list[list[str]]:
    """Return GB of activations and of logits of a micro-batch on a device."""
    labels = TOKENS * (CODE + 1) // (PROMPT + TEXT + CODE + 1)
    found: list[list[str]] = []
    for shape in shapes:
        kept = [activations(shape, TOKENS, checkpointing=checkpointing) for checkpointing in (False, True)]
        made = [logits(shape, positions) for positions in (TOKENS, labels)]
        found.append([shape.name, f"{shape.layers * shape.stored / 1e6:.1f}", *(f"{n / GIGA:.1f}" for n in (*kept, *made))])
    return found


def speed_rows(shapes: Sequence[Shape] = SHAPES) -> list[list[str]]:
    """Return thousands of tokens, and samples by kind of training, that a device takes in a second."""
    plain = PROMPT + TEXT + CODE + 1
    found: list[list[str]] = []
    for shape in shapes:

        def per_second(tokens: int, seen: int, shape: Shape = shape) -> float:
            return PEAK * SHARE / operations(shape, tokens=tokens, labels=CODE + 1, seen=seen, checkpointing=True)

        views = K * (PROMPT + TEXT) + _causal(K) + _causal(CODE)
        alone = per_second(plain, _causal(plain))
        packed = per_second(plain + K + CODE, _causal(plain) + views)
        found.append([shape.name, f"{alone * plain / 1e3:.1f}", f"{alone:.0f}", f"{packed:.0f}", f"{alone / packed:.2f}"])
    return found


TABLES = (
    (("model", "parameters, B", *(engine.name for engine in ENGINES)), memory_rows),
    (("model", "MB a token", "all kept", "checkpointed", "logits, all", "logits, labels"), activation_rows),
    (("model", "thousand tokens/s", "plain, samples/s", "LLM-JEPA, samples/s", "cost of LLM-JEPA"), speed_rows),
)


def tables() -> str:
    """Return the tables as Markdown."""
    parts: list[str] = []
    for header, rows in TABLES:
        lines = [header, ["---"] * len(header), *rows()]
        parts.append("\n".join("| " + " | ".join(line) + " |" for line in lines))
    return "\n\n".join(parts)


if __name__ == "__main__":
    print(tables())
