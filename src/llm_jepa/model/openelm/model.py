"""OpenELM (Mehta et al., 2024, arXiv:2404.14619) from transformers' own parts, with the names of the released weights."""

from dataclasses import fields
from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Cache, DynamicCache, GenerationMixin, PreTrainedModel, initialization
from transformers.masking_utils import create_causal_mask
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutputWithPast
from transformers.utils.generic import can_return_tuple

from llm_jepa.model.openelm.config import OpenELMConfig
from llm_jepa.model.openelm.layers import OpenELMAttention, OpenELMFeedForward, OpenELMRMSNorm, precise, rotation

_MASK_ARGUMENTS = tuple(signature(create_causal_mask).parameters)
"""transformers renamed two and dropped another after 5.0."""

_CACHE = "cache" if "cache" in {field.name for field in fields(BaseModelOutputWithPast)} else "past_key_values"
"""What outputs call the keys and values that are kept; transformers 5.24 renamed it, and takes both names as arguments."""


class OpenELMDecoderLayer(GradientCheckpointingLayer):
    """Attention, then the feed-forward network, each on normalised values and added to what came in."""

    def __init__(self, config: OpenELMConfig, layer_idx: int) -> None:
        super().__init__()
        self.attn = OpenELMAttention(config, layer_idx)
        self.ffn = OpenELMFeedForward(config, layer_idx)
        self.attn_norm = OpenELMRMSNorm(config.model_dim)
        self.ffn_norm = OpenELMRMSNorm(config.model_dim)

    def forward(self, hidden_states: Tensor, **options: Any) -> tuple[Tensor, Tensor | None]:
        """Return the layer's output and the attention weights, if there are any; `options` are the attention's."""
        attended, weights = self.attn(self.attn_norm(hidden_states), **options)
        hidden_states = hidden_states + attended
        return hidden_states + self.ffn(self.ffn_norm(hidden_states)), weights


class OpenELMPreTrainedModel(PreTrainedModel):
    """What transformers has to know of both classes below."""

    config_class = OpenELMConfig
    base_model_prefix = "transformer"
    supports_gradient_checkpointing = True
    _no_split_modules = ["OpenELMDecoderLayer"]  # noqa: RUF012 - transformers declares these lists per instance
    _skip_keys_device_placement = ["past_key_values", "cache"]  # noqa: RUF012
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True
    _supports_attention_backend = True
    _can_compile_fullgraph = True


class OpenELMModel(OpenELMPreTrainedModel):
    """Token ids -> last hidden states.

    First values follow Apple's code: deviation 1 / sqrt(inputs) for a matrix and 1 / sqrt(model_dim) for the embeddings; the
    matrices that write into the residual stream are smaller by sqrt(2 x layers).
    """

    def __init__(self, config: OpenELMConfig) -> None:
        super().__init__(config)
        self.token_embeddings = nn.Embedding(config.vocab_size, config.model_dim)
        self.layers = nn.ModuleList(OpenELMDecoderLayer(config, index) for index in range(config.num_transformer_layers))
        self.norm = OpenELMRMSNorm(config.model_dim)
        self.gradient_checkpointing = False
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        """Return the layer where tokens are looked up."""
        return self.token_embeddings

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the layer where tokens are looked up."""
        self.token_embeddings = value

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Linear):
            layers: Any = self.layers
            writes = module in [part for layer in layers for part in (layer.attn.out_proj, layer.ffn.proj_2)]
            inputs = 2 * self.config.model_dim * len(layers) if writes else module.in_features
            initialization.normal_(module.weight, std=inputs**-0.5)
        elif isinstance(module, nn.Embedding):
            initialization.normal_(module.weight, std=module.embedding_dim**-0.5)
        else:
            super()._init_weights(module)

    @can_return_tuple
    def forward(  # noqa: PLR0913, PLR0917 - transformers' signature
        self,
        input_ids: Tensor | None = None,
        attention_mask: Any = None,
        position_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        use_cache: bool | None = None,  # noqa: FBT001 - transformers' signature
        cache_position: Tensor | None = None,
        cache: Cache | None = None,
        **options: Any,
    ) -> BaseModelOutputWithPast:
        """Return the hidden states after the last norm; the arguments are those of every transformers model.

        `cache` and `past_key_values` are two names of one argument.
        """
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("give either input_ids or inputs_embeds")
        hidden = self.token_embeddings(input_ids) if inputs_embeds is None else inputs_embeds
        keeps, shows_states, shows_weights = self._wanted(options | {"use_cache": use_cache})
        cache = past_key_values if cache is None else cache
        cache = DynamicCache(config=self.config) if keeps and cache is None else cache
        places = self._places(hidden, cache) if cache_position is None else cache_position
        positions = places[None] if position_ids is None else position_ids
        options |= {
            "attention_mask": self._mask(hidden, attention_mask, cache, positions, places),
            "rotation": self._rotation(positions, hidden.dtype),
            "position_ids": positions,
            "cache_position": places,
            "cache": cache,
        }
        states, attentions = [], []
        for layer in self.layers:
            states += [hidden] if shows_states else []
            hidden, weights = layer(hidden, **options)
            attentions += [weights] if shows_weights else []
        last = self.norm(hidden)
        return BaseModelOutputWithPast(
            last_hidden_state=last,
            **{_CACHE: cache if keeps else None},
            hidden_states=(*states, last) if shows_states else None,
            attentions=tuple(attentions) if shows_weights else None,
        )

    def _wanted(self, wishes: dict[str, Any]) -> tuple[bool, ...]:
        """Return whether keys, hidden states and attention weights are kept; the call's wish goes before the config's."""
        names = ("use_cache", "output_hidden_states", "output_attentions")
        wanted = [getattr(self.config, name) if wishes.get(name) is None else wishes[name] for name in names]
        recomputes = self.gradient_checkpointing and self.training  # a layer that runs twice would keep its keys twice
        return bool(wanted[0] and not recomputes), bool(wanted[1]), bool(wanted[2])

    @staticmethod
    def _places(hidden: Tensor, cache: Cache | None) -> Tensor:
        """Return the places of the new tokens (token) in the row, after those whose keys are kept."""
        seen = 0 if cache is None else cache.get_seq_length()
        return torch.arange(hidden.shape[1], device=hidden.device) + seen

    def _rotation(self, positions: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Return what heads are rotated by: the same in every layer, since all heads are of one width."""
        shape = self.config
        return rotation(positions, width=shape.head_dim, base=shape.rope_freq_constant, dtype=precise(dtype))

    def _mask(self, hidden: Tensor, given: Any, cache: Cache | None, positions: Tensor, places: Tensor) -> Any:
        arguments = {
            "config": self.config,
            "inputs_embeds": hidden,
            "input_embeds": hidden,
            "attention_mask": given,
            "cache_position": places,
            "past_key_values": cache,
            "cache": cache,
            "position_ids": positions,
        }
        return create_causal_mask(**{name: arguments[name] for name in _MASK_ARGUMENTS if name in arguments})


class OpenELMForCausalLM(OpenELMPreTrainedModel, GenerationMixin):
    """Token ids -> logits of the next tokens.

    The released weights share input embeddings and output layer, and so name no `lm_head.weight`.
    """

    _tied_weights_keys = {"lm_head.weight": "transformer.token_embeddings.weight"}  # noqa: RUF012 - as above
    # Apple's code makes this layer where nothing is shared, and never calls it.
    _keys_to_ignore_on_load_unexpected = [r"^transformer\.classifier\."]  # noqa: RUF012

    def __init__(self, config: OpenELMConfig) -> None:
        super().__init__(config)
        self.transformer = OpenELMModel(config)
        self.lm_head = nn.Linear(config.model_dim, config.vocab_size, bias=False)
        self.post_init()

    def get_output_embeddings(self) -> nn.Module:
        """Return the layer that makes the logits."""
        return self.lm_head

    def set_output_embeddings(self, new_embeddings: nn.Module) -> None:
        """Replace the layer that makes the logits."""
        self.lm_head = new_embeddings

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Any = None,
        position_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        cache: Cache | None = None,
        labels: Tensor | None = None,
        logits_to_keep: int | Tensor = 0,
        **options: Any,
    ) -> CausalLMOutputWithPast:
        """Return the logits, and the mean next-token loss where labels are given, as every transformers model does."""
        inner = self.transformer(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            cache=past_key_values if cache is None else cache,
            **options,
        )
        kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        logits = self.lm_head(inner.last_hidden_state[:, kept])
        loss = None
        if labels is not None:
            loss = self.loss_function(logits=logits, labels=labels, vocab_size=self.config.vocab_size, **options)
        return CausalLMOutputWithPast(
            loss=loss,
            logits=logits,
            **{_CACHE: inner.get(_CACHE)},  # an output without a value has no key
            hidden_states=inner.hidden_states,
            attentions=inner.attentions,
        )
