"""Floating-point operations of a packed forward and backward, counted from shapes."""

from dataclasses import dataclass

from transformers import PreTrainedModel

from llm_jepa.model.parts import input_embedding, output_layer


@dataclass(frozen=True, slots=True)
class CostModel:
    """What a model's operations depend on.

    Attributes:
        body: parameters that every token is multiplied with.
        head: parameters of the output layer, used at label positions only.
        attention: layers x width of the attention, summed over heads.
    """

    body: int
    head: int
    attention: int

    @staticmethod
    def of(model: PreTrainedModel) -> "CostModel":
        """Return the cost model of a causal language model (tied embeddings are not counted twice)."""
        config = model.config.get_text_config()
        tables = {id(weight): weight.numel() for weight in (input_embedding(model).weight, output_layer(model).weight)}
        total = sum(parameter.numel() for parameter in model.parameters())
        return CostModel(
            body=total - sum(tables.values()),
            head=output_layer(model).weight.numel(),
            attention=config.num_hidden_layers * config.hidden_size,
        )

    def step(self, *, rows: int, length: int, labels: int) -> int:
        """Return the operations of one forward and backward over `rows` rows of `length` tokens, pads included.

        A multiplication with a parameter costs 2 operations forward and 4 backward; the two products of attention cost
        4 x length x width a token and layer forward, counted dense, as they are computed.
        """
        tokens = rows * length
        return 6 * (self.body * tokens + self.head * labels) + 12 * self.attention * length * tokens
