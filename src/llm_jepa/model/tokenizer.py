"""Tokenizers: a model's own, or one trained on the data for pretraining from random weights."""

from collections.abc import Iterable
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from llm_jepa.errors import UserError
from llm_jepa.views.chat import plain_template

ROLES = ("<|system|>", "<|user|>", "<|assistant|>")
END, PAD = "<|end|>", "<|pad|>"
TRAINED_TEMPLATE = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ '<|end|>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
"""The chat template of a tokenizer trained here: one token a role, one that ends the answer. Padding has its own token."""


def train_tokenizer(texts: Iterable[str], *, size: int) -> PreTrainedTokenizerFast:
    """Return a byte-level BPE tokenizer trained on `texts`.

    Args:
        texts: the training set's contents; nothing of a held-out set belongs here.
        size: upper limit of the vocabulary in tokens, the 256 bytes and 5 special tokens included.

    Raises:
        UserError: the vocabulary has no room for the bytes.
    """
    special = [PAD, END, *ROLES]
    if size < 256 + len(special):
        raise UserError(f"model.vocabulary is {size}, but bytes and special tokens alone take {256 + len(special)}")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END, pad_token=PAD)
    wrapped.chat_template = TRAINED_TEMPLATE
    return wrapped


def set_template(tokenizer: PreTrainedTokenizerBase, template: str | None, *, needs_roles: bool) -> None:
    """Give the tokenizer the chat template to train and generate with.

    Args:
        tokenizer: changed in place; the template is exported with it.
        template: "plain", a Jinja file, or None: its own one, and without one the plain format.
        needs_roles: the data has system messages or several turns, for which the plain format is no obvious choice.

    Raises:
        UserError: the file cannot be read, or there is no template and the data needs roles.
    """
    if template == "plain":
        tokenizer.chat_template = plain_template(tokenizer)
    elif template is not None:
        try:
            tokenizer.chat_template = Path(template).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"model.template: cannot read '{template}' ({error}); give 'plain' or a Jinja file") from error
    elif not tokenizer.chat_template and needs_roles:
        raise UserError(
            "the tokenizer has no chat template, but the data are conversations with system messages or several turns; "
            "set `model.template` to 'plain' (contents on lines of their own) or to a Jinja file"
        )
    elif not tokenizer.chat_template:
        tokenizer.chat_template = plain_template(tokenizer)
