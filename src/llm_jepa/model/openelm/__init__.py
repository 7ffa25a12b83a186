"""OpenELM, which transformers does not carry, as transformers' auto classes find it: no remote code is needed."""

from transformers import AutoConfig, AutoModel, AutoModelForCausalLM

from llm_jepa.model.openelm.config import OpenELMConfig
from llm_jepa.model.openelm.model import OpenELMForCausalLM, OpenELMModel


def register() -> None:
    """Make transformers' auto classes build and load OpenELM; calling it again changes nothing."""
    AutoConfig.register(OpenELMConfig.model_type, OpenELMConfig, exist_ok=True)
    AutoModel.register(OpenELMConfig, OpenELMModel, exist_ok=True)
    AutoModelForCausalLM.register(OpenELMConfig, OpenELMForCausalLM, exist_ok=True)
