"""OpenELM's config: every layer has its own number of heads and its own width, which grow with depth.

The fields and their names are those of the config.json files that Apple released (Mehta et al., 2024, arXiv:2404.14619). Two
multipliers give the ends of a line over the layers; each layer's share of the model's width is rounded to what its heads
allow. The lists that result are fields too, so that a released file and one that is saved here read the same.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from transformers import PreTrainedConfig


def make_divisible(value: float, divisor: int) -> int:
    """Return the multiple of `divisor` nearest to `value`, at least `divisor` and never below nine tenths of `value`.

    Example:
        >>> make_divisible(870.4, 256), make_divisible(640, 256), make_divisible(10, 256), make_divisible(383, 256)
        (1024, 768, 256, 512)
    """
    nearest = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return nearest + divisor if nearest < 0.9 * value else nearest


class OpenELMConfig(PreTrainedConfig):
    """The shape of an OpenELM model.

    Args:
        vocab_size: tokens of the vocabulary.
        max_context_length: positions the model was trained on, in tokens.
        num_transformer_layers: layers.
        model_dim: width of the hidden states.
        head_dim: width of one head, the same everywhere.
        qkv_multipliers: width of all query heads over `model_dim`: one for all layers, or that of the first and last layer.
        num_query_heads: query heads of every layer; None: from `qkv_multipliers`; one number: the same everywhere.
        num_kv_heads: key and value heads of every layer; None: from `num_gqa_groups`; one number: the same everywhere.
        num_gqa_groups: query heads that share one key head.
        ffn_multipliers: width inside the feed-forward network over `model_dim`: one for all layers, that of the first and
            last layer, or one each.
        ffn_with_glu: gate the feed-forward network.
        ffn_dim_divisor: what the width inside the feed-forward network is a multiple of.
        activation_fn_name: transformers' name of the activation.
        normalization_layer_name: only "rms_norm" exists.
        normalize_qk_projections: normalise every query and key head.
        share_input_output_layers: make the logits with the input embeddings.
        rope_freq_constant: base of the rotary frequencies.
        rope_max_length: positions that Apple's code tabulates, in tokens; any number is computed here.
        initializer_range: deviation of the first values of an output layer of its own; see `OpenELMModel` for the others.
        use_cache: keep keys and values while generating.
        bos_token_id: the token that starts a text.
        eos_token_id: the token that ends a text.
        pad_token_id: the token that fills a row.
        others: fields of every transformers config.

    Raises:
        ValueError: the lists do not fit the number of layers, or the heads cannot be grouped.
    """

    model_type = "openelm"
    keys_to_ignore_at_inference: ClassVar = ["past_key_values"]
    attribute_map: ClassVar[dict[str, str]] = {
        "hidden_size": "model_dim",
        "num_hidden_layers": "num_transformer_layers",
        "num_attention_heads": "num_query_heads",
        "num_key_value_heads": "num_kv_heads",
        "max_position_embeddings": "max_context_length",
        "tie_word_embeddings": "share_input_output_layers",
    }

    def __init__(  # noqa: PLR0913 - the fields of a file format
        self,
        *,
        vocab_size: int = 32000,
        max_context_length: int = 2048,
        num_transformer_layers: int = 12,
        model_dim: int = 2048,
        head_dim: int = 128,
        qkv_multipliers: float | Sequence[float] = 1.0,
        num_query_heads: int | Sequence[int] | None = None,
        num_kv_heads: int | Sequence[int] | None = None,
        num_gqa_groups: int = 1,
        ffn_multipliers: float | Sequence[float] = 4.0,
        ffn_with_glu: bool = True,
        ffn_dim_divisor: int = 256,
        activation_fn_name: str = "swish",
        normalization_layer_name: str = "rms_norm",
        normalize_qk_projections: bool = False,
        share_input_output_layers: bool = False,
        rope_freq_constant: float = 10000,
        rope_max_length: int = 4096,
        initializer_range: float = 0.02,
        use_cache: bool = True,
        bos_token_id: int | None = 1,
        eos_token_id: int | list[int] | None = 2,
        pad_token_id: int | None = None,
        **others: Any,
    ) -> None:
        self.vocab_size = vocab_size
        self.max_context_length = max_context_length
        self.num_transformer_layers = num_transformer_layers
        self.model_dim = model_dim
        self.head_dim = head_dim
        self.qkv_multipliers = qkv_multipliers
        self.num_query_heads: Any = num_query_heads
        self.num_kv_heads: Any = num_kv_heads
        self.num_gqa_groups = num_gqa_groups
        self.ffn_multipliers: Any = ffn_multipliers
        self.ffn_with_glu = ffn_with_glu
        self.ffn_dim_divisor = ffn_dim_divisor
        self.activation_fn_name = activation_fn_name
        self.normalization_layer_name = normalization_layer_name
        self.normalize_qk_projections = normalize_qk_projections
        self.share_input_output_layers = share_input_output_layers
        self.rope_freq_constant = rope_freq_constant
        self.rope_max_length = rope_max_length
        self.initializer_range = initializer_range
        self.use_cache = use_cache
        self.bos_token_id = bos_token_id
        self.eos_token_id = eos_token_id
        self.pad_token_id = pad_token_id
        super().__init__(**others)  # it resolves `hidden_size` and the like, which the lists below are computed from
        if self.normalization_layer_name != "rms_norm":
            raise ValueError(f"normalization_layer_name is '{self.normalization_layer_name}', but only 'rms_norm' exists")
        self._spread_over_layers()

    @property
    def ffn_widths(self) -> list[int]:
        """Width inside the feed-forward network of every layer."""
        return [make_divisible(each * self.model_dim, self.ffn_dim_divisor) for each in self.ffn_multipliers]

    def _spread_over_layers(self) -> None:
        """Replace what is given for all layers by one value for every layer."""
        if self.num_query_heads is None:
            shares = self._line("qkv_multipliers", self.qkv_multipliers)
            unit = self.head_dim * self.num_gqa_groups
            self.num_query_heads = [make_divisible(self.model_dim * share, unit) // self.head_dim for share in shares]
        self.num_query_heads = self._each("num_query_heads", self.num_query_heads)
        if self.num_kv_heads is None:
            self.num_kv_heads = [heads // self.num_gqa_groups for heads in self.num_query_heads]
        self.num_kv_heads = self._each("num_kv_heads", self.num_kv_heads)
        self.ffn_multipliers = self._line("ffn_multipliers", self.ffn_multipliers)
        for queries, keys in zip(self.num_query_heads, self.num_kv_heads, strict=True):
            if not keys or queries % keys:
                raise ValueError(f"{queries} query heads cannot share {keys} key heads evenly; see num_gqa_groups")

    def _line(self, name: str, values: float | Sequence[float]) -> list[float]:
        """Return one value a layer: on the line between two ends, in hundredths, as the released files have them."""
        if isinstance(values, int | float) or len(values) != 2:
            return self._each(name, values)
        first, last = values
        return [float(round(value, 2)) for value in np.linspace(first, last, num=self.num_transformer_layers)]

    def _each(self, name: str, values: Any) -> list[Any]:
        """Return one value a layer, where one or all are given."""
        each = [values] * self.num_transformer_layers if isinstance(values, int | float) else list(values)
        if len(each) != self.num_transformer_layers:
            raise ValueError(f"{name} has {len(each)} values, but there are {self.num_transformer_layers} layers")
        return each
