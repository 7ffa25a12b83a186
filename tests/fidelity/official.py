"""The official arithmetic, written from its description with transformers and torch alone, as literally as it can be.

A sample is three rows, each padded to one length: the conversation, the user's message alone, the assistant's alone. They
are rendered by the chat template and tokenised again with special tokens. One model call takes all rows of a micro-batch.
Nothing of the library is used here.
"""

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedModel, PreTrainedTokenizerBase

IGNORED = -100
ADDED = [f"<|predictor_{number}|>" for number in range(1, 11)]
ADDED += ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|perception|>"]

Messages = list[dict[str, str]]
Row = tuple[list[int], list[int]]
"""Token ids and attention mask."""


@dataclass(frozen=True, kw_only=True)
class Official:
    """A run of the official code.

    Attributes:
        last_token: where a view is read, counted from its end.
        k: number of predictor tokens.
        front: they stand before the message.
        reverse: the assistant's message predicts the user's.
        merges: there is no system role: Gemma.
        distance: "cosine", "l2", "mse" or "infonce".
        gamma: weight of the language modelling loss.
        lbd: weight of the other loss.
        length: every row is padded to this many tokens.
        arguments: for the chat template.
    """

    last_token: int
    k: int = 1
    front: bool = False
    reverse: bool = False
    merges: bool = False
    distance: str = "cosine"
    gamma: float = 1.0
    lbd: float = 1.0
    length: int = 64
    arguments: tuple[tuple[str, Any], ...] = ()

    def rows(self, tokenizer: PreTrainedTokenizerBase, messages: Messages) -> tuple[Row, Row, Row]:
        """Return the three rows of a sample: conversation, predicting view, predicted view."""
        system, user, assistant = copy.deepcopy(messages)
        whole = copy.deepcopy(messages)
        if self.merges:
            merged = {"role": "user", "content": system["content"] + "\n\n" + user["content"]}
            whole = [merged, copy.deepcopy(assistant)]
            assistant["role"] = "user"
        predicting, predicted = (assistant, user) if self.reverse else (user, assistant)
        for number in range(self.k, 0, -1):
            token = f"<|predictor_{number}|>"
            content = predicting["content"]
            predicting["content"] = token + content if self.front else content + token
        one, two, three = (self._row(tokenizer, turns) for turns in (whole, [predicting], [predicted]))
        return one, two, three

    def _row(self, tokenizer: PreTrainedTokenizerBase, turns: Messages) -> Row:
        rendered = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=False, **dict(self.arguments))
        text = str(rendered)
        made: Any = tokenizer(text, truncation=True, max_length=self.length, padding="max_length")
        return made["input_ids"], made["attention_mask"]

    def read(self, row: Row) -> int:
        """Return where a view is read in its row."""
        mask = row[1]
        tokens = len(mask) if mask[0] == 0 else sum(mask)  # pads on the left count as tokens there, which is right again
        return tokens + self.last_token

    def loss(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, batch: list[Messages]) -> Tensor:
        """Return the loss of one micro-batch, its cross-entropy in the dtype of the model."""
        samples = [self.rows(tokenizer, messages) for messages in batch]
        rows = [sample[part] for part in range(3) for sample in samples]
        ids, mask = (torch.tensor([row[part] for row in rows]) for part in (0, 1))
        output: Any = model(input_ids=ids, attention_mask=mask, output_hidden_states=True, use_cache=False)
        labels = official_labels(tokenizer, ids, len(batch))
        language = functional.cross_entropy(
            output.logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=IGNORED
        )
        last, count = output.hidden_states[-1], len(batch)
        one, two = (
            last[range(part * count, (part + 1) * count), [self.read(sample[part]) for sample in samples]] for part in (1, 2)
        )
        return self.gamma * language + self.lbd * distance(self.distance, one, two)


def official_labels(tokenizer: PreTrainedTokenizerBase, ids: Tensor, samples: int) -> Tensor:
    """Return the labels: the conversation's ids but those that equal the pad token's, and none of the views."""
    labels = ids.clone()
    labels[labels == tokenizer.pad_token_id] = IGNORED
    labels[samples:] = IGNORED
    return labels


def distance(name: str, one: Tensor, two: Tensor) -> Tensor:
    """Return the distance of a micro-batch, as its formula says."""
    cosine = (one * two).sum(1) / (one.norm(dim=1) * two.norm(dim=1))
    if name == "cosine":
        return 1 - cosine.mean()
    if name == "l2":
        return (one - two).norm(dim=1).mean()
    if name == "mse":
        return ((one - two) ** 2).mean()
    logits = (one / one.norm(dim=1, keepdim=True)) @ (two / two.norm(dim=1, keepdim=True)).T / 0.07
    return -logits.log_softmax(dim=1).diagonal().mean()


def add_tokens(tokenizer: PreTrainedTokenizerBase) -> None:
    """Add the official code's special tokens to a tokenizer, and make the stop token its pad token if it has none."""
    new: Any = [token for token in ADDED if token not in tokenizer.get_vocab()]
    tokenizer.add_special_tokens({"additional_special_tokens": new}, replace_extra_special_tokens=False)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
