"""The special tokens every stage needs, as plain integers."""

from transformers import PreTrainedTokenizerBase

from llm_jepa.errors import UserError


def eos_id(tokenizer: PreTrainedTokenizerBase) -> int:
    """Return the end-of-sequence token.

    Raises:
        UserError: there is none.
    """
    found = tokenizer.eos_token_id
    if not isinstance(found, int):
        raise UserError("the tokenizer has no end-of-sequence token, so no answer could ever stop; set its `eos_token`")
    return found


def pad_id(tokenizer: PreTrainedTokenizerBase) -> int:
    """Return the padding token, or without one the end-of-sequence token; pads are masked, so either will do."""
    found = tokenizer.pad_token_id
    return found if isinstance(found, int) else eos_id(tokenizer)
