"""A stand-in with the interface of `vllm.LLM` and `vllm.SamplingParams`, of what is used of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any


@dataclass
class SamplingParams:
    """Takes what vLLM's takes, of what is used here."""

    temperature: float = 1.0
    max_tokens: int | None = 16
    stop_token_ids: list[int] | None = None
    ignore_eos: bool = False
    detokenize: bool = True


@dataclass
class LLM:
    """Continues a prompt by counting down from its last token to a stop token, which it may keep or leave out.

    Attributes:
        batches: the prompts of every call.
    """

    model: str
    max_model_len: int | None = None
    generation_config: str = "auto"
    seed: int = 0
    dtype: str = "auto"
    keeps_stop: bool = True
    batches: list[list[list[int]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.model == "broken":
            raise ValueError("No supported config format found in broken.\nmore lines")

    def generate(self, prompts: Sequence[Any], sampling_params: SamplingParams, *, use_tqdm: bool = True) -> list[Any]:
        assert not use_tqdm
        self.batches.append([prompt["prompt_token_ids"] for prompt in prompts])
        return [SimpleNamespace(outputs=[self._continue(prompt["prompt_token_ids"], sampling_params)]) for prompt in prompts]

    def _continue(self, prompt: list[int], sampling: SamplingParams) -> Any:
        assert sampling.temperature == 0
        assert sampling.max_tokens is not None
        assert sampling.stop_token_ids is not None
        made: list[int] = []
        for token in range(prompt[-1] - 1, prompt[-1] - 1 - sampling.max_tokens, -1):
            stopped = token in sampling.stop_token_ids
            made += [token] if self.keeps_stop or not stopped else []
            if stopped:
                return SimpleNamespace(token_ids=made, finish_reason="stop")
        return SimpleNamespace(token_ids=made, finish_reason="length")
