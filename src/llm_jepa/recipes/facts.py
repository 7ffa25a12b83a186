"""The models and data sets of the paper: names, sizes, and what stands in for each at the tiny scale.

Sizes are for estimates of cost alone. Tokens are means over each data set's test rows with the tokenizer and the
chat template of
Llama 3 (paraphrases: without a template).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model of the paper.

    Attributes:
        key: its name in folders.
        title: the paper's name for it.
        name: its hub id.
        billions: parameters, in 1e9, embeddings included.
        tiny: the shape of the small one that stands in for it: the family's own `model_type`, about 0.4 million
        parameters.
        random: random weights of this shape (a transformers config) with the hub id's tokenizer; empty: pretrained
        weights.
    """

    key: str
    title: str
    name: str
    billions: float
    tiny: Mapping[str, Any]
    random: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def settings(self) -> dict[str, Any]:
        """The config's fields that load it."""
        if self.random:
            return {"model.config": dict(self.random), "model.tokenizer": self.name}
        return {"model.name": self.name}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """A data set of the paper.

    Attributes:
        task: its name as a task.
        title: the paper's name for it.
        train: training rows.
        test: test rows.
        tokens: of a training row, views included where each is a trained sequence.
        code: tokens of the second view, which the JEPA term reads once more.
        answer: longest answer that is generated, in tokens; 0: answers are not generated.
        limit: rows to draw where the source has more than the paper used.
    """

    task: str
    title: str
    train: int
    test: int
    tokens: float
    code: float
    answer: int
    limit: int | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """The config's fields that read it: all training rows, as in the paper, so no validation rows."""
        found: dict[str, Any] = {"data.train": self.task, "data.validation_size": 0}
        return found if self.limit is None else found | {"data.limit": self.limit}


_SMALL: dict[str, Any] = {
    "hidden_size": 96,
    "intermediate_size": 256,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "tie_word_embeddings": True,
}
_OPENELM = {
    "model_type": "openelm",
    "model_dim": 96,
    "num_transformer_layers": 4,
    "head_dim": 24,
    "max_context_length": 512,
    "num_query_heads": [4, 4, 4, 4],
    "num_kv_heads": [2, 2, 2, 2],
    "ffn_multipliers": [2.0, 3.0],
    "ffn_dim_divisor": 16,
    "normalize_qk_projections": True,
    "share_input_output_layers": True,
}
_GEMMA = {"model_type": "gemma2", **_SMALL, "head_dim": 24, "query_pre_attn_scalar": 24, "sliding_window": 512}
_LLAMA = {"model_type": "llama", **_SMALL}
_OLMO = {"model_type": "olmo2", **_SMALL}

_LLAMA_1B = {
    "model_type": "llama",
    "hidden_size": 2048,
    "intermediate_size": 8192,
    "num_hidden_layers": 16,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 64,
    "max_position_embeddings": 131072,
    "rms_norm_eps": 1e-5,
    "tie_word_embeddings": True,
    "rope_parameters": {
        "rope_type": "llama3",
        "rope_theta": 500000.0,
        "factor": 32.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    },
}
"""The shape of Llama 3.2 1B, for pretraining from random weights."""

LLAMA_1B = Model(
    key="llama-3.2-1b",
    title="Llama-3.2-1B-Instruct",
    name="meta-llama/Llama-3.2-1B-Instruct",
    billions=1.24,
    tiny=_LLAMA,
)
LLAMA_1B_RANDOM = Model(
    key="llama-3.2-1b-random",
    title="Llama-3.2-1B-Instruct, random weights",
    name="meta-llama/Llama-3.2-1B-Instruct",
    billions=1.24,
    tiny=_LLAMA,
    random=_LLAMA_1B,
)
LLAMA_3B = Model(
    key="llama-3.2-3b",
    title="Llama-3.2-3B-Instruct",
    name="meta-llama/Llama-3.2-3B-Instruct",
    billions=3.21,
    tiny=_LLAMA,
)
LLAMA_8B = Model(
    key="llama-3.1-8b",
    title="Llama-3.1-8B-Instruct",
    name="meta-llama/Llama-3.1-8B-Instruct",
    billions=8.03,
    tiny=_LLAMA,
)
GEMMA_2B = Model(key="gemma-2-2b", title="gemma-2-2b-it", name="google/gemma-2-2b-it", billions=2.61, tiny=_GEMMA)
OPENELM_1B = Model(
    key="openelm-1.1b",
    title="OpenELM-1_1B-Instruct",
    name="apple/OpenELM-1_1B-Instruct",
    billions=1.08,
    tiny=_OPENELM,
)
OLMO_1B = Model(
    key="olmo-2-1b",
    title="OLMo-2-0425-1B-Instruct",
    name="allenai/OLMo-2-0425-1B-Instruct",
    billions=1.48,
    tiny=_OLMO,
)
OLMO_7B = Model(
    key="olmo-2-7b",
    title="OLMo-2-1124-7B-Instruct",
    name="allenai/OLMo-2-1124-7B-Instruct",
    billions=7.30,
    tiny=_OLMO,
)
QWEN3 = Model(
    key="qwen3-1.7b",
    title="Qwen3-1.7B",
    name="Qwen/Qwen3-1.7B",
    billions=1.72,
    tiny={"model_type": "qwen3", **_SMALL, "head_dim": 24},
)
R1_QWEN = Model(
    key="r1-distill-qwen-1.5b",
    title="R1-Distill-Qwen-1.5B",
    name="deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B",
    billions=1.78,
    tiny={"model_type": "qwen2", **_SMALL},
)

SYNTH = Rows(task="nl_rx_synth", title="NL-RX-SYNTH", train=8000, test=2000, tokens=71.1, code=13.4, answer=64)
TURK = Rows(task="nl_rx_turk", title="NL-RX-TURK", train=8000, test=2000, tokens=69.8, code=13.4, answer=64)
GSM8K = Rows(task="gsm8k", title="GSM8K", train=7473, test=1319, tokens=207.9, code=103.6, answer=512)
SPIDER = Rows(task="spider", title="Spider", train=6587, test=1447, tokens=96.3, code=30.9, answer=288)
NQ_OPEN = Rows(task="nq_open", title="NQ-Open", train=8000, test=1769, tokens=58.5, code=7.1, answer=128)
HELLASWAG = Rows(task="hellaswag", title="HellaSwag", train=8000, test=2000, tokens=251.5, code=31.5, answer=0, limit=8000)
ROTTEN_TOMATOES = Rows(
    task="rotten_tomatoes", title="Rotten Tomatoes", train=8530, test=1066, tokens=71.2, code=1.0, answer=8
)
YELP = Rows(task="yelp", title="Yelp", train=8000, test=2000, tokens=219.5, code=1.8, answer=8, limit=8000)
PARAPHRASE = Rows(task="paraphrase", title="cestwc/paraphrase", train=118_287, test=0, tokens=70.0, code=0.0, answer=0)
"""Its rows are taken to be as many as the training images of MSCOCO 2017; the data set does not say."""
