"""Greedy decoding in batches: token ids in, token ids out, with transformers' own `generate`.

The module pads, calls and cuts. It knows no text, no file and no score; prompts are never truncated.
"""

import copy
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor, nn
from torch.nn import functional
from transformers import AttentionMaskInterface, Cache, GenerationConfig, StoppingCriteria, StoppingCriteriaList
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS

from llm_jepa.errors import UserError
from llm_jepa.evaluation.prefix import cache_of, shared_cache
from llm_jepa.model.compiled import uncompiled
from llm_jepa.model.parts import context_limit, core


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """What a model generated after one prompt.

    Attributes:
        tokens: the generated token ids up to the stop token, which is excluded.
        stopped: whether a stop token ended the generation (else the token limit did).
    """

    tokens: tuple[int, ...]
    stopped: bool

    @property
    def length(self) -> int:
        """Number of generated tokens, the stop token included."""
        return len(self.tokens) + self.stopped


def generate(
    model: nn.Module,
    prompts: Sequence[Sequence[int]],
    *,
    stop_ids: Collection[int],
    pad_id: int,
    max_new_tokens: int,
    batch_size: int,
) -> Iterator[tuple[int, Generation]]:
    """Decode every prompt greedily; yield each prompt's index and its generation, batch by batch.

    The longest prompts come first, so a batch too large for the memory fails at once. A result is the one the prompt
    gets alone, up to the rounding of the model's number format. The model's generation settings (temperature,
    penalties, forced tokens) have no effect, and between batches the model is as the caller left it, training mode
    included. All arguments are checked before this returns; the first batch runs at the first `next`.

    Args:
        model: a causal language model of transformers, or peft's wrapper around one.
        prompts: token ids of each prompt, template and all, unpadded.
        stop_ids: any of these ends a generation.
        pad_id: fills up shorter prompts and is masked; may be one of `stop_ids`.
        max_new_tokens: most tokens generated for one prompt, the stop token included.
        batch_size: prompts decoded together.

    Raises:
        UserError: a prompt is empty, or with `max_new_tokens` longer than the model's positions.
    """
    _check_arguments(model, stop_ids=stop_ids, pad_id=pad_id, max_new_tokens=max_new_tokens)
    check_prompts(model, {f"prompt {i}": ids for i, ids in enumerate(prompts)}, max_new_tokens=max_new_tokens)
    settings = GenerationConfig(
        max_new_tokens=max_new_tokens,
        do_sample=False,
        num_beams=1,
        use_cache=True,
        pad_token_id=pad_id,
        return_dict_in_generate=True,
    )
    batches = longest_first([len(ids) for ids in prompts], batch_size)
    return _stream(model, prompts, batches, settings, stop_ids)


def longest_first(lengths: Sequence[int], batch_size: int) -> list[list[int]]:
    """Divide indices into batches, longest first and equal lengths in the given order; only the last may be smaller.

    Example:
        >>> longest_first([3, 9, 3, 7, 1], 2)
        [[1, 3], [0, 2], [4]]
    """
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}; it must be at least 1")
    order = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


def check_prompts(model: nn.Module, prompts: Mapping[str, Sequence[int]], *, max_new_tokens: int) -> None:
    """Raise `UserError` for the first prompt that is empty or that leaves no room for `max_new_tokens`.

    Args:
        model: its `max_position_embeddings` is the room, in tokens; a model without has no limit.
        prompts: token ids by the name that stands in the error message.
        max_new_tokens: most tokens generated for one prompt.
    """
    check_room(context_limit(model), prompts, max_new_tokens=max_new_tokens)


def check_room(room: int | None, prompts: Mapping[str, Sequence[int]], *, max_new_tokens: int) -> None:
    """Raise `UserError` as `check_prompts` does, for a model with `room` positions (None: without a limit)."""
    for name, ids in prompts.items():
        if not ids:
            raise UserError(f"{name} has no tokens; a prompt needs at least one")
        total = len(ids) + max_new_tokens
        if room is not None and total > room:
            raise UserError(
                f"{name} has {len(ids)} tokens, and with max_new_tokens {max_new_tokens} that makes {total}: more than "
                f"the model's {room} positions; lower max_new_tokens or leave the example out (prompts are never cut)"
            )


def _check_arguments(model: nn.Module, *, stop_ids: Collection[int], pad_id: int, max_new_tokens: int) -> None:
    if not stop_ids:
        raise ValueError("stop_ids is empty: no generation would ever stop; give the end-of-text and end-of-turn ids")
    if max_new_tokens < 1:
        raise ValueError(f"max_new_tokens is {max_new_tokens}; it must be at least 1")
    vocabulary = core(model).config.get_text_config().vocab_size
    if not 0 <= pad_id < vocabulary:
        raise ValueError(f"pad_id is {pad_id}, outside the model's vocabulary of {vocabulary}; take a stop id for it")


def _stream(
    model: nn.Module,
    prompts: Sequence[Sequence[int]],
    batches: Sequence[Sequence[int]],
    settings: GenerationConfig,
    stop_ids: Collection[int],
) -> Iterator[tuple[int, Generation]]:
    for batch in batches:
        generations = _generate_batch(model, [prompts[index] for index in batch], settings, stop_ids)
        yield from zip(batch, generations, strict=True)


@dataclass(frozen=True, slots=True)
class _AnyStopped(StoppingCriteria):
    """Ends the generation of all rows with the first stop token of any, so that no row is computed past its own."""

    stop_ids: Tensor

    def __call__(self, input_ids: Any, scores: Any, **options: Any) -> Any:
        """Return for every row whether generation ends."""
        del scores, options
        return torch.isin(input_ids[:, -1], self.stop_ids).any().expand(len(input_ids))


def _generate_batch(
    model: nn.Module, prompts: Sequence[Sequence[int]], settings: GenerationConfig, stop_ids: Collection[int]
) -> list[Generation]:
    width = max(len(ids) for ids in prompts)
    gaps = [width - len(ids) for ids in prompts]
    rows = [[settings.pad_token_id] * gap + list(ids) for gap, ids in zip(gaps, prompts, strict=True)]
    seen = [[0] * gap + [1] * len(ids) for gap, ids in zip(gaps, prompts, strict=True)]
    device = core(model).device
    padding = _padding_masked(model) if any(gaps) else nullcontext()
    with torch.no_grad(), evaluation_mode(model), _without_own_settings(model), padding, uncompiled(model):
        made = _decode(
            model,
            torch.tensor(rows, device=device),
            torch.tensor(seen, device=device),
            settings,
            torch.tensor(sorted(stop_ids), device=device),
            shared_cache(model, prompts, gaps),
        )
    return [cut(row, frozenset(stop_ids)) for row in made]


def _decode(
    model: nn.Module,
    ids: Int[Tensor, "row token"],
    seen: Int[Tensor, "row token"],
    settings: GenerationConfig,
    stop_ids: Int[Tensor, " stop"],
    kept: dict[str, Cache],
) -> list[list[int]]:
    """Return what each row generates, its stop token included; `kept` is the cache of the first columns, or nothing.

    `generate` goes on until every row has stopped, and computes the stopped ones as well. So it is called anew whenever a
    row stops, with the other rows and their part of the cache.
    """
    width, end = ids.shape[1], ids.shape[1] + settings.max_new_tokens
    made: list[list[int]] = [[] for _ in ids]
    rows = list(range(len(ids)))
    while True:
        settings = copy.copy(settings)
        settings.max_new_tokens = end - ids.shape[1]
        output = model.generate(  # pyright: ignore[reportCallIssue] - no method of nn.Module
            input_ids=ids,
            attention_mask=seen,
            generation_config=settings,
            stopping_criteria=StoppingCriteriaList([_AnyStopped(stop_ids)]),
            **kept,
        )
        ids = output.sequences
        ended = torch.isin(ids[:, -1], stop_ids) | (ids.shape[1] == end)
        for index in ended.nonzero()[:, 0].tolist():
            made[rows[index]] = ids[index, width:].tolist()
        left = (~ended).nonzero()[:, 0]
        if not len(left):
            return made
        rows = [rows[index] for index in left.tolist()]
        seen = functional.pad(seen, (0, ids.shape[1] - seen.shape[1]), value=1)[left]
        ids = ids[left]
        kept = _kept(output, left)


def _kept(output: Mapping[str, Any], rows: Int[Tensor, " kept"]) -> dict[str, Cache]:
    """Return the cache of some rows; where there is none, their tokens are computed once more."""
    chosen: Any = rows  # typed as a LongTensor there
    found = cache_of(output)
    for cache in found.values():
        cache.reorder_cache(chosen)
    return found


def cut(row: Sequence[int], stop_ids: Collection[int]) -> Generation:
    """Keep what precedes the first stop token."""
    end = next((place for place, token in enumerate(row) if token in stop_ids), None)
    return Generation(tokens=tuple(row[:end]), stopped=end is not None)


@contextmanager
def _padding_masked(model: nn.Module) -> Iterator[None]:
    """Make sure that padding is masked, and that a pad, which sees nothing, does not become NaN.

    Eager attention adds the lowest number of the model's format to what may not be seen. Where a row has nothing else
    (left padding) that can overflow to a row of -inf, in float16 by rounding and in float64 by the softmax in float32,
    and the NaN spreads to every token. Such a row sees everything instead; nothing reads its result.

    Raises:
        ValueError: the attention has no mask function; transformers would drop the mask without a word.
    """
    name = core(model).config.get_text_config()._attn_implementation  # transformers has no public name for it
    if name is None or name not in ALL_MASK_ATTENTION_FUNCTIONS:
        raise ValueError(
            f"attention '{name}' has no mask function, so padding would be attended to; register one with "
            "transformers.AttentionMaskInterface, or generate with batch_size 1"
        )
    own = ALL_MASK_ATTENTION_FUNCTIONS[name]

    def without_empty_rows(*arguments: Any, **options: Any) -> Any:
        mask = own(*arguments, **options)
        if not isinstance(mask, torch.Tensor) or not mask.is_floating_point():
            return mask
        return mask.masked_fill((mask < 0).all(dim=-1, keepdim=True), 0)

    AttentionMaskInterface.register(name, without_empty_rows)
    try:
        yield
    finally:
        AttentionMaskInterface.register(name, own)


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Put every module into evaluation mode, and afterwards exactly those back that were in training mode."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


@contextmanager
def _without_own_settings(model: nn.Module) -> Iterator[None]:
    """Lend the model blank generation settings, and afterwards give it back its own.

    `generate` fills every setting that its argument leaves at None from the model's own (forced and suppressed tokens,
    a minimal length, a list of bad words), and None cannot be insisted on. A peft wrapper reads them from its inside.
    """
    inner = core(model)
    own = inner.generation_config
    inner.generation_config = GenerationConfig()
    try:
        yield
    finally:
        inner.generation_config = own
