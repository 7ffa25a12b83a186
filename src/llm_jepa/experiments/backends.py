"""The engines that `llm-jepa evaluate` can generate with: transformers, or vLLM, which is optional."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

import torch
from transformers import PreTrainedModel

from llm_jepa.errors import UserError
from llm_jepa.evaluation.answerer import Answerer
from llm_jepa.evaluation.vllm import VLLM, greedy_sampling, load_engine
from llm_jepa.experiments.answers import Limits, answerer, chooses, decoder
from llm_jepa.model.load import ModelConfig
from llm_jepa.model.parts import context_limit
from llm_jepa.ranks import processes
from llm_jepa.records import Example
from llm_jepa.scoring.scorer import Scorer
from llm_jepa.views.tokenize import Tokenizer


class Backend(Enum):
    """What makes the answers."""

    transformers = "transformers"
    vllm = "vllm"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """What there is to answer with.

    Attributes:
        source: where the model came from.
        model: the model as transformers loaded it, on the CPU.
        tokenizer: renders and tokenises.
        scorer: reads generated text, or likelihoods of choices.
        limits: bound the answers.
    """

    source: ModelConfig
    model: PreTrainedModel
    tokenizer: Tokenizer
    scorer: Scorer
    limits: Limits


def make_answerer(backend: Backend, asking: Asking, examples: Sequence[Example]) -> Answerer:
    """Return what answers these examples.

    Raises:
        UserError: the back end is not installed, or cannot answer them with this model.
    """
    return _MAKERS[backend](asking, examples)


def _transformers(asking: Asking, examples: Sequence[Example]) -> Answerer:
    del examples
    device = torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
    model = asking.model.to(device)  # pyright: ignore[reportArgumentType]
    return answerer(model, asking.tokenizer, asking.scorer, asking.limits)


def _vllm(asking: Asking, examples: Sequence[Example]) -> Answerer:
    remedy = "leave `--backend` out to use transformers"
    name = str(asking.source.name)
    if processes().num_processes > 1:
        raise UserError(f"the back end vllm is for one process and spreads a model by itself; launch one, or {remedy}")
    if chooses(asking.scorer):
        raise UserError(f"the back end vllm generates, and answers to these data are chosen by likelihood; {remedy}")
    if name.endswith(".gguf") or asking.source.gguf is not None:
        raise UserError(f"the back end vllm reads folders and names on the hub, and '{name}' is GGUF; {remedy}")
    limits = asking.limits
    longest = max(len(asking.tokenizer.prompt_ids(example)) for example in examples) + limits.max_new_tokens
    options = {"dtype": asking.source.dtype, "revision": asking.source.revision}
    return VLLM(
        engine=load_engine(name, longest=longest, options=options),
        sampling=greedy_sampling(stop_ids=limits.stop_ids, max_new_tokens=limits.max_new_tokens),
        decode=decoder(asking.tokenizer.tokenizer),
        stop_ids=limits.stop_ids,
        max_new_tokens=limits.max_new_tokens,
        room=context_limit(asking.model),
        batch_size=limits.batch_size,
    )


_MAKERS: Mapping[Backend, Callable[[Asking, Sequence[Example]], Answerer]] = {
    Backend.transformers: _transformers,
    Backend.vllm: _vllm,
}
