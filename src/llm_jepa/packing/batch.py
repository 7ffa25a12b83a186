"""What a collated batch holds and what an encoder makes of it: the two records of tensors every later stage reads."""

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor

from llm_jepa.packing.mask import Visibility


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedBatch:
    """Rows of packed segments.

    Attributes:
        input_ids: token ids; a predictor slot holds the pad id.
        label_at: for every label token, where it is predicted, as an index into the flattened (row token).
        label: the label tokens.
        slot: index of the predictor slot at each position, -1 for a token of the vocabulary.
        visibility: what each token sees, and its position.
        predicted: for every pair, where Pred is read, as an index into the flattened (row token).
        target: for every pair, where its target is read.
        sequence: (row, first token, one past the last) of every trained sequence.
        tokens: number of tokens that are no pads, a scalar.
        borders: where segments begin in the flattened (row token), and at last its length, for kernels that take segments
            and no mask; None for all others.
    """

    input_ids: Int[Tensor, "row token"]
    label_at: Int[Tensor, " label"]
    label: Int[Tensor, " label"]
    slot: Int[Tensor, "row token"]
    visibility: Visibility
    predicted: Int[Tensor, " pair"]
    target: Int[Tensor, " pair"]
    sequence: Int[Tensor, "sequence 3"]
    tokens: Int[Tensor, ""]
    borders: Int[Tensor, " border"] | None = None

    def tensors(self) -> dict[str, Tensor]:
        """Return the batch as a flat mapping, which data loaders and accelerate can pin, move and gather."""
        fields = ("input_ids", "label_at", "label", "slot", "predicted", "target", "sequence", "tokens")
        own = {name: getattr(self, name) for name in fields}
        own |= {} if self.borders is None else {"borders": self.borders}
        seen = self.visibility
        return own | {
            "segment_start": seen.segment_start,
            "prefix_start": seen.prefix_start,
            "prefix_end": seen.prefix_end,
            "position": seen.position,
        }

    @staticmethod
    def from_tensors(tensors: dict[str, Tensor]) -> "PackedBatch":
        """Return the batch that `tensors` came from."""
        rest = dict(tensors)
        names = ("segment_start", "prefix_start", "prefix_end", "position")
        return PackedBatch(visibility=Visibility(**{name: rest.pop(name) for name in names}), **rest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """What an objective may read: the result of one forward over a packed batch.

    Attributes:
        label_nll: negative log-likelihood of every label token, in nats, float32 or wider.
        predicted: Pred(Enc(view)) of every pair, in the dtype of the model's hidden states.
        target: Enc(other view) of every pair.
        candidates: the targets of all ranks, among them this rank's `target` from index `first_candidate` on.
        first_candidate: index in `candidates` of the target of pair 0.
        hidden: the last hidden states.
        sequence: (row, first token, one past the last) of every trained sequence, for objectives without views.
    """

    label_nll: Float[Tensor, " label"]
    predicted: Float[Tensor, "pair hidden"]
    target: Float[Tensor, "pair hidden"]
    candidates: Float[Tensor, "candidate hidden"]
    first_candidate: int
    hidden: Float[Tensor, "row token hidden"]
    sequence: Int[Tensor, "sequence 3"]
