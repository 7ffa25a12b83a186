"""The k [PRED] tokens of the tied-weights predictor (paper, section 3.1): slots, or tokens of the vocabulary.

Slot j is written as the negative number -(j + 1), so that a segment stays one tuple of integers until the batch is made.
There the slot gets a learned vector instead of a row of the vocabulary.

The official code adds tokens to the vocabulary instead and writes them into the view's text. Number 1 is the outermost: the
last after a view, the first before it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from transformers import PreTrainedTokenizerBase

from llm_jepa.errors import UserError


class Predictor(Enum):
    """What the [PRED] tokens are.

    Members:
        slots: learned vectors beside the vocabulary; trained under LoRA too, and no output class.
        vocabulary: tokens of a vocabulary that grows by `ADDED_TOKENS` (the official code); each is an output class too, and
            under LoRA they stay as they are drawn.
    """

    slots = "slots"
    vocabulary = "vocabulary"


NUMBERED = 10
"""How many [PRED] tokens the official code adds, whatever k is."""

ADDED_TOKENS = (
    *(f"<|predictor_{number}|>" for number in range(1, NUMBERED + 1)),
    *("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|perception|>"),
)
"""What the official code adds to every vocabulary that lacks it; each is a class of the softmax from then on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictorTokens:
    """The [PRED] tokens as text inside a view's content.

    Attributes:
        k: how many.
        prepend: they stand before the content instead of after it.

    Raises:
        UserError: there are fewer such tokens.

    Example:
        >>> PredictorTokens(k=2).put("ab"), PredictorTokens(k=2, prepend=True).put("ab")
        ('ab<|predictor_2|><|predictor_1|>', '<|predictor_1|><|predictor_2|>ab')
    """

    k: int
    prepend: bool = False

    def __post_init__(self) -> None:
        """Check that there are as many."""
        if self.k > NUMBERED:
            raise UserError(f"layout.k is {self.k}, but `model.predictor: vocabulary` has {NUMBERED} tokens; use slots")

    @property
    def names(self) -> tuple[str, ...]:
        """The tokens, first to last."""
        numbers = range(1, self.k + 1) if self.prepend else range(self.k, 0, -1)
        return tuple(f"<|predictor_{number}|>" for number in numbers)

    def put(self, content: str) -> str:
        """Return the content with the tokens in it."""
        marks = "".join(self.names)
        return marks + content if self.prepend else content + marks


def add_predictor_tokens(tokenizer: PreTrainedTokenizerBase) -> None:
    """Add the tokens of `ADDED_TOKENS` that the vocabulary lacks, as special tokens."""
    known = tokenizer.get_vocab()
    tokenizer.add_tokens([token for token in ADDED_TOKENS if token not in known], special_tokens=True)


def slots(k: int) -> tuple[int, ...]:
    """Return the k slots of the predictor, first to last.

    Example:
        >>> slots(3)
        (-1, -2, -3)
    """
    return tuple(-(index + 1) for index in range(k))


def slot_index(token: int) -> int:
    """Return which slot a token is, or -1 for a row of the vocabulary.

    Example:
        >>> [slot_index(token) for token in (-1, -2, 7)]
        [0, 1, -1]
    """
    return -token - 1 if token < 0 else -1


def with_predictor(ids: Sequence[int], predictor: Sequence[int], *, prepend: bool) -> tuple[int, ...]:
    """Return `ids` with the predictor's tokens after them, or before them (the paper's "Prepend" ablation, Table 3)."""
    return (*predictor, *ids) if prepend else (*ids, *predictor)
