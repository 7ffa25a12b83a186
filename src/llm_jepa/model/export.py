"""A trained model -> a plain Hugging Face folder that needs nothing of this package."""

import os
import shutil
from collections.abc import Collection, Iterable
from pathlib import Path

from torch import nn
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from llm_jepa.errors import UserError
from llm_jepa.model.encode import core
from llm_jepa.model.slots import NAME


def stop_ids(tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel, answers_end: Iterable[int]) -> tuple[int, ...]:
    """Return every token that ends a generation: the tokenizer's, the generation config's, and what closes an answer.

    Args:
        tokenizer: its end-of-sequence token.
        model: the end-of-sequence tokens of its generation config.
        answers_end: the last token of trained sequences (the chat template's end of turn).
    """
    known = model.generation_config.eos_token_id if model.generation_config else None
    configured = [] if known is None else [known] if isinstance(known, int) else list(known)
    return tuple(sorted({*configured, *answers_end, *([] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id])}))


def merged(model: nn.Module) -> PreTrainedModel:
    """Return the transformers model, adapters merged into its weights (in place)."""
    inner = core(model)
    wrapper = next((module for module in model.modules() if "merge_and_unload" in dir(module)), None)
    return inner if wrapper is None else wrapper.merge_and_unload()


def export(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    folder: Path,
    *,
    stops: Collection[int],
    card: str,
    overwrite: bool = False,
) -> None:
    """Write a plain Hugging Face folder: safetensors, tokenizer, chat template, generation config, model card.

    The predictor slots, which only training needs, are left out. Adapters are merged in place: the model in memory is not to
    be trained further. The folder appears whole or not at all.

    Args:
        model: the trained model, wrapped or not.
        tokenizer: with the chat template it was trained with.
        folder: where; it must not exist or be empty.
        stops: tokens that end a generation.
        card: the text of README.md.
        overwrite: replace an existing folder.

    Raises:
        UserError: the folder holds something.
    """
    if folder.exists() and any(folder.iterdir()) and not overwrite:
        raise UserError(f"'{folder}' is not empty; give another folder or `--overwrite`")
    plain = merged(model)
    weights = {name: value for name, value in plain.state_dict().items() if NAME not in name.split(".")}
    plain.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=sorted(stops),
        pad_token_id=tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id,
    )
    part = folder.with_name(folder.name + ".partial")
    shutil.rmtree(part, ignore_errors=True)
    plain.save_pretrained(part, state_dict=weights)
    tokenizer.save_pretrained(part)
    (part / "README.md").write_text(card, encoding="utf-8")
    if folder.exists():
        shutil.rmtree(folder)
    os.replace(part, folder)
