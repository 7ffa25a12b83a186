"""Any Hugging Face causal language model, ready to be trained: from the hub, a folder, a GGUF file, or random weights."""

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from llm_jepa.errors import UserError, nearest
from llm_jepa.model import openelm
from llm_jepa.model.attention import KINDS, use_packed_attention
from llm_jepa.model.load_errors import TROUBLE, explained, reason
from llm_jepa.model.lora import LoRA, four_bit_config, keep_differentiable, with_adapters
from llm_jepa.model.slots import add_slots, grow_vocabulary
from llm_jepa.model.tokenizer import lent_tokenizer, set_template, train_tokenizer
from llm_jepa.views.predictor import Predictor, add_predictor_tokens

openelm.register()

_KINDS = (*MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, openelm.OpenELMConfig.model_type)
"""Every `model_type` of a causal language model that can be built or loaded."""


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Which model is trained.

    Attributes:
        name: hub id, local folder, or GGUF file. None: random weights from `config`.
        gguf: name of the GGUF file inside the hub repository or folder `name`.
        revision: branch, tag or commit on the hub.
        config: for random weights: `model_type` and the fields of its transformers config.
        tokenizer: hub id or folder of the tokenizer; None: the model's own, or for random weights one trained on the data.
        vocabulary: size of a tokenizer trained on the data, in tokens.
        template: "plain", or a Jinja file; None: the tokenizer's own chat template, else plain.
        template_arguments: more arguments for the chat template, such as `enable_thinking: true`.
        add_bos: tokenise rendered text behind the tokenizer's BOS, also where the template has one (the official code).
        whole_rendering: tokenise prompt and answer in one go, and keep what follows the stop token (the official code).
        predictor: what the [PRED] tokens are: learned slots, or tokens of the vocabulary (the official code).
        attention: transformers' name of an implementation (`model.attention.KINDS`); None: what the model takes by itself.
        dtype: dtype of the weights; float32 master weights move at small learning rates where bfloat16 ones do not.
        trust_remote_code: run code that comes with the model. Off unless you have read it.
        lora: train low-rank adapters instead of all weights.
    """

    name: str | None = None
    gguf: str | None = None
    revision: str | None = None
    config: Mapping[str, Any] | None = None
    tokenizer: str | None = None
    vocabulary: int = 1024
    template: str | None = None
    template_arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])
    add_bos: bool = False
    whole_rendering: bool = False
    predictor: Predictor = Predictor.slots
    attention: str | None = None
    dtype: str = "float32"
    trust_remote_code: bool = False
    lora: LoRA | None = None

    def __post_init__(self) -> None:
        """Check that the fields fit together."""
        if (self.name is None) == (self.config is None):
            raise ValueError("give either model.name (pretrained weights) or model.config (random weights)")
        if self.attention not in (None, *KINDS):
            raise ValueError(f"model.attention is '{self.attention}', but it is one of {', '.join(KINDS)}")
        if self.dtype not in ("float32", "bfloat16", "float64"):
            raise ValueError(f"model.dtype is '{self.dtype}', but it is 'float32', 'bfloat16' or 'float64'")
        if self.lora is not None and self.lora.four_bit:
            self._check_four_bit()

    @property
    def rendering(self) -> dict[str, Any]:
        """What `views.tokenize.Tokenizer` is told of the model: the arguments of that name."""
        return {
            "arguments": self.template_arguments,
            "add_bos": self.add_bos,
            "whole_rendering": self.whole_rendering,
        }

    def slots(self, k: int) -> int:
        """Return how many learned slots k [PRED] tokens are; none where they are tokens of the vocabulary."""
        return k if self.predictor is Predictor.slots else 0

    def _check_four_bit(self) -> None:
        if self.name is None or self.gguf is not None or self.name.endswith(".gguf"):
            raise ValueError("model.lora.four_bit rounds pretrained safetensors weights; name a model that has them")
        if self.dtype == "float64":
            raise ValueError("model.lora.four_bit multiplies in float32 or bfloat16; set model.dtype to one of them")


def load_tokenizer(config: ModelConfig, *, texts: Iterable[str] = (), needs_roles: bool = False) -> PreTrainedTokenizerBase:
    """Return the tokenizer of a run, with its chat template set.

    Args:
        config: the model.
        texts: contents of the training set, for a tokenizer trained on the data.
        needs_roles: the data has system messages or several turns.

    Raises:
        UserError: it cannot be loaded.
    """
    lent = None if config.tokenizer else lent_tokenizer(config.name, config.revision)
    source = config.tokenizer or config.name
    if lent is not None or source is None:
        tokenizer: PreTrainedTokenizerBase = lent or train_tokenizer(texts, size=config.vocabulary)
    else:
        where = _source(source, None if config.tokenizer else config.gguf) | {"revision": config.revision}
        with explained("tokenizer", source):
            tokenizer = AutoTokenizer.from_pretrained(**where, trust_remote_code=config.trust_remote_code)
    set_template(tokenizer, config.template, needs_roles=needs_roles, model=config.name)
    if config.predictor is Predictor.vocabulary:
        add_predictor_tokens(tokenizer)
    return tokenizer


def load_model(config: ModelConfig, tokenizer: PreTrainedTokenizerBase, *, seed: int) -> PreTrainedModel:
    """Return the model of a run, as transformers knows it.

    Args:
        config: the model.
        tokenizer: gives vocabulary and special tokens to a model with random weights.
        seed: for random weights.

    Raises:
        UserError: it cannot be loaded: no such model, no safetensors, remote code, unknown architecture.
    """
    if config.name is None:
        return _random(config, tokenizer, seed)
    options: dict[str, Any] = {"dtype": getattr(torch, config.dtype), "trust_remote_code": config.trust_remote_code}
    if config.attention is not None:
        options["attn_implementation"] = config.attention
    where = _source(config.name, config.gguf)
    if "gguf_file" not in where:
        options["use_safetensors"] = True
    if config.lora is not None and config.lora.four_bit:
        options["quantization_config"] = four_bit_config(options["dtype"])
    with explained("model", config.name):
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            **where, revision=config.revision, output_loading_info=True, **options
        )
    model, missing = loaded[0], sorted(loaded[1]["missing_keys"])
    if missing:
        raise UserError(
            f"the model '{config.name}' lacks {len(missing)} weights of its own config, such as '{missing[0]}'; they "
            "would be random: give a causal language model whose config.json and weights belong together"
        )
    keep_differentiable(model)
    model = _unquantised(model, config) if "gguf_file" in where else model
    if config.predictor is Predictor.vocabulary:
        grow_vocabulary(model, len(tokenizer), seed=seed)
    return model


def prepare(
    model: PreTrainedModel, *, k: int, seed: int = 0, one_forward: bool = True, lora: LoRA | None = None
) -> nn.Module:
    """Make a model ready for `JEPATrainer`: packed attention, k predictor slots, adapters.

    Args:
        model: a causal language model; changed in place.
        k: number of [PRED] slots.
        seed: for the slots' and the adapters' first values.
        one_forward: the batches will be packed.
        lora: adapters to train instead of all weights.

    Returns:
        The model, or a peft model around it.

    Raises:
        UserError: the model's attention cannot be packed (`model.attention`), or its weights are spread already.
    """
    if any(hasattr(parameter, "ds_id") for parameter in model.parameters()):  # DeepSpeed's mark
        raise UserError(
            "the model was loaded in pieces, for DeepSpeed's ZeRO 3, and has to be whole to be prepared; load it before "
            "`TrainingArguments` with a `deepspeed` config are made, or with zero3_init_flag: false"
        )
    if one_forward:
        use_packed_attention(model)
    add_slots(model, k, seed=seed)
    return model if lora is None else with_adapters(model, lora, k=k, seed=seed)


def _random(config: ModelConfig, tokenizer: PreTrainedTokenizerBase, seed: int) -> PreTrainedModel:
    fields = dict(config.config or {})
    kind = fields.pop("model_type", None)
    if kind not in _KINDS:
        hint = nearest(str(kind), _KINDS)
        raise UserError(f"model.config: model_type '{kind}' is no causal language model of transformers{hint}")
    special = {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    known = set(AutoConfig.for_model(kind).to_dict())
    for name in fields:
        if name not in known:
            raise UserError(f"model.config: '{name}' is no field of a {kind} config{nearest(name, known)}")
    options = {} if config.attention is None else {"attn_implementation": config.attention}
    try:
        shape = AutoConfig.for_model(kind, **{"vocab_size": len(tokenizer), **special, **fields})
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return AutoModelForCausalLM.from_config(shape, dtype=getattr(torch, config.dtype), **options)
    except TROUBLE as error:
        raise UserError(f"model.config: transformers cannot build this {kind} model: {reason(error)}") from error


def _source(name: str, gguf: str | None) -> dict[str, Any]:
    """Return the arguments that tell transformers where a model is."""
    path = Path(name)
    if gguf is None and path.suffix == ".gguf":
        return {"pretrained_model_name_or_path": str(path.parent), "gguf_file": path.name}
    if gguf is not None:
        return {"pretrained_model_name_or_path": name, "gguf_file": gguf}
    return {"pretrained_model_name_or_path": name}


def _unquantised(model: PreTrainedModel, config: ModelConfig) -> PreTrainedModel:
    """Return the same weights without the mark of GGUF's quantisation, which forbids training and saving."""
    shape = copy.deepcopy(model.config)
    delattr(shape, "quantization_config")
    options = {} if config.attention is None else {"attn_implementation": config.attention}
    with torch.random.fork_rng():  # the first values are overwritten; nobody else's draws may move
        plain = AutoModelForCausalLM.from_config(shape, dtype=model.dtype, **options)
    plain.load_state_dict(model.state_dict())
    plain.generation_config = model.generation_config
    return plain
