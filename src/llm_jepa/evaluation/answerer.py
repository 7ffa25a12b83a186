"""What answers examples: a batch of items in, their predictions out. Files, resuming and scores are other modules' affair.

An `Answerer` is one way to get answers out of a model. This module has the plain one, greedy decoding with transformers;
`evaluation.choice` weighs given answers, `evaluation.vllm` decodes with another engine.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from torch import nn

from llm_jepa.evaluation.generate import Generation, check_prompts, generate
from llm_jepa.records import Example, Prediction
from llm_jepa.views.tokenize import Tokenizer


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationItem:
    """One example, ready to be answered.

    Attributes:
        name: the example's name, unique among the items.
        prompt: the text given to the model, template included; it is only recorded.
        prompt_ids: the token ids of the prompt.
        expected: the reference answer; it is only recorded.
    """

    name: str
    prompt: str
    prompt_ids: tuple[int, ...]
    expected: str


Item = TypeVar("Item", bound=EvaluationItem)
Decode = Callable[[Sequence[int]], str]
"""Token ids, without the stop token, into text."""


class Answerer(ABC, Generic[Item]):
    """Answers items in batches. The same batch gets the same answers, in whatever order batches come.

    Attributes:
        batch_size: items answered together, at least 1.
    """

    batch_size: int

    @abstractmethod
    def items(self, tokenizer: Tokenizer, examples: Sequence[Example]) -> list[Item]:
        """Return what is asked for each example.

        Raises:
            UserError: an example does not suit this way of answering.
        """

    @abstractmethod
    def check(self, items: Sequence[Item]) -> None:
        """Raise `UserError` for the first item that cannot be answered."""

    @abstractmethod
    def length(self, item: Item) -> int:
        """Return the item's length in tokens: items of similar length are put together, the longest first."""

    @abstractmethod
    def answer(self, items: Sequence[Item]) -> list[Prediction]:
        """Return the predictions of one batch, in its order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Greedy(Answerer[EvaluationItem]):
    """Greedy decoding with transformers.

    Attributes:
        model: a causal language model of transformers, or peft's wrapper around one.
        decode: turns generated token ids into text.
        stop_ids: any of these ends a generation.
        pad_id: fills up shorter prompts and is masked.
        max_new_tokens: most tokens generated for one item, the stop token included.
        batch_size: items answered together.
    """

    model: nn.Module
    decode: Decode
    stop_ids: Collection[int]
    pad_id: int
    max_new_tokens: int = 128
    batch_size: int = 32

    def items(self, tokenizer: Tokenizer, examples: Sequence[Example]) -> list[EvaluationItem]:
        """Return the prompts."""
        return prompts(tokenizer, examples)

    def check(self, items: Sequence[EvaluationItem]) -> None:
        """Refuse a prompt that is empty or leaves no room for the answer; none is ever cut."""
        check_prompts(self.model, {item.name: item.prompt_ids for item in items}, max_new_tokens=self.max_new_tokens)

    def length(self, item: EvaluationItem) -> int:
        """Return the prompt's."""
        return len(item.prompt_ids)

    def answer(self, items: Sequence[EvaluationItem]) -> list[Prediction]:
        """Decode all items at once."""
        made = dict(
            generate(
                self.model,
                [item.prompt_ids for item in items],
                stop_ids=self.stop_ids,
                pad_id=self.pad_id,
                max_new_tokens=self.max_new_tokens,
                batch_size=len(items),
            )
        )
        return [generated(item, made[index], self.decode) for index, item in enumerate(items)]


def prompts(tokenizer: Tokenizer, examples: Sequence[Example]) -> list[EvaluationItem]:
    """Return what is to be generated for examples."""
    return [
        EvaluationItem(
            name=example.name,
            prompt=tokenizer.prompt_text(example),
            prompt_ids=tuple(tokenizer.prompt_ids(example)),
            expected=example.answer,
        )
        for example in examples
    ]


def generated(item: EvaluationItem, generation: Generation, decode: Decode) -> Prediction:
    """Return a generation as the prediction for its item."""
    return Prediction(
        name=item.name,
        prompt=item.prompt,
        expected=item.expected,
        generated=decode(generation.tokens),
        stopped=generation.stopped,
        tokens=generation.length,
    )
