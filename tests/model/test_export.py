"""A model becomes a plain folder, whole or not at all."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.helpers import packed_model, plain_model, word_tokenizer
from torch import nn
from transformers import AutoModelForCausalLM, GenerationConfig

from llm_jepa.errors import UserError
from llm_jepa.model.export import export, merged, stop_ids, whole_folder
from llm_jepa.model.load import LoRA, prepare

IDS = torch.tensor([[1, 5, 9, 9, 2, 30]])


def said(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(input_ids=IDS).logits


def stirred(k: int) -> nn.Module:
    """Return a model under adapters that do something."""
    model = prepare(plain_model(), k=k, lora=LoRA(rank=2))
    draw = torch.Generator().manual_seed(5)
    for name, item in model.named_parameters():
        if "lora_" in name:
            item.data = 0.3 * torch.randn(item.shape, generator=draw, dtype=item.dtype)
    return model


@pytest.mark.parametrize(
    ("family", "attention"),
    [("llama", "sdpa"), ("llama", "eager"), ("qwen3", "sdpa"), ("gemma2", "eager"), ("gemma3", "sdpa"), ("gpt2", "sdpa")],
)
def test_an_exported_model_says_the_same_and_knows_nothing_of_packing(family: str, attention: str, tmp_path: Path) -> None:
    model = packed_model(family, k=2, attention=attention, dtype=torch.float32)
    expected = said(model)
    export(model, word_tokenizer(), tmp_path / "out", stops=[3], card="# Card")
    found = AutoModelForCausalLM.from_pretrained(tmp_path / "out", attn_implementation=attention)
    assert torch.equal(said(found), expected)
    assert found.config._attn_implementation == attention
    assert not [name for name in load_file(tmp_path / "out" / "model.safetensors") if "jepa" in name]
    for file in ("config.json", "generation_config.json"):
        assert "jepa" not in (tmp_path / "out" / file).read_text()
    assert (tmp_path / "out" / "README.md").read_text() == "# Card"


@pytest.mark.parametrize("k", [0, 2])
def test_adapters_are_merged(k: int, tmp_path: Path) -> None:
    model = stirred(k)
    expected = said(model)
    export(model, word_tokenizer(), tmp_path / "out", stops=[3], card="")
    found = AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype=torch.float64)
    torch.testing.assert_close(said(found), expected, atol=1e-12, rtol=1e-9)
    assert not [name for name in load_file(tmp_path / "out" / "model.safetensors") if "lora" in name or "jepa" in name]


def test_a_model_without_adapters_is_merged_as_it_is() -> None:
    model = packed_model()
    assert merged(model) is model


def test_what_training_switched_off_is_on_again(tmp_path: Path) -> None:
    model = plain_model()
    model.config.use_cache = False
    export(model, word_tokenizer(), tmp_path / "out", stops=[3], card="")
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "out").config.use_cache is True


def test_the_exported_model_generates_greedily_and_stops_at_any_of_the_tokens(tmp_path: Path) -> None:
    model = plain_model()
    model.generation_config = GenerationConfig(do_sample=True, temperature=0.3, eos_token_id=7)
    tokenizer = word_tokenizer()
    stops = stop_ids(tokenizer, model, [9, 7])
    export(model, tokenizer, tmp_path / "out", stops=stops, card="")
    settings = json.loads((tmp_path / "out" / "generation_config.json").read_text())
    assert settings["eos_token_id"] == [tokenizer.eos_token_id, 7, 9]
    assert settings["pad_token_id"] == tokenizer.pad_token_id
    assert not {"do_sample", "temperature"} & settings.keys()


@pytest.mark.parametrize(("configured", "expected"), [(None, (3, 9)), (7, (3, 7, 9)), ([7, 8], (3, 7, 8, 9))])
def test_every_source_of_stop_tokens_counts(configured: Any, expected: tuple[int, ...]) -> None:
    tokenizer, model = word_tokenizer(), plain_model()
    assert tokenizer.eos_token_id == 3
    model.generation_config = GenerationConfig(eos_token_id=configured)
    assert stop_ids(tokenizer, model, [9, 9]) == expected


def test_a_tokenizer_without_padding_pads_with_its_end(tmp_path: Path) -> None:
    tokenizer = word_tokenizer()
    tokenizer.pad_token = None
    export(plain_model(), tokenizer, tmp_path / "out", stops=[3], card="")
    assert json.loads((tmp_path / "out" / "generation_config.json").read_text())["pad_token_id"] == tokenizer.eos_token_id


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"'.*out' is not empty; give another folder or `--overwrite`"):
        export(plain_model(), word_tokenizer(), tmp_path / "out", stops=[3], card="")
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "notes.txt"]


def test_a_folder_is_filled_elsewhere_and_then_put_in_its_place(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    with whole_folder(out) as part:
        (part / "a.txt").write_text("new")
        assert not out.exists()
    assert (out / "a.txt").read_text() == "new"
    assert [path.name for path in out.parent.iterdir()] == ["out"]


def test_an_empty_folder_may_be_filled(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with whole_folder(tmp_path / "out") as part:
        (part / "a.txt").write_text("new")
    assert (tmp_path / "out" / "a.txt").exists()


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_an_interruption_leaves_what_was_there(tmp_path: Path, error: type[BaseException]) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.txt").write_text("old")

    def fail() -> None:
        with whole_folder(tmp_path / "out", overwrite=True) as part:
            (part / "b.txt").write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert [path.name for path in sorted(tmp_path.rglob("*"))] == ["out", "a.txt"]


def test_what_a_kill_left_behind_is_cleaned_up(tmp_path: Path) -> None:
    for ending in (".partial", ".replaced"):
        (tmp_path / f"out{ending}").mkdir()
        (tmp_path / f"out{ending}" / "half.txt").write_text("half")
    with whole_folder(tmp_path / "out") as part:
        (part / "a.txt").write_text("new")
    assert [path.name for path in sorted(tmp_path.rglob("*"))] == ["out", "a.txt"]


def test_replacing_removes_every_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("old.txt", "new.txt"):
        with whole_folder(Path("out"), overwrite=True) as part:
            (part / name).write_text("")
    assert [path.name for path in sorted(tmp_path.rglob("*"))] == ["out", "new.txt"]


@pytest.mark.parametrize(("name", "sentence"), [("file", "'file' is a file; give a folder"), ("file/x", "cannot write to")])
def test_a_file_is_never_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, sentence: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("mine")
    with pytest.raises(UserError, match=sentence), whole_folder(Path(name), overwrite=True):
        pytest.fail("not to be reached")
    assert Path("file").read_text() == "mine"
