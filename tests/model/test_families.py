"""Every family of the paper goes the whole way: tokens, inspection, one forward, training, adapters, export, generation.

The models are tiny and random, with what is peculiar to each family: grouped heads, sliding windows and softcaps (Gemma 2),
normalised queries and keys (Qwen3, OLMo 2), heads that differ by layer (OpenELM). The tokenizers are the real ones where
their files are at hand.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.families import FORMATS, ROWS, tokenizer_of
from tests.helpers import train, weights
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from llm_jepa.errors import UserError
from llm_jepa.experiments.experiment import Data, Experiment
from llm_jepa.experiments.inspect.findings import Severity
from llm_jepa.experiments.inspect.inspecting import find
from llm_jepa.experiments.material import Examples, Material
from llm_jepa.model.encode import encode
from llm_jepa.model.export import export, stop_ids
from llm_jepa.model.families import FAMILIES, family_of
from llm_jepa.model.load import LoRA, ModelConfig, load_model, load_tokenizer, prepare
from llm_jepa.objective.jepa import JEPA
from llm_jepa.packing.collate import pack, spread
from llm_jepa.packing.layout import Layout
from llm_jepa.records import Example, Message, View
from llm_jepa.views.chat import PINNED_ARGUMENTS
from llm_jepa.views.special import pad_id
from llm_jepa.views.tokenize import Sample, Tokenizer

NAMES = tuple(FORMATS)
STEPS = 30
"""Optimizer steps in which each of the models learns one answer by heart."""

WINDOW = 5
"""Tokens that Gemma 2's sliding layer sees: fewer than any path here."""

_SIZES = {
    "initializer_range": 0.2,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
}
_OPENELM = {
    "initializer_range": 0.2,
    "model_dim": 32,
    "num_transformer_layers": 2,
    "head_dim": 8,
    "max_context_length": 256,
    "num_query_heads": [4, 8],
    "num_kv_heads": [2, 4],
    "ffn_multipliers": [1.0, 2.0],
    "ffn_dim_divisor": 16,
    "normalize_qk_projections": True,
    "share_input_output_layers": True,
}
_SLIDING = {"head_dim": 8, "sliding_window": WINDOW, "layer_types": ["sliding_attention", "full_attention"]}

MODELS: dict[str, dict[str, Any]] = {
    "deepseek-r1": {"model_type": "qwen2", **_SIZES},
    "llama-3": {"model_type": "llama", **_SIZES, "tie_word_embeddings": True},
    "gemma-2": {"model_type": "gemma2", **_SIZES, **_SLIDING},
    "openelm": {"model_type": "openelm", **_OPENELM},
    "olmo-2": {"model_type": "olmo2", **_SIZES},
    "qwen3": {"model_type": "qwen3", **_SIZES, "head_dim": 8, "tie_word_embeddings": True},
    "qwen2.5": {"model_type": "qwen2", **_SIZES, "tie_word_embeddings": True},
    "smollm2": {"model_type": "llama", **_SIZES, "tie_word_embeddings": True},
}
ATTENTION = {"gemma-2": "eager"}
"""Gemma 2 caps its attention scores, which only eager attention does."""


def conversation(system: str, user: str, answer: str, *, name: str) -> Example:
    turns = (("system", system), ("user", user), ("assistant", answer))
    messages = tuple(Message(role=role, content=content) for role, content in turns)
    views = (View(content=user, role="user", message=1), View(content=answer, role="assistant", message=2))
    return Example(name=name, messages=messages, views=views)


EXAMPLES = (
    conversation("Convert.", "lines with a dog", "dog .*\n", name="a:1"),
    conversation("Convert.", "lines with a number before\nthe string 'cat'", "\n[0-9].*cat", name="a:2"),
)


@cache
def random_tokens(name: str, real_tokenizer: Callable[[str], Any]) -> Tokenizer:
    return Tokenizer(tokenizer_of(name, real_tokenizer))


def samples(made: Tokenizer) -> list[Sample]:
    return list(made.samples(EXAMPLES))


def tiny(name: str, made: Tokenizer) -> PreTrainedModel:
    config = ModelConfig(config=MODELS[name], attention=ATTENTION.get(name))
    return load_model(config, made.tokenizer, seed=3)


@pytest.mark.parametrize("name", NAMES)
def test_inspection_finds_nothing_wrong(real_tokenizer, name):
    made = random_tokens(name, real_tokenizer)
    model = ModelConfig(config=MODELS[name])
    material = Material(Examples(EXAMPLES, (), ()), made, samples(made), [], [])
    found = find(Experiment(output="x", model=model, data=Data(train="x")), material)
    assert [finding.text for finding in found if finding.severity is not Severity.note] == []


@pytest.mark.parametrize("name", NAMES)
def test_one_packed_forward_gives_what_separate_ones_give(real_tokenizer, name):
    made = random_tokens(name, real_tokenizer)
    model = tiny(name, made).double().eval()
    prepare(model, k=2)
    forests = [Layout(k=2).forest(sample) for sample in samples(made)]
    pad = pad_id(made.tokenizer)
    with torch.no_grad():
        packed = encode(model, pack(forests, pad=pad, samples_per_row=2))
        apart = encode(model, spread(forests, pad=pad), one_forward=False)
    tolerance = 1e-5 if ATTENTION.get(name) else 1e-12  # eager attention computes its softmax in float32
    for one, other in (
        (packed.label_nll, apart.label_nll),
        (packed.predicted, apart.predicted),
        (packed.target, apart.target),
    ):
        torch.testing.assert_close(one, other, atol=tolerance, rtol=0)
    assert len(packed.label_nll) == sum(sum(sequence.trained) for sample in samples(made) for sequence in sample.sequences)


def answered(folder: Path, name: str) -> str:
    """Return what an exported model answers to the first example, stop token included, with transformers alone."""
    model: Any = AutoModelForCausalLM.from_pretrained(folder, attn_implementation=ATTENTION.get(name, "sdpa"))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    system, user, _ = (message.content for message in EXAMPLES[0].messages)
    turns = [{"role": "system", "content": system}, {"role": "user", "content": user}]
    if ROWS[name].merges_system:
        turns = [{"role": "user", "content": f"{system}\n\n{user}"}]
    options: dict[str, Any] = dict(PINNED_ARGUMENTS)
    prompt = tokenizer.apply_chat_template(
        turns, add_generation_prompt=True, return_tensors="pt", return_dict=True, **options
    )
    out = model.generate(**prompt, max_new_tokens=40, do_sample=False)
    return str(tokenizer.decode(out[0, prompt["input_ids"].shape[1] :], clean_up_tokenization_spaces=False))


def trained(model: Any, made: Tokenizer, folder: Path, *, steps: int) -> Path:
    """Train in place on the first example and return the checkpoint."""
    first = samples(made)[:1]
    saving: dict[str, Any] = {"save_strategy": "steps", "save_steps": steps}
    log = train(model, first * 2, JEPA(), folder=folder, layout=Layout(k=1), batch=2, steps=steps, **saving)
    assert log[-1]["loss"] < log[0]["loss"]
    return folder / f"checkpoint-{steps}"


def exported(model: Any, base: PreTrainedModel, made: Tokenizer, folder: Path) -> Path:
    ends = [sample.sequences[0].ids[-1] for sample in samples(made)]
    export(model, made.tokenizer, folder, stops=stop_ids(made.tokenizer, base, ends), card="")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_model_trains_and_is_exported_and_answers_until_the_stop_token(real_tokenizer, name, tmp_path):
    made = random_tokens(name, real_tokenizer)
    model = tiny(name, made)
    checkpoint = trained(prepare(model, k=1), made, tmp_path / "run", steps=STEPS)
    assert {"model.safetensors", "trainer_state.json"} <= {path.name for path in checkpoint.iterdir()}
    folder = exported(model, model, made, tmp_path / "out")
    assert answered(folder, name) == FORMATS[name].answer(EXAMPLES[0].answer) + FORMATS[name].closing


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_adapters_train_alone_and_are_merged_into_what_is_exported(real_tokenizer, name, tmp_path):
    made = random_tokens(name, real_tokenizer)
    base = tiny(name, made)
    model: Any = prepare(base, k=1, lora=LoRA(rank=2))
    before = weights(model)
    checkpoint = trained(model, made, tmp_path / "run", steps=2)
    assert "adapter_model.safetensors" in {path.name for path in checkpoint.iterdir()}
    moved = {weight for weight, value in weights(model).items() if not torch.equal(value, before[weight])}
    assert moved == {weight for weight in before if "lora_" in weight or "jepa_predictor.modules_to_save" in weight}

    ids = torch.tensor([made.prompt_ids(EXAMPLES[1])])
    with torch.no_grad():
        expected = model.eval()(input_ids=ids).logits
        folder = exported(model, base, made, tmp_path / "out")
        found = AutoModelForCausalLM.from_pretrained(folder, attn_implementation=ATTENTION.get(name, "sdpa"))
        torch.testing.assert_close(found(input_ids=ids).logits, expected, atol=1e-4, rtol=1e-4)


PUBLISHED = {
    "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B": ("deepseek-r1", -1),
    "deepseek-ai/DeepSeek-R1-Distill-Llama-8B": ("deepseek-r1", -1),
    "meta-llama/Llama-3.2-1B-Instruct": ("llama-3", -2),
    "meta-llama/Llama-3.1-8B-Instruct": ("llama-3", -2),
    "google/gemma-2-2b-it": ("gemma-2", -2),
    "apple/OpenELM-1_1B-Instruct": ("openelm", -4),
    "allenai/OLMo-2-0425-1B-Instruct": ("olmo-2", -1),
    "allenai/OLMo-2-1124-7B-Instruct": ("olmo-2", -1),
    "Qwen/Qwen3-1.7B": ("qwen3", -3),
    "Qwen/Qwen2.5-0.5B-Instruct": ("qwen2.5", -3),
    "HuggingFaceTB/SmolLM2-135M-Instruct": ("smollm2", -3),
    "/models/llama3.2-1b": ("llama-3", -2),
}


@pytest.mark.parametrize("model", PUBLISHED)
def test_the_published_names_find_their_family(model):
    family = family_of(model)
    assert family is not None
    assert (family.name, family.last_token) == PUBLISHED[model]


def test_the_tables_of_families_and_of_tested_formats_are_the_same():
    assert {family.name for family in FAMILIES} == set(FORMATS) == set(MODELS)
    assert family_of("gpt2") is None


@pytest.mark.parametrize("name", NAMES)
def test_the_official_position_of_an_embedding_is_where_the_reference_says(real_tokenizer, name):
    """Facts of REFERENCE.md: Gemma's is its end of turn, OLMo's a line break; elsewhere Text ends there."""
    tokenizer, row = tokenizer_of(name, real_tokenizer), ROWS[name]
    turn = [{"role": "user", "content": "a dog"}]
    rendered = tokenizer.apply_chat_template(turn, tokenize=False, **PINNED_ARGUMENTS)
    ids = tokenizer.backend_tokenizer.encode(rendered, add_special_tokens=False).ids
    read = tokenizer.decode(ids[row.last_token])
    assert read == {"gemma-2": "<end_of_turn>", "olmo-2": "\n"}.get(name, read)
    assert read.endswith("g") is (name not in ("gemma-2", "olmo-2"))


def openelm_folder(folder: Path) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "openelm"}')
    return folder


def test_openelm_is_lent_the_tokenizer_of_llama_2_and_gets_the_official_format(shared, tmp_path):
    folder = openelm_folder(tmp_path / "OpenELM-270M")
    with pytest.raises(UserError, match=r"brings no tokenizer, and the one of its family, 'meta-llama/Llama-2-7b-chat-hf'"):
        load_tokenizer(ModelConfig(name=str(folder)))
    llama = str(shared / "tokenizers" / "llama-2")
    given: Any = load_tokenizer(ModelConfig(name=str(folder), tokenizer=llama), needs_roles=True)
    turns = [{"role": "user", "content": "u"}, {"role": "assistant", "content": "a"}]
    text = "<|user|>\nu</s>\n<|assistant|>\na</s>\n"
    assert given.apply_chat_template(turns, tokenize=False) == "<s>" + text
    assert given.apply_chat_template(turns)["input_ids"] == given(text)["input_ids"]  # the official code lets it add the BOS

    given.chat_template = "{{ messages }}"
    given.save_pretrained(folder)
    assert load_tokenizer(ModelConfig(name=str(folder))).chat_template == "{{ messages }}"


def test_a_hub_name_without_tokenizer_files_is_lent_one_too():
    with pytest.raises(UserError, match=r"'apple/OpenELM-270M' brings no tokenizer, .* log in with `hf auth login`"):
        load_tokenizer(ModelConfig(name="apple/OpenELM-270M"))
