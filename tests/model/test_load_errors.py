"""Every way in which a model cannot be loaded is one sentence that says what to do."""

import json
import logging
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from tests.helpers import largest_difference, plain_model, weights
from tests.model.small_models import load, random_model, write_base
from transformers import AutoModelForCausalLM

from llm_jepa.errors import UserError
from llm_jepa.model.load import LoRA, ModelConfig, prepare

OWN_CODE = """
from transformers import LlamaConfig, LlamaForCausalLM

class OwnConfig(LlamaConfig):
    model_type = "own"

class OwnModel(LlamaForCausalLM):
    config_class = OwnConfig
"""


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Keep transformers' report of a failed loading out of the output."""
    logger = logging.getLogger("transformers")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(level)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return write_base(tmp_path / "base")


def change(folder: Path, **fields: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


RANDOM = {
    "misspelt type": ({"model_type": "lama"}, "model_type 'lama' is no causal language model of transformers; .*'llama'"),
    "no type": ({"model_type": None}, "model_type 'None' is no causal language model"),
    "no language model": ({"model_type": "vit"}, "model_type 'vit' is no causal language model"),
    "unknown field": ({"hidden_sise": 3}, "'hidden_sise' is no field of a llama config; did you mean 'hidden_size'"),
    "a word for a number": ({"hidden_size": "big"}, "cannot build this llama model"),
    "no heads": ({"num_attention_heads": 0}, "cannot build this llama model"),
    "unknown activation": ({"hidden_act": "foo"}, "cannot build this llama model: .*foo"),
}


@pytest.mark.parametrize("mistake", RANDOM)
def test_a_config_that_cannot_be_built_is_told_in_one_sentence(mistake: str) -> None:
    fields, sentence = RANDOM[mistake]
    with pytest.raises(UserError, match=sentence) as told:
        random_model(**fields)
    assert "\n" not in str(told.value)


PLACES = {
    "relative folder": ("./nowhere", "'./nowhere': there is no such folder"),
    "absolute folder": ("/nowhere/at/all", "there is no such folder"),
    "GGUF file": ("nowhere.gguf", "there is no file 'nowhere.gguf'"),
    "hub name": (
        "organisation/name",
        "the hub is not reached, and its local cache lacks it; check the name and the network",
    ),
    "no name": ("a b", "there is no such folder"),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_model_that_is_nowhere_is_told_in_one_sentence(place: str) -> None:
    name, sentence = PLACES[place]
    with pytest.raises(UserError, match=sentence) as told:
        load(name=name)
    assert "\n" not in str(told.value)


def test_the_nearest_folder_is_named(base: Path) -> None:
    with pytest.raises(UserError, match="there is no such folder; did you mean 'base'"):
        load(name=str(base.parent / "bsae"))


def cut(name: str, length: int) -> Callable[[Path], object]:
    """Keep the first bytes of a file only."""
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:length])


def without(*names: str) -> Callable[[Path], object]:
    """Remove files."""
    return lambda folder: [(folder / name).unlink() for name in names]


def swapped(name: str, old: str, new: str) -> Callable[[Path], object]:
    """Replace some text of a file."""
    return lambda folder: (folder / name).write_text((folder / name).read_text().replace(old, new))


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "torn weights": (cut("model.safetensors", 900), "a safetensors file is damaged or not whole; download or copy it again"),
    "empty weights": (cut("model.safetensors", 0), "a safetensors file is damaged or not whole"),
    "no weights": (without("model.safetensors"), "the folder has no weights"),
    "no config": (without("config.json"), "the folder has no config.json, so it is no Hugging Face model"),
    "torn config": (cut("config.json", 20), "its config.json is damaged or not whole"),
    "other shapes": (
        lambda folder: change(folder, hidden_size=32),
        "the weights have other shapes than its config.json says",
    ),
    "wrong type": (swapped("config.json", '"llama"', '"vit"'), "it is no causal language model, which predicts the next"),
    "unknown type": (
        swapped("config.json", '"llama"', '"own"'),
        "its model_type is unknown to this version of transformers",
    ),
    "no tokenizer": (without("tokenizer.json", "tokenizer_config.json"), "it has no tokenizer that can be read"),
    "torn tokenizer": (cut("tokenizer.json", 200), "cannot load the tokenizer"),
    "newer tokenizer": (swapped("tokenizer.json", '"WordLevel"', '"Other"'), "its tokenizer.json is damaged or made by a"),
}


@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.filterwarnings("ignore")
def test_a_damaged_folder_is_told_in_one_sentence(base: Path, how: str) -> None:
    damage, sentence = DAMAGES[how]
    if how == "no tokenizer" and transformers.__version__ < "5.1":
        pytest.skip("transformers 5.0 takes a folder without a tokenizer for an empty one")
    damage(base)
    with pytest.raises(UserError, match=sentence) as told:
        load(name=str(base))
    assert "\n" not in str(told.value)


def test_a_fault_of_the_program_is_not_blamed_on_the_model(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**_: object) -> None:
        raise AssertionError("ours")

    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", broken)
    with pytest.raises(AssertionError, match="ours"):
        load(name=str(base))


def test_a_run_folder_is_pointed_inwards(base: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    base.rename(tmp_path / "run" / "model")
    with pytest.raises(UserError, match=r"did you mean '.*run/model'"):
        load(name=str(tmp_path / "run"))


def test_a_file_is_no_folder(base: Path) -> None:
    with pytest.raises(UserError, match="it is a file; give the folder that holds it"):
        load(name=str(base / "model.safetensors"))


def test_pickled_weights_are_refused_and_the_way_out_works(base: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(base)
    expected = weights(model)
    torch.save(model.state_dict(), base / "pytorch_model.bin")
    (base / "model.safetensors").unlink()
    with pytest.raises(UserError, match="not safetensors but pickle, which can run code when it is read") as told:
        load(name=str(base))
    found = re.search("`(python .*)`", str(told.value))
    assert found is not None
    command = [sys.executable, *shlex.split(found[1])[1:]]
    subprocess.run(command, check=True, cwd=base.parent, capture_output=True, timeout=120)
    assert largest_difference(weights(load(name=str(base.parent / "base-safetensors"))), expected) == 0


def test_code_that_comes_with_a_model_runs_only_when_trusted(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    (base / "modeling.py").write_text(OWN_CODE)
    change(
        base, model_type="own", auto_map={"AutoConfig": "modeling.OwnConfig", "AutoModelForCausalLM": "modeling.OwnModel"}
    )
    with pytest.raises(UserError, match=r"code of its own; read that, and .* `model\.trust_remote_code: true`"):
        load(name=str(base))
    assert not (tmp_path / "modules").exists()
    assert type(load(name=str(base), trust_remote_code=True)).__name__ == "OwnModel"


def test_lora_without_peft_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(UserError, match="pip install 'llm-jepa"):
        prepare(plain_model(), k=0, lora=LoRA())


def test_the_fields_of_a_model_must_fit_together() -> None:
    mistakes: list[tuple[dict[str, Any], str]] = [
        ({}, "give either model.name"),
        ({"name": "a", "config": {}}, "give either model.name"),
        ({"name": "a", "attention": "flash"}, "it is one of sdpa, eager, flex_attention"),
        ({"name": "a", "dtype": "int8"}, "it is 'float32'"),
    ]
    for fields, sentence in mistakes:
        with pytest.raises(ValueError, match=sentence):
            ModelConfig(**fields)
    with pytest.raises(ValueError, match="a rank of at least 1"):
        LoRA(rank=0)


@pytest.mark.parametrize("content", [b"GGUF", b"GGUF\x03\x00\x00\x00" + bytes(16), b"not one at all" * 10])
def test_a_damaged_gguf_file_is_told_in_one_sentence(tmp_path: Path, content: bytes) -> None:
    pytest.importorskip("gguf")
    (tmp_path / "x.gguf").write_bytes(content)
    with pytest.raises(UserError, match="cannot load the tokenizer") as told:
        load(name=str(tmp_path / "x.gguf"))
    assert "\n" not in str(told.value)


def test_a_model_with_fewer_weights_than_its_config_is_refused(tmp_path):
    import json

    from tests.helpers import plain_model, word_tokenizer

    from llm_jepa.errors import UserError
    from llm_jepa.model.load import ModelConfig, load_model

    plain_model("llama").save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"num_hidden_layers": 3}))
    with pytest.raises(UserError, match=r"lacks \d+ weights of its own config, such as 'model.layers.2"):
        load_model(ModelConfig(name=str(tmp_path)), word_tokenizer(), seed=0)
