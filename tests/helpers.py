"""Small factories that several test files share: a word tokenizer, literal samples, tiny models, one training run."""

import copy
import random
from collections.abc import Sequence, Sized
from pathlib import Path
from typing import Any, cast

import torch
from tokenizers import Tokenizer as RawTokenizer
from tokenizers import models, pre_tokenizers, trainers
from torch import Tensor, nn
from torch.utils.data import SequentialSampler
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    TrainerCallback,
    TrainingArguments,
)

from llm_jepa.model import openelm
from llm_jepa.model.attention import use_packed_attention
from llm_jepa.model.slots import add_slots
from llm_jepa.objective.jepa import Objective
from llm_jepa.packing.layout import Layout
from llm_jepa.records import Example, Message, View
from llm_jepa.training.trainer import JEPATrainer
from llm_jepa.views.tokenize import Sample, TokenSequence, TokenView

CHATML = (
    "{% for message in messages %}"
    "{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' }}"
    "{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""The chat template of SmolLM2, with its default system prompt."""

CORPUS = (
    "system user assistant You are a helpful AI assistant named SmolLM , trained by Hugging Face",
    "lines with a number or the word dog before every vowel ( . * [ 0 - 9 ] ) | & ~ dog",
)

VOCABULARY = 64
PAD = 0


def word_tokenizer() -> PreTrainedTokenizerFast:
    """Return a word-level tokenizer trained here, with the ChatML format; its pad token is not its stop token."""
    raw = RawTokenizer(models.WordLevel(unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    special = ["<pad>", "<unk>", "<|im_start|>", "<|im_end|>"]
    raw.train_from_iterator(CORPUS, trainers.WordLevelTrainer(special_tokens=special, show_progress=False))
    return PreTrainedTokenizerFast(
        tokenizer_object=raw, unk_token="<unk>", pad_token="<pad>", eos_token="<|im_end|>", chat_template=CHATML
    )


def text_code(*, system: str = "You are helpful", user: str = "lines with a dog", answer: str = "[ 0 - 9 ] dog") -> Example:
    """Return a conversation of three messages whose views are the user's and the assistant's."""
    messages = (Message(role="system", content=system), Message(role="user", content=user))
    views = (View(content=user, role="user", message=1), View(content=answer, role="assistant", message=2))
    return Example(name="a:1", messages=(*messages, Message(role="assistant", content=answer)), views=views)


PARAPHRASES = Example(
    name="g:1", messages=(), views=(View(content="lines with a dog", role=""), View(content="every number", role=""))
)
"""A group without a conversation."""


TEXT_CODE = Sample(
    "a:1",
    (TokenSequence((1, 10, 11, 12, 2, 20, 21, 3), (False, False, False, False, False, True, True, True)),),
    (
        TokenView(ids=(10, 11, 12), framed=(7, 10, 11, 12), frame=1, sequence=0, start=1, end=4),
        TokenView(ids=(20, 21), framed=(8, 9, 20, 21), frame=2, sequence=None, start=5, end=7),
    ),
)
"""[1 | text 10 11 12 | 2 | code 20 21 | stop 3], with official views that carry one and two tokens of frame."""

GROUP = Sample(
    "g:1",
    (
        TokenSequence((1, 30, 31, 3), (False, True, True, True)),
        TokenSequence((1, 40, 3), (False, True, True)),
        TokenSequence((1, 50, 51, 52, 3), (False, True, True, True, True)),
    ),
    (
        TokenView(ids=(30, 31), framed=(30, 31), sequence=0, start=1, end=3),
        TokenView(ids=(40,), framed=(40,), sequence=1, start=1, end=2),
        TokenView(ids=(50, 51, 52), framed=(50, 51, 52), sequence=2, start=1, end=4),
    ),
)
"""Three paraphrases, each a trained sequence of its own between start 1 and stop 3."""


def conversations(count: int, *, seed: int = 0, longest: int = 7) -> list[Sample]:
    """Return random samples of a text and a code whose lengths, and so numbers of label tokens, differ."""
    draw = random.Random(seed)
    return [_conversation(f"random:{index}", draw, longest) for index in range(count)]


def _conversation(name: str, draw: random.Random, longest: int) -> Sample:
    text = tuple(draw.randrange(4, VOCABULARY) for _ in range(draw.randint(2, longest)))
    code = tuple(draw.randrange(4, VOCABULARY) for _ in range(draw.randint(1, longest)))
    ids = (1, *text, 2, *code, 3)
    start = len(text) + 2
    trained = tuple(index >= start for index in range(len(ids)))
    first = TokenView(text, (1, *text), 1, sequence=0, start=1, end=len(text) + 1)
    second = TokenView(code, (1, 2, *code), 2, start=start, end=start + len(code))
    return Sample(name, (TokenSequence(ids, trained),), (first, second))


WINDOW = 5
"""Tokens a sliding layer sees: fewer than any path of the samples above."""

_COMMON = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "initializer_range": 0.3,
    "bos_token_id": 1,
    "eos_token_id": 3,
    "pad_token_id": PAD,
    "tie_word_embeddings": False,
}
_GPT2 = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 128}
_NO_DROPOUT = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
_MIXED = ["sliding_attention", "full_attention"]

openelm.register()

FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", {}),
    "qwen3": ("qwen3", {"head_dim": 8}),
    "olmo2": ("olmo2", {}),
    "gemma2": ("gemma2", {"head_dim": 8, "sliding_window": WINDOW, "layer_types": _MIXED}),
    "gemma3": ("gemma3_text", {"head_dim": 8, "sliding_window": WINDOW, "layer_types": _MIXED}),
    "mistral": ("mistral", {"head_dim": 8, "sliding_window": WINDOW}),
    "openelm": (
        "openelm",
        {
            "head_dim": 8,
            "num_attention_heads": [2, 4],
            "num_key_value_heads": [1, 2],
            "ffn_multipliers": [0.5, 1.5],
            "ffn_dim_divisor": 8,
            "normalize_qk_projections": True,
        },
    ),
    "gpt2": ("gpt2", _GPT2 | _NO_DROPOUT),
    "gpt2_dropout": ("gpt2", _GPT2),
    "phi3": ("phi3", {"sliding_window": WINDOW}),
    "cohere2": ("cohere2", {"sliding_window": WINDOW, "layer_types": _MIXED}),
    "mpt": ("mpt", {"d_model": 32, "n_layers": 2, "n_heads": 4, "max_seq_len": 128}),
    "bloom": ("bloom", {"n_layer": 2, "n_head": 4}),
    "mamba": ("mamba", {"state_size": 4}),
    "lfm2": ("lfm2", {"layer_types": ["conv", "full_attention"], "block_auto_adjust_ff_dim": False}),
}
"""Tiny members of model families: transformers' name of the architecture, and what differs from the common sizes."""


def plain_model(family: str = "llama", *, attention: str = "sdpa", dtype: torch.dtype = torch.float64) -> PreTrainedModel:
    """Return a tiny model as transformers makes it, the same at every call."""
    architecture, settings = FAMILIES[family]
    config = AutoConfig.for_model(architecture, **copy.deepcopy(_COMMON | settings))
    state = torch.random.get_rng_state()
    torch.manual_seed(7)
    model = AutoModelForCausalLM.from_config(config, attn_implementation=attention).to(dtype)
    torch.random.set_rng_state(state)
    return model


def packed_model(
    family: str = "llama", *, k: int = 1, attention: str = "sdpa", dtype: torch.dtype = torch.float64
) -> PreTrainedModel:
    """Return the same model prepared for packed rows, with k predictor slots."""
    model = plain_model(family, attention=attention, dtype=dtype)
    use_packed_attention(model)
    add_slots(model, k, seed=0)
    return model


class InOrder(JEPATrainer):
    """Takes the samples as they come; Trainer's option for it came after transformers 5.0."""

    def _get_train_sampler(self, train_dataset: Any = None) -> SequentialSampler:
        del train_dataset
        assert self.train_dataset is not None
        return SequentialSampler(cast(Sized, self.train_dataset))


def train(
    model: nn.Module,
    samples: Sequence[Sample],
    objective: Objective,
    *,
    folder: Path,
    layout: Layout | None = None,
    batch: int = 4,
    accumulation: int = 1,
    steps: int = 4,
    in_order: bool = False,
    resume: Path | None = None,
    callbacks: Sequence[TrainerCallback] = (),
    **options: Any,
) -> list[dict[str, Any]]:
    """Train in place for `steps` optimizer steps and return what was logged at each, but for the time.

    More `options` go to either side.
    """
    ours = ("samples_per_row", "one_forward", "eval_samples", "on_nan", "stream")
    own = {name: options.pop(name) for name in ours if name in options}
    settings: dict[str, Any] = {
        "learning_rate": 1e-2,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": [],
        "disable_tqdm": True,
        "use_cpu": True,
        "seed": 82,
    }
    arguments = TrainingArguments(
        str(folder),
        per_device_train_batch_size=batch,
        gradient_accumulation_steps=accumulation,
        max_steps=steps,
        **(settings | options),
    )
    trainer = (InOrder if in_order else JEPATrainer)(
        model=model,
        args=arguments,
        objective=objective,
        layout=layout or Layout(),
        samples=samples,
        callbacks=list(callbacks),
        **own,
    )
    trainer.train(resume_from_checkpoint=None if resume is None else str(resume))
    logs = [entry for entry in trainer.state.log_history if "loss" in entry]
    return [{name: value for name, value in entry.items() if name != "seconds"} for entry in logs]


def weights(model: nn.Module, *, slots: bool = True) -> dict[str, Tensor]:
    """Return a copy of every parameter, with or without the predictor slots, which plain models lack."""
    return {
        name: parameter.detach().clone()
        for name, parameter in model.named_parameters()
        if slots or "jepa_predictor" not in name
    }


def largest_difference(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    """Return the largest absolute difference of two sets of tensors with the same names."""
    assert one.keys() == other.keys()
    return max(float((one[name] - other[name]).abs().max()) for name in one)
