"""The records that travel between stages: frozen, named, and free of torch.

A data file or task yields `Example`s; evaluation yields `Prediction`s. What is made of tensors is defined beside the stage
that makes it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

SYSTEM, USER, ASSISTANT = "system", "user", "assistant"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One turn of a conversation, or with an empty `role` a plain piece of text."""

    role: str
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One view of an example: a text that says the same thing as the other views (paper, section 3.1).

    Attributes:
        content: the text of the view.
        role: the role under which a chat template renders the view alone.
        message: index of the message in `Example.messages` whose content this view is; None when the view is no part of
            the trained sequence (HellaSwag's ending, a paraphrase).
    """

    content: str
    role: str
    message: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One sample: what is trained on, and its views.

    Attributes:
        name: where it comes from, such as "train.jsonl:12"; stands in error messages and prediction files.
        messages: the trained sequence; the last is the answer. Empty for a group of views without a conversation: then
            every view is a trained sequence of its own.
        views: view i predicts view i + 1: (Text, Code), or n paraphrases. Fewer than two: no JEPA term for this example.
        extra: what a scorer needs besides the answer, such as a database's name.
    """

    name: str
    messages: tuple[Message, ...]
    views: tuple[View, ...] = ()
    extra: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def prompt(self) -> tuple[Message, ...]:
        """The messages before the answer."""
        return self.messages[:-1]

    @property
    def answer(self) -> str:
        """The content of the last message, or the last view of a group without messages."""
        return self.messages[-1].content if self.messages else self.views[-1].content


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What a model generated for one example.

    Attributes:
        name: the example's name.
        prompt: the text given to the model, template included.
        expected: the reference answer.
        generated: the generated text, without the stop token.
        stopped: whether a stop token ended the generation (else the token limit did).
        tokens: number of generated tokens, the stop token included.
        likelihoods: where an answer was chosen and not generated, the log-likelihood (in nats) of each choice by its name.
    """

    name: str
    prompt: str
    expected: str
    generated: str
    stopped: bool
    tokens: int
    likelihoods: Mapping[str, float] = field(default_factory=dict[str, float])
