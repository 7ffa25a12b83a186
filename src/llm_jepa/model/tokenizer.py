"""Tokenizers: one trained on the data, for pretraining from random weights, or lent to a model that brings none."""

from collections.abc import Iterable
from pathlib import Path

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from llm_jepa.errors import UserError
from llm_jepa.model.families import FAMILIES, family_of
from llm_jepa.views.chat import plain_template

ROLES = ("<|system|>", "<|user|>", "<|assistant|>")
END, PAD = "<|end|>", "<|pad|>"
TRAINED_TEMPLATE = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ '<|end|>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
"""The chat template of a tokenizer trained here: one token a role, one that ends the answer. Padding has its own token."""

_FILES = ("tokenizer.json", "tokenizer_config.json", "tokenizer.model", "vocab.json")
"""Any of these makes a folder's own tokenizer."""


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


def lent_tokenizer(model: str | None, revision: str | None) -> PreTrainedTokenizerBase | None:
    """Return the tokenizer of a model's family where the model brings none (OpenELM); else None.

    Args:
        model: hub id or folder of the model.
        revision: branch, tag or commit of the hub repository.

    Raises:
        UserError: it cannot be loaded, because nobody has asked for access to it, say.
    """
    family = family_of(model or "")
    if model is None or family is None or family.tokenizer is None or _brings_tokenizer(model, revision):
        return None
    try:
        return AutoTokenizer.from_pretrained(family.tokenizer)
    except (OSError, ValueError) as error:
        raise UserError(
            f"the model '{model}' brings no tokenizer, and the one of its family, '{family.tokenizer}', cannot be loaded: "
            f"ask for access at https://huggingface.co/{family.tokenizer} and log in with `hf auth login`, or set "
            "`model.tokenizer` to a folder with a copy of its tokenizer.json and tokenizer_config.json"
        ) from error


def _brings_tokenizer(model: str, revision: str | None) -> bool:
    if Path(model).is_dir():
        return any((Path(model) / name).is_file() for name in _FILES)
    try:
        hf_hub_download(model, "tokenizer_config.json", revision=revision)
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError):
        return False
    return True


def set_template(
    tokenizer: PreTrainedTokenizerBase, template: str | None, *, needs_roles: bool, model: str | None = None
) -> None:
    """Give the tokenizer the chat template to train and generate with.

    Args:
        tokenizer: changed in place; the template is exported with it.
        template: "plain", a Jinja file, or None: its own one, without one the family's, and without that the plain format.
        needs_roles: the data has system messages or several turns, for which the plain format is no obvious choice.
        model: hub id or folder of the model, which may tell its family.

    Raises:
        UserError: the file cannot be read, or there is no template and the data needs roles.
    """
    family = family_of(model or "")
    if template == "plain":
        tokenizer.chat_template = plain_template(tokenizer)
    elif template is not None:
        try:
            tokenizer.chat_template = Path(template).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"model.template: cannot read '{template}' ({error}); give 'plain' or a Jinja file") from error
    elif own := tokenizer.chat_template:
        several = isinstance(own, dict)
        tokenizer.chat_template = {name: _edited(text) for name, text in own.items()} if several else _edited(own)
    elif family is not None and family.template is not None:
        tokenizer.chat_template = family.template
    elif needs_roles:
        raise UserError(
            "the tokenizer has no chat template, but the data are conversations with system messages or several turns; "
            "set `model.template` to 'plain' (contents on lines of their own) or to a Jinja file"
        )
    else:
        tokenizer.chat_template = plain_template(tokenizer)


def _edited(template: str) -> str:
    """Return a tokenizer's own template with the families' edits; a mark tells the family, whatever its folder is called."""
    for old, new in (edit for family in FAMILIES for edit in family.edits):
        template = template.replace(old, new)
    return template
