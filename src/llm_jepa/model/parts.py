"""The parts of a causal language model that packing needs by name, whatever wraps it."""

from torch import nn
from transformers import PreTrainedModel

from llm_jepa.errors import UserError


def core(model: nn.Module) -> PreTrainedModel:
    """Return the transformers model inside any wrappers.

    Raises:
        UserError: there is none.
    """
    found = next((module for module in model.modules() if isinstance(module, PreTrainedModel)), None)
    if found is None:
        raise UserError(f"{type(model).__name__} holds no transformers model; pass a Hugging Face causal language model")
    return found


def context_limit(model: nn.Module) -> int | None:
    """Return the number of positions the model has, in tokens; None for a model without a limit."""
    try:
        return core(model).config.get_text_config().max_position_embeddings
    except AttributeError:
        return None


def input_embedding(model: PreTrainedModel) -> nn.Embedding:
    """Return the layer where input embeddings are looked up.

    Raises:
        UserError: it is no plain embedding.
    """
    found = model.get_input_embeddings()
    if not isinstance(found, nn.Embedding):
        raise UserError(
            f"{type(model).__name__} looks its embeddings up in a {type(found).__name__}, which is not supported"
        )
    return found


def output_layer(model: PreTrainedModel) -> nn.Linear:
    """Return the layer that makes the logits.

    Raises:
        UserError: there is none.
    """
    found = model.get_output_embeddings()
    if not isinstance(found, nn.Module):
        raise UserError(f"{type(model).__name__} has no output layer; pass a causal language model")
    return found  # pyright: ignore[reportReturnType] - transformers calls it a Module; adapters wrap a Linear
