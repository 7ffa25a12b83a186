"""A trained model -> a plain Hugging Face folder that needs nothing of this package."""

import shutil
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from torch import nn
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from llm_jepa.durable import drafting, put, sync_tree
from llm_jepa.errors import UserError
from llm_jepa.model.load import ModelConfig, load_model
from llm_jepa.model.lora import is_four_bit, moved_adapters
from llm_jepa.model.parts import core
from llm_jepa.model.slots import NAME
from llm_jepa.views.special import eos_id, pad_id


def stop_ids(tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel, answers_end: Iterable[int]) -> tuple[int, ...]:
    """Return every token that ends a generation: the tokenizer's, the generation config's, and what closes an answer.

    Args:
        tokenizer: its end-of-sequence token.
        model: the end-of-sequence tokens of its generation config.
        answers_end: the last token of trained sequences (the chat template's end of turn).
    """
    known = model.generation_config.eos_token_id if model.generation_config else None
    configured = [] if known is None else [known] if isinstance(known, int) else list(known)
    return tuple(sorted({*configured, *answers_end, eos_id(tokenizer)}))


def full_precision(model: nn.Module, config: ModelConfig, tokenizer: PreTrainedTokenizerBase, *, seed: int) -> nn.Module:
    """Return the model to export: where its base weights are in 4 bits, the adapters over those that were rounded.

    Args:
        model: the trained model, wrapped or not; unchanged.
        config: what it was loaded from; the source is read again, on the CPU.
        tokenizer: as in `load_model`.
        seed: as in `load_model`.

    Raises:
        UserError: the source cannot be loaded any more.
    """
    if not is_four_bit(model):
        return model
    return moved_adapters(model, load_model(replace(config, lora=None), tokenizer, seed=seed))


def merged(model: nn.Module) -> PreTrainedModel:
    """Return the transformers model, adapters merged into its weights (in place).

    Raises:
        UserError: the weights are in 4 bits, so that merging would round the sum again.
    """
    if is_four_bit(model):
        raise UserError("the base weights are in 4 bits; export `full_precision(model, config, tokenizer, seed=seed)`")
    inner = core(model)
    wrapper = next((module for module in model.modules() if "merge_and_unload" in dir(module)), None)
    return inner if wrapper is None else core(cast(Any, wrapper).merge_and_unload())


@contextmanager
def whole_folder(folder: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield an empty folder to fill, and put it at `folder` when the block ends without an error: whole or not at all.

    Args:
        folder: where; it must not exist or be empty.
        overwrite: replace what it holds.

    Raises:
        UserError: the folder holds something, or is no folder.
    """
    shown, folder = folder, folder.resolve()
    if folder.exists() and not folder.is_dir():
        raise UserError(f"'{shown}' is a file; give a folder")
    if folder.exists() and any(folder.iterdir()) and not overwrite:
        raise UserError(f"'{shown}' is not empty; give another folder or `--overwrite`")
    part, old = (folder.with_name(folder.name + ending) for ending in (".partial", ".replaced"))
    for left in (part, old):
        shutil.rmtree(left, ignore_errors=True)
    try:
        part.mkdir(parents=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise UserError(f"cannot write to '{shown}': {error.strerror}; give another folder") from error
    with drafting(part):
        yield part
        sync_tree(part)
        if folder.exists():
            folder.replace(old)  # a removal takes time, and a kill during it would leave half a model
        put(part, folder)
        shutil.rmtree(old, ignore_errors=True)


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
        UserError: the folder holds something, or the weights are in 4 bits.
    """
    with whole_folder(folder, overwrite=overwrite) as part:
        plain = merged(model)
        weights = {name: value for name, value in plain.state_dict().items() if NAME not in name.split(".")}
        plain.generation_config = GenerationConfig(
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=sorted(stops),
            pad_token_id=pad_id(tokenizer),
        )
        plain.config.use_cache = True  # Trainer switches it off
        plain.save_pretrained(part, state_dict=weights)
        tokenizer.save_pretrained(part)
        (part / "README.md").write_text(card, encoding="utf-8")
