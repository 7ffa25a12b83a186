"""The models: shapes with random weights, for speed does not depend on the weights' values."""

from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from llm_jepa.model.attention import use_packed_attention
from llm_jepa.model.slots import add_slots


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A model's config, and how much is measured with it.

    Attributes:
        name: for the tables.
        kind: transformers' `model_type`.
        fields: of its config.
        batch: samples of a step.
        official: samples of a step of the official arithmetic, whose rows are many times as long.
    """

    name: str
    kind: str = "llama"
    fields: dict[str, Any] = field(default_factory=dict[str, Any])
    batch: int = 64
    official: int = 8

    def model(self, attention: str, *, device: str, dtype: torch.dtype = torch.float32) -> PreTrainedModel:
        """Return a new model with packed attention and one [PRED] slot; every one of a shape has the same weights."""
        config = AutoConfig.for_model(self.kind, **self.fields)
        torch.manual_seed(0)
        with torch.device(device):
            model = AutoModelForCausalLM.from_config(config, attn_implementation=attention, dtype=dtype)
        use_packed_attention(model)
        add_slots(model, 1, seed=0)
        return model.to(device)


def _llama(hidden: int, layers: int, heads: int, groups: int, inner: int, vocabulary: int, **more: Any) -> dict[str, Any]:
    return {
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": groups,
        "intermediate_size": inner,
        "vocab_size": vocabulary,
        "tie_word_embeddings": True,
        "max_position_embeddings": 8192,
        **more,
    }


SIZES = {
    "full": (
        Shape(name="Llama 3.2 1B", fields=_llama(2048, 16, 32, 8, 8192, 128256, head_dim=64, rope_theta=500000.0)),
        Shape(name="SmolLM2 135M", fields=_llama(576, 30, 9, 3, 1536, 49152), batch=128, official=16),
    ),
    "tiny": (Shape(name="tiny", fields=_llama(64, 2, 4, 2, 128, 512), batch=8, official=1),),
}

_SMALL = _llama(128, 2, 4, 2, 256, 512, head_dim=32, initializer_range=0.2, pad_token_id=0)
_SLIDING = {"sliding_window": 24, "layer_types": ["sliding_attention", "full_attention"]}

EXACT = {
    "Llama": (Shape(name="Llama", fields=_SMALL), "sdpa"),
    "Gemma 2": (Shape(name="Gemma 2", kind="gemma2", fields=_SMALL | _SLIDING), "eager"),
    "Qwen3": (Shape(name="Qwen3", kind="qwen3", fields=_SMALL), "sdpa"),
}
"""What correctness is tested on, and the dense attention to compare with; Gemma 2 has softcaps and a window."""
