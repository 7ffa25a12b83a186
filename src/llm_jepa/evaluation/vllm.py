"""Greedy decoding with vLLM, which is faster than transformers on a GPU; an optional package, imported only when asked for.

The engine is given token ids and our stop tokens, and none of the model's own generation settings, so that it differs from
`evaluation.answerer.Greedy` by rounding alone. What is used of it: `vllm.LLM(...).generate(prompts, sampling_params)` with
token prompts (`{"prompt_token_ids": [...]}`) and `vllm.SamplingParams`; it answers in the order of the prompts.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol

from llm_jepa.errors import UserError
from llm_jepa.evaluation.answerer import Answerer, Decode, EvaluationItem, generated, prompts
from llm_jepa.evaluation.generate import Generation, check_room, cut
from llm_jepa.records import Example, Prediction
from llm_jepa.views.tokenize import Tokenizer


class Completion(Protocol):
    """One generation of the engine: its token ids, and "stop" or "length" for what ended it."""

    token_ids: Sequence[int]
    finish_reason: str | None


class Request(Protocol):
    """What the engine returns for one prompt."""

    outputs: Sequence[Completion]


class Engine(Protocol):
    """What is used of `vllm.LLM`."""

    def generate(self, prompts: Any, sampling_params: Any, *, use_tqdm: bool) -> Sequence[Request]:
        """Return one request a prompt, in order."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class VLLM(Answerer[EvaluationItem]):
    """Greedy decoding with a vLLM engine.

    Attributes:
        engine: `vllm.LLM`.
        sampling: `vllm.SamplingParams`: greedy, with our stop tokens and limit (`greedy_sampling`).
        decode: turns generated token ids into text.
        stop_ids: any of these ends a generation.
        max_new_tokens: most tokens generated for one item, the stop token included.
        room: the model's positions, in tokens; None: no limit.
        batch_size: items handed over at a time; the engine divides them itself, so a large number costs no memory.
    """

    engine: Engine
    sampling: Any
    decode: Decode
    stop_ids: Collection[int]
    max_new_tokens: int
    room: int | None = None
    batch_size: int = 1024

    def items(self, tokenizer: Tokenizer, examples: Sequence[Example]) -> list[EvaluationItem]:
        """Return the prompts."""
        return prompts(tokenizer, examples)

    def check(self, items: Sequence[EvaluationItem]) -> None:
        """Refuse a prompt that is empty or leaves no room for the answer; none is ever cut."""
        check_room(self.room, {item.name: item.prompt_ids for item in items}, max_new_tokens=self.max_new_tokens)

    def length(self, item: EvaluationItem) -> int:
        """Return the prompt's."""
        return len(item.prompt_ids)

    def answer(self, items: Sequence[EvaluationItem]) -> list[Prediction]:
        """Decode all items at once."""
        asked = [{"prompt_token_ids": list(item.prompt_ids)} for item in items]
        requests = self.engine.generate(asked, self.sampling, use_tqdm=False)
        return [
            generated(item, self._generation(request.outputs[0]), self.decode)
            for item, request in zip(items, requests, strict=True)
        ]

    def _generation(self, completion: Completion) -> Generation:
        """Cut at the stop token; where the engine has left it out already, its reason tells that there was one."""
        made = cut(completion.token_ids, self.stop_ids)
        return Generation(tokens=made.tokens, stopped=made.stopped or completion.finish_reason == "stop")


def load_engine(model: str, *, longest: int, options: Mapping[str, Any] | None = None) -> Engine:
    """Return an engine for a model folder or a name on the hub.

    Args:
        model: what `vllm.LLM` loads; code that comes with a model is not run.
        longest: room for a prompt with its answer, in tokens.
        options: more arguments of `vllm.LLM`, such as dtype and revision.

    Raises:
        UserError: vLLM is not installed, or cannot load the model.
    """
    vllm = _vllm()
    try:
        return vllm.LLM(model=model, max_model_len=longest, generation_config="vllm", seed=0, **(options or {}))
    except (ValueError, RuntimeError, OSError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        raise UserError(f"vLLM cannot load '{model}' ({reason}); leave `--backend` out to use transformers") from error


def greedy_sampling(*, stop_ids: Collection[int], max_new_tokens: int) -> Any:
    """Return `vllm.SamplingParams` that decode greedily.

    The engine's own end-of-sequence handling is off: `stop_ids` is the whole list, and the engine knows one id only.

    Raises:
        UserError: vLLM is not installed.
    """
    return _vllm().SamplingParams(
        temperature=0.0,
        max_tokens=max_new_tokens,
        stop_token_ids=sorted(stop_ids),
        ignore_eos=True,
        detokenize=False,
    )


def _vllm() -> Any:
    try:
        return import_module("vllm")
    except ImportError as error:
        remedy = "`pip install vllm` (Linux with a GPU), or leave `--backend` out to use transformers"
        raise UserError(f"the back end vllm is not installed ({error}); {remedy}") from error
