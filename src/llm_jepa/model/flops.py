"""Floating-point operations of a packed forward and backward, counted from shapes.

Counted are the products with weight matrices and those inside the attention, which are nearly all there is: no element-wise
work, norms and softmax. Work done twice to save memory (gradient checkpointing) counts once, and forwards that only watch do
not count: two runs with equal counts were trained with equal work. Of attention only what is seen counts, whatever else a
kernel computes and hides: the count of a run does not depend on how it is packed, but for its pads.
"""

from dataclasses import dataclass

from torch import nn
from transformers import PreTrainedModel

from llm_jepa.model.parts import output_layer
from llm_jepa.model.slots import NAME


@dataclass(frozen=True, slots=True)
class CostModel:
    """What a model's operations depend on.

    Attributes:
        body: parameters that every token is multiplied with.
        head: parameters of the output layer, used at label positions only.
        attention: layers x width of the attention, summed over heads.
        frozen: those of the body that have no gradient of their own, as below adapters.
        frozen_head: the same of the output layer: all or none.
    """

    body: int
    head: int
    attention: int
    frozen: int = 0
    frozen_head: int = 0

    @staticmethod
    def of(model: PreTrainedModel) -> "CostModel":
        """Return the cost model of a causal language model, with or without adapters in it (embeddings are looked up)."""
        table = output_layer(model).weight
        looked_up = [part.weight for part in model.modules() if isinstance(part, nn.Embedding)]
        small = [part for name, part in model.named_parameters() if part.ndim < 2 or NAME in name.split(".")]
        left_out = {id(part): part for part in (table, *looked_up, *small)}.values()
        # Transformers' own count knows the weights that a 4-bit tensor packs.
        body = model.num_parameters() - sum(part.numel() for part in left_out)
        trained = model.num_parameters(only_trainable=True) - sum(part.numel() for part in left_out if part.requires_grad)
        return CostModel(
            body=body,
            head=table.numel(),
            attention=_attention(model),
            frozen=body - trained,
            frozen_head=0 if table.requires_grad else table.numel(),
        )

    def step(self, *, tokens: int, seen: int, labels: int) -> int:
        """Return the operations of one forward and backward.

        A multiplication with a parameter costs 2 operations forward and 4 backward, 2 of them for the parameter's own
        gradient; the two products of attention cost 4 x width forward for each token that a token sees in a layer, and twice
        that backward.

        Args:
            tokens: how many go through the model, pads included.
            seen: how many tokens each token sees, itself included, summed over tokens (`packing.layout.Forest.seen`).
            labels: how many logits are made.
        """
        weights = 6 * (self.body * tokens + self.head * labels) - 2 * (self.frozen * tokens + self.frozen_head * labels)
        return weights + 12 * self.attention * seen


def _attention(model: PreTrainedModel) -> int:
    """Return layers x heads x width of a head; layers of another kind (convolutions) are left out, where they are named."""
    config = model.config.get_text_config()
    known = config.to_dict()
    kinds = known.get("layer_types") or []
    layers = sum("attention" in kind for kind in kinds) if kinds else config.num_hidden_layers
    heads, width = config.num_attention_heads, known.get("head_dim")
    if isinstance(heads, list) and isinstance(width, int):  # OpenELM: other heads in every layer
        return sum(heads) * width
    return layers * (heads * width if isinstance(heads, int) and isinstance(width, int) else config.hidden_size)
