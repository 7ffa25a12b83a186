"""Mistakes in model folders, met by `evaluate`, `train` and `analyze`."""

import json
from pathlib import Path

import torch

from tests.corpus.case import Case, Step, case, cut, keys, raw, remove, swap, write

EVALUATE = "evaluate model rows.jsonl"


def spoiled(*steps: Step) -> Case:
    """Return a case of a spoiled model folder that is evaluated."""
    return case(*steps, command=EVALUATE)


def _pickled(here: Path) -> None:
    from safetensors.torch import load_file

    weights = here / "model" / "model.safetensors"
    torch.save(load_file(weights), here / "model" / "pytorch_model.bin")
    weights.unlink()


MODELS: dict[str, Case] = {
    "no such folder": case(command="evaluate ./nowhere rows.jsonl"),
    "no such hub model": case(command="evaluate nobody/nothing rows.jsonl"),
    "no such GGUF": case(command="evaluate nowhere.gguf rows.jsonl"),
    "GGUF that is none": case(raw("a.gguf", b"nothing at all"), command="evaluate a.gguf rows.jsonl"),
    "GGUF cut": case(raw("a.gguf", b"GGUF\x03\x00\x00\x00"), command="evaluate a.gguf rows.jsonl"),
    "a file of weights": case(command="evaluate model/model.safetensors rows.jsonl"),
    "an empty folder": case(lambda here: (here / "empty").mkdir(), command="evaluate empty rows.jsonl"),
    "no config": spoiled(remove("model/config.json")),
    "config cut": spoiled(cut("model/config.json", 30)),
    "config empty": spoiled(cut("model/config.json", 0)),
    "config is a list": spoiled(write("model/config.json", "[]")),
    "config is a number": spoiled(write("model/config.json", "3")),
    "config binary": spoiled(raw("model/config.json", bytes(range(256)))),
    "config without a type": spoiled(write("model/config.json", "{}")),
    "unknown architecture": spoiled(swap("model/config.json", '"llama"', '"own"')),
    "an encoder": spoiled(swap("model/config.json", '"llama"', '"vit"')),
    "code of its own": spoiled(
        write("model/modeling.py", "open('stolen', 'w')"),
        keys(
            "model/config.json",
            model_type="own",
            auto_map={"AutoConfig": "modeling.A", "AutoModelForCausalLM": "modeling.B"},
        ),
    ),
    "a tokenizer with code of its own": spoiled(
        write("model/tok.py", "open('stolen', 'w')"),
        keys("model/tokenizer_config.json", tokenizer_class="Own", auto_map={"AutoTokenizer": ["tok.Own", None]}),
    ),
    "wrong hidden size": spoiled(keys("model/config.json", hidden_size=64)),
    "hidden size as a word": spoiled(keys("model/config.json", hidden_size="big")),
    "more layers than weights": spoiled(keys("model/config.json", num_hidden_layers=3)),
    "no heads": spoiled(keys("model/config.json", num_attention_heads=0)),
    "no weights": spoiled(remove("model/model.safetensors")),
    "weights cut": spoiled(cut("model/model.safetensors", 900)),
    "weights cut at the end": spoiled(cut("model/model.safetensors", -100)),
    "weights empty": spoiled(cut("model/model.safetensors", 0)),
    "weights that are text": spoiled(write("model/model.safetensors", "version https://git-lfs.github.com/spec/v1\n")),
    "weights of a huge header": spoiled(raw("model/model.safetensors", b"\xff" * 64)),
    "pickled weights": spoiled(_pickled),
    "an index without its shards": spoiled(
        remove("model/model.safetensors"),
        write("model/model.safetensors.index.json", json.dumps({"metadata": {}, "weight_map": {"a": "x.safetensors"}})),
    ),
    "an index that leaves the folder": spoiled(
        remove("model/model.safetensors"),
        write(
            "model/model.safetensors.index.json", json.dumps({"metadata": {}, "weight_map": {"a": "../../x.safetensors"}})
        ),
    ),
    "an index cut": spoiled(remove("model/model.safetensors"), write("model/model.safetensors.index.json", '{"weight_map"')),
    "no tokenizer": spoiled(remove("model/tokenizer.json", "model/tokenizer_config.json")),
    "tokenizer cut": spoiled(cut("model/tokenizer.json", 200)),
    "tokenizer of another version": spoiled(swap("model/tokenizer.json", '"WordLevel"', '"Other"')),
    "tokenizer config cut": spoiled(cut("model/tokenizer_config.json", 20)),
    "tokenizer config is a list": spoiled(write("model/tokenizer_config.json", "[]")),
    "chat template broken": spoiled(write("model/chat_template.jinja", "{% for %}")),
    "chat template that reaches for Python": spoiled(
        write("model/chat_template.jinja", "{{ messages.__class__.__base__.__subclasses__() }}")
    ),
    "chat template that raises": spoiled(write("model/chat_template.jinja", "{{ raise_exception('no system') }}")),
    "chat template that forgets the answer": spoiled(write("model/chat_template.jinja", "hello")),
    "chat template that is not UTF-8": spoiled(raw("model/chat_template.jinja", b"\xff\xfe")),
    "generation config cut": spoiled(write("model/generation_config.json", '{"eos')),
    "generation config wrong": spoiled(write("model/generation_config.json", '{"eos_token_id": "end"}')),
    "context too short": case(command="evaluate model rows.jsonl --max_new_tokens 9999"),
    "adapter only": spoiled(
        remove("model/config.json", "model/model.safetensors"),
        write("model/adapter_config.json", json.dumps({"base_model_name_or_path": "nowhere", "peft_type": "LORA"})),
    ),
    "trained": case(cut("model/model.safetensors", 900), command="train tuned.yaml --output other"),
    "analysed": case(cut("model/model.safetensors", 900), command="analyze model --data rows.jsonl"),
    "preflight": case(cut("model/model.safetensors", 900), command="preflight tuned.yaml --output other"),
}
