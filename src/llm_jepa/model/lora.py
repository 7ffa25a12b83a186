"""Low-rank adapters on all linear layers, over base weights in full precision or in 4 bits.

4-bit weights (QLoRA: Dettmers et al., 2023, arXiv:2305.14314) are for training alone: they are rounded as they are read, and
what is exported is the adapters' product added to the weights as they are at the source, never to the rounded ones.
"""

import copy
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, cast

import torch
from torch import nn
from transformers import BitsAndBytesConfig, PreTrainedModel

from llm_jepa.errors import UserError
from llm_jepa.model.slots import NAME

_NO_PEFT = "model.lora needs the package peft: `pip install 'llm-jepa[lora]'`"


@dataclass(frozen=True, kw_only=True)
class LoRA:
    """Low-rank adapters on all linear layers (paper, Table 8); the predictor slots are trained and saved beside them.

    Attributes:
        rank: rank of the adapters (paper: 32 to 512).
        alpha: scale of the adapters; None: twice the rank.
        dropout: dropout inside the adapters.
        four_bit: hold the base weights of all linear layers in 4 bits while training (QLoRA): NF4 with doubly quantised
            scales, multiplied in `model.dtype`. The model is scored with them, and exported without the rounding.
    """

    rank: int = 64
    alpha: int | None = None
    dropout: float = 0.0
    four_bit: bool = False

    def __post_init__(self) -> None:
        """Check the values."""
        if self.rank < 1:
            raise ValueError(f"rank is {self.rank}, but an adapter has a rank of at least 1")


def with_adapters(model: PreTrainedModel, lora: LoRA, *, k: int, seed: int) -> nn.Module:
    """Return the model under fresh adapters; its `k` predictor slots are trained and saved in full.

    Args:
        model: with the slots already on it; changed in place.
        lora: the adapters.
        k: number of [PRED] slots.
        seed: for the adapters' first values.

    Raises:
        UserError: peft is not installed.
    """
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise UserError(_NO_PEFT) from error
    adapters = LoraConfig(
        r=lora.rank,
        lora_alpha=2 * lora.rank if lora.alpha is None else lora.alpha,
        lora_dropout=lora.dropout,
        target_modules="all-linear",
        modules_to_save=[NAME] if k else None,
        task_type="CAUSAL_LM",
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return get_peft_model(model, adapters)


def four_bit_config(dtype: torch.dtype) -> BitsAndBytesConfig:
    """Return transformers' config of the base weights under `LoRA.four_bit`.

    Args:
        dtype: what the products are computed in.

    Raises:
        UserError: bitsandbytes is not installed.
    """
    if find_spec("bitsandbytes") is None:
        raise UserError(
            "model.lora.four_bit needs the package bitsandbytes: `pip install 'llm-jepa[qlora]'`, or set it to false"
        )
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )


def keep_differentiable(model: PreTrainedModel) -> None:
    """Stop bitsandbytes from repacking 4-bit weights at the first evaluation, after which no gradient passes them.

    It does so on CPUs with AVX512-BF16 (version 0.50), for inference in bfloat16; the self-check would set it off.
    """
    for module in model.modules():
        if "support_avx512bf16_for_cpu" in vars(module):
            cast(Any, module).support_avx512bf16_for_cpu = False


def is_four_bit(model: nn.Module) -> bool:
    """Return whether any layer holds its weights in 4 bits."""
    return any("quant_state" in dir(parameter) for parameter in model.parameters())


def moved_adapters(model: nn.Module, base: PreTrainedModel) -> nn.Module:
    """Return `base` under a copy of the adapters of `model`, without the predictor slots.

    Args:
        model: a peft model; unchanged.
        base: a model of the same architecture, without slots; changed in place.

    Raises:
        UserError: peft is not installed.
    """
    try:
        from peft import PeftModel, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
    except ImportError as error:
        raise UserError(_NO_PEFT) from error
    adapted = cast(Any, next(module for module in model.modules() if isinstance(module, PeftModel)))
    config = copy.copy(adapted.peft_config[adapted.active_adapter])
    config.modules_to_save = None
    weights = {name: value for name, value in get_peft_model_state_dict(adapted).items() if NAME not in name.split(".")}
    with torch.random.fork_rng():  # the first values are overwritten; nobody else's draws may move
        result = get_peft_model(base, config)
    set_peft_model_state_dict(result, weights)
    return result
