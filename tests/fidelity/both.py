"""The same run on both sides: the official arithmetic, and the preset `paper_code` from its options to its loss."""

import copy
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tests.conftest import SHARED
from tests.fidelity.official import Messages, Official, add_tokens
from tests.helpers import CHATML, word_tokenizer
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from llm_jepa.experiments.config import parse_experiment
from llm_jepa.experiments.experiment import Experiment
from llm_jepa.experiments.material import sample_maker
from llm_jepa.model.encode import encode
from llm_jepa.model.families import OPENELM_TEMPLATE
from llm_jepa.model.load import prepare
from llm_jepa.model.slots import grow_vocabulary
from llm_jepa.objective.jepa import Totals
from llm_jepa.packing.collate import pack, spread
from llm_jepa.records import Example, Message, View
from llm_jepa.views.predictor import add_predictor_tokens
from llm_jepa.views.tokenize import Sample, Tokenizer

GEMMA = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for message in messages %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Roles must alternate') }}{% endif %}"
    "{% set role = 'model' if message['role'] == 'assistant' else message['role'] %}"
    "{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
OPENELM = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>\n' + message['content'] + eos_token + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
)
"""The official code's format for OpenELM: without BOS, which the tokenizer adds."""
OLMO = (
    "{{ eos_token }}{% for message in messages %}{{ '<|' + message['role'] + '|>\n' + message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{% if not loop.last or message['role'] == 'user' %}"
    "{{ '\n' }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
)
R1 = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}{{ '<|Assistant|>' + message['content'] + eos_token }}"
    "{% elif message['role'] == 'user' %}{{ '<|User|>' + message['content'] }}{% else %}{{ message['content'] }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|Assistant|>' }}{% endif %}"
)
"""The formats of OLMo 2 and DeepSeek-R1-Distill, with other letters."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A family of models as both sides know it.

    Attributes:
        name: hub id.
        last_token: the official code's reading position.
        tokenizer: folder of `shared/tokenizers`; empty for a small word tokenizer.
        template: chat template of the official side; None: the tokenizer's own.
        own: chat template of our side, where it is another.
        merges: Gemma's way with system messages.
        arguments: of the official call of the chat template.
    """

    name: str
    last_token: int
    tokenizer: str = ""
    template: str | None = None
    own: str | None = None
    merges: bool = False
    arguments: tuple[tuple[str, Any], ...] = ()


KINDS = {
    "llama": Kind(
        name="meta-llama/Llama-3.2-1B-Instruct",
        last_token=-2,
        tokenizer="llama-3.1",
        arguments=(("date_string", "26 Jul 2024"),),
    ),
    "gemma": Kind(name="google/gemma-2-2b-it", last_token=-2, tokenizer="gemma-2", template=GEMMA, merges=True),
    "qwen3": Kind(name="Qwen/Qwen3-1.7B", last_token=-3, tokenizer="qwen3", arguments=(("enable_thinking", False),)),
    "qwen2.5": Kind(name="Qwen/Qwen2.5-1.5B-Instruct", last_token=-3, tokenizer="qwen2.5"),
    "openelm": Kind(
        name="apple/OpenELM-1_1B-Instruct", last_token=-4, tokenizer="llama-2", template=OPENELM, own=OPENELM_TEMPLATE
    ),
    "olmo": Kind(name="allenai/OLMo-2-0425-1B-Instruct", last_token=-1, tokenizer="qwen2.5", template=OLMO),
    "r1": Kind(name="deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B", last_token=-1, tokenizer="qwen2.5", template=R1),
    "words": Kind(name="a/SmolLM2-135M-Instruct", last_token=-3, template=CHATML),
}

BATCH: list[Messages] = [
    [
        {"role": "system", "content": "You are helpful"},
        {"role": "user", "content": user},
        {"role": "assistant", "content": assistant},
    ]
    for user, assistant in (
        ("lines with a dog", "[ 0 - 9 ] dog"),
        ("every number before a vowel.", ". * ( dog ) . *"),
        (" the word dog ", "dog"),
        ("lines", "~ ( a | number )\n"),
    )
]
"""Among them a text that ends in a mark, texts with space around them, and a code that ends in a newline."""


@functools.cache
def tokenizers(kind: Kind, *, padded: bool = True) -> tuple[Any, Any]:
    """Return the tokenizer of the official side and ours; the small one is made twice, each changed in its own way."""
    theirs, ours = (_load(kind.tokenizer) if kind.tokenizer else word_tokenizer() for _ in range(2))
    if not padded:
        theirs.pad_token = ours.pad_token = None
    if kind.template is not None:
        theirs.chat_template, ours.chat_template = kind.template, kind.own or kind.template
    theirs.padding_side = "right"
    add_tokens(theirs)
    add_predictor_tokens(ours)
    return theirs, ours


def _load(name: str) -> Any:
    return copy.copy(_loaded(name))  # one vocabulary, of which there is one copy in memory; templates and sides differ


@functools.cache
def _loaded(name: str) -> Any:
    return AutoTokenizer.from_pretrained(SHARED / "tokenizers" / name, local_files_only=True)


DISTANCES = {"cosine": "Cosine", "l2": "L2", "mse": "MeanSquaredError", "infonce": "InfoNCE"}


def official(kind: Kind, **options: Any) -> Official:
    """Return the official run of a family."""
    return Official(last_token=kind.last_token, merges=kind.merges, arguments=kind.arguments, **options)


def experiment(
    kind: Kind, run: Official, folder: Path | str = "out", options: Sequence[str] = (), **training: Any
) -> Experiment:
    """Return the same run by the preset; nothing but what a user would set is set, and one option if asked for."""
    return parse_experiment(
        [
            *("--preset", "paper_code", "--output", str(folder), "--data.train", "rows.jsonl", "--model.name", kind.name),
            *("--model.dtype", "float64", "--training.bf16", "false", "--training.use_cpu", "true"),
            *("--layout.k", str(run.k), "--layout.prepend", str(run.front).lower()),
            *("--layout.direction", "code_to_text" if run.reverse else "text_to_code"),
            *("--objective.gamma", str(run.gamma), "--objective.weight", str(run.lbd)),
            *("--objective.distance", DISTANCES[run.distance]),
            *((f"--{options[0]}", options[1]) if options else ()),
            *(part for name, value in training.items() for part in (f"--training.{name}", str(value))),
        ]
    )


def maker(described: Experiment, hub: PreTrainedTokenizerBase) -> Tokenizer:
    """Return what tokenises for a run."""
    return sample_maker(described, hub)


def samples(described: Experiment, hub: PreTrainedTokenizerBase, batch: Sequence[Messages]) -> list[Sample]:
    """Return the samples of conversations."""
    return list(maker(described, hub).samples([example(messages, f"a:{index}") for index, messages in enumerate(batch)]))


def example(messages: Messages, name: str) -> Example:
    """Return a conversation whose views are the user's and the assistant's messages."""
    views = tuple(View(content=messages[at]["content"], role=messages[at]["role"], message=at) for at in (1, 2))
    return Example(name=name, messages=tuple(Message(**message) for message in messages), views=views)


def models(theirs: PreTrainedTokenizerBase, ours: PreTrainedTokenizerBase, **settings: Any) -> tuple[Any, Any]:
    """Return two equal models, the vocabulary of each grown in its side's own way."""
    one, two = _model(len(ours) - 14, **settings), _model(len(ours) - 14, **settings)
    state = torch.random.get_rng_state()
    torch.manual_seed(82)
    one.resize_token_embeddings(len(theirs))
    torch.random.set_rng_state(state)
    grow_vocabulary(two, len(ours), seed=82)
    return one, two


def _model(vocabulary: int, architecture: str = "gpt2", *, tied: bool = False, dtype: torch.dtype = torch.float64) -> Any:
    sizes: dict[str, Any] = {
        "gpt2": {"n_embd": 16, "n_layer": 2, "n_head": 2, "resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0},
        "llama": {"hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 1, "num_attention_heads": 2},
    }[architecture]
    sizes |= {
        "vocab_size": vocabulary,
        "tie_word_embeddings": tied,
        "initializer_range": 0.3,
        "max_position_embeddings": 128,
    }
    config = AutoConfig.for_model(architecture, **sizes)
    with torch.random.fork_rng():
        torch.manual_seed(7)
        return AutoModelForCausalLM.from_config(config).to(dtype)


def gradients(model: nn.Module) -> dict[str, Tensor]:
    """Return the gradient of every weight that has one."""
    return {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}


def our_loss(model: PreTrainedModel, described: Experiment, made: Sequence[Sample], *, one_forward: bool = True) -> Tensor:
    """Return the loss of one micro-batch as the preset computes it."""
    ready = prepare(model, k=described.model.slots(described.layout.k), one_forward=one_forward)
    forests = [described.layout.forest(sample) for sample in made]
    batch = pack(forests, pad=0, samples_per_row=2) if one_forward else spread(forests, pad=0)
    encoded = encode(ready, batch, one_forward=one_forward)
    return described.objective(encoded, Totals(labels=1000, pairs=1000)).loss


def compare(
    kind: Kind, run: Official, batch: Sequence[Messages], *, tolerance: float, one_forward: bool = True, **settings: Any
) -> None:
    """Assert that loss and all gradients of both sides are the same, within an absolute or relative tolerance."""
    theirs, ours = tokenizers(kind, padded=settings.pop("padded", True))
    described = experiment(kind, run, options=settings.pop("options", ()))
    one, two = models(theirs, ours, **settings)
    expected = run.loss(one, theirs, copy.deepcopy(list(batch)))
    expected.backward()
    found = our_loss(two, described, samples(described, ours, batch), one_forward=one_forward)
    found.backward()
    torch.testing.assert_close(found, expected, atol=tolerance, rtol=tolerance)
    wanted, got = gradients(one), gradients(two)
    assert got.keys() == wanted.keys()
    for name, values in wanted.items():
        torch.testing.assert_close(
            got[name], values, atol=tolerance, rtol=tolerance, msg=lambda text, name=name: f"{name}: {text}"
        )
