"""Mistakes in configs, met by `train` and the other verbs that read one."""

import json
from dataclasses import replace
from pathlib import Path

from tests.corpus.case import Case, case, raw, write
from tests.helpers import word_tokenizer

GOOD_CONFIG = "output: out\nmodel: {name: model}\ndata: {train: good.jsonl}\ntraining: {max_steps: 1, use_cpu: true}\n"


def yaml(text: str) -> Case:
    """Return a case of a whole config file."""
    return case(write("bad.yaml", text), command="train bad.yaml")


def more(text: str) -> Case:
    """Return a case of a good config with more lines."""
    return yaml(GOOD_CONFIG + text)


def option(text: str) -> Case:
    """Return a case of a good config with options."""
    return case(command=f"train mine.yaml {text}")


def leaving(known: Case) -> Case:
    """Return a case that is noticed when the folder of the run is begun, with its config and its environment in it."""
    return replace(known, leaves=("out", "out/config.yaml", "out/environment.json", "out/checkpoints"))


_TALK = json.dumps({"messages": [{"role": role, "content": "a dog"} for role in ("system", "user", "assistant")]}) + "\n"


def _plain_tokenizer(here: Path) -> None:
    words = word_tokenizer()
    words.chat_template = None
    words.save_pretrained(here / "words")


CONFIGS: dict[str, Case] = {
    "no such file": case(command="train nowhere.yaml"),
    "a folder": case(command="train model"),
    "empty": yaml(""),
    "a comment only": yaml("# nothing\n"),
    "a list": yaml("- a\n- b\n"),
    "a text": yaml("hello\n"),
    "a number": yaml("3\n"),
    "open bracket": yaml("output: [x\n"),
    "open quote": yaml('output: "x\n'),
    "a tab": yaml("output: out\n\tmodel: {name: model}\n"),
    "two documents": yaml("output: out\n---\noutput: other\n"),
    "unknown anchor": yaml("output: *nowhere\n"),
    "a Python object": yaml("output: !!python/object/apply:os.system ['touch stolen']\n"),
    "a Python name": yaml("output: !!python/name:os.system\n"),
    "an anchor in itself": yaml("output: out\nmodel: &m {name: model, config: *m}\n"),
    "a bomb of anchors": yaml(
        "a: &a [x, x, x, x, x, x, x, x, x]\n"
        + "".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True))
        + "output: *i\n"
    ),
    "deep brackets": yaml("output: " + "[" * 5000 + "]" * 5000 + "\n"),
    "Latin-1": case(raw("bad.yaml", "output: café\n".encode("latin-1")), command="train bad.yaml"),
    "binary": case(raw("bad.yaml", bytes(range(256))), command="train bad.yaml"),
    "NUL": case(raw("bad.yaml", b"output: a\0b\n"), command="train bad.yaml"),
    "JSON cut": yaml('{"output": "out", '),
    "key twice": more("output: other\n"),
    "key without an end": more(f"{'limi' * 200}t: 2\n"),
    "class without an end": more(f"objective: {{distance: {{class_path: llm_jepa{'.jepa' * 3000}}}}}\n"),
    "argument without an end": yaml(GOOD_CONFIG.replace("max_steps", f"max_s{'te' * 300}ps")),
    "number without an end": more(f"objective: {{weight: {'9' * 400}}}\n"),
    "number without an end in an option": option(f"--objective.weight {'9' * 400}"),
    "no model": yaml("output: out\ndata: {train: good.jsonl}\n"),
    "no data": yaml("output: out\nmodel: {name: model}\n"),
    "no output": yaml("model: {name: model}\ndata: {train: good.jsonl}\n"),
    "null model": yaml("output: out\nmodel: null\ndata: {train: good.jsonl}\n"),
    "model as a text": yaml("output: out\nmodel: model\ndata: {train: good.jsonl}\n"),
    "data as a list": yaml("output: out\nmodel: {name: model}\ndata: [good.jsonl]\n"),
    "training as a list": yaml("output: out\nmodel: {name: model}\ndata: {train: good.jsonl}\ntraining: [a]\n"),
    "unknown section": more("objectiv: {weight: 1}\n"),
    "unknown key": more("objective: {wieght: 1}\n"),
    "unknown key of data": more("evaluation: {max_tokens: 1}\n"),
    "number as a key": more("3: 4\n"),
    "null as a key": more("null: 4\n"),
    "a list as a key": more("? [a]\n: 4\n"),
    "weight as a word": more("objective: {weight: much}\n"),
    "weight NaN": more("objective: {weight: .nan}\n"),
    "weight infinite": more("objective: {weight: .inf}\n"),
    "weight below 0": more("objective: {weight: -1}\n"),
    "dropout above 1": more("objective: {dropout: 2}\n"),
    "k as a fraction": more("layout: {k: 1.5}\n"),
    "k below 0": more("layout: {k: -1}\n"),
    "seed as a word": more("seed: one\n"),
    "seed below 0": more("seed: -1\n"),
    "seed too large": more("seed: 99999999999999999999\n"),
    "labels unknown": more("labels: everything\n"),
    "distance unknown": more("objective: {distance: Cosin}\n"),
    "distance of another package": more(
        "objective: {distance: {class_path: os.system, init_args: {command: 'touch stolen'}}}\n"
    ),
    "distance that is no distance": more("objective: {distance: {class_path: llm_jepa.packing.layout.Layout}}\n"),
    "distance with a wrong argument": more("objective: {distance: {class_path: InfoNCE, init_args: {temprature: 1}}}\n"),
    "distance with a wrong value": more("objective: {distance: {class_path: InfoNCE, init_args: {temperature: 0}}}\n"),
    "scorer unknown": more("evaluation: {scorer: Exact}\n"),
    "preset unknown": option("--preset paper"),
    "preset without the family": option("--preset paper_code"),
    "training field unknown": yaml(GOOD_CONFIG.replace("max_steps: 1", "max_step: 1")),
    "training value wrong": option("--training.learning_rate fast"),
    "learning rate below 0": option("--training.learning_rate -1"),
    "learning rate NaN": option("--training.learning_rate .nan"),
    "batch of 0": option("--training.per_device_train_batch_size 0"),
    "epochs below 0": option("--training.num_train_epochs -1"),
    "accumulation 0": option("--training.gradient_accumulation_steps 0"),
    "an optimizer that does not exist": option("--training.optim adamx"),
    "a scheduler that does not exist": option("--training.lr_scheduler_type sometimes"),
    "saves that never come": option("--training.save_strategy steps --training.save_steps 0"),
    "logging 0": option("--training.logging_steps 0"),
    "evaluation without rows": option("--training.eval_strategy epoch"),
    "best model without evaluation": option("--training.load_best_model_at_end true"),
    "bf16 and fp16": option("--training.bf16 true --training.fp16 true"),
    "report to what is not there": option("--training.report_to wandb"),
    "owned field": option("--training.output_dir x"),
    "max_flops below 0": option("--max_flops -1"),
    "max_flops and max_steps": option("--max_flops 1e9"),
    "limit 0": option("--data.limit 0"),
    "samples a row 0": option("--packing.samples_per_row 0"),
    "evaluation tokens 0": option("--evaluation.max_new_tokens 0"),
    "name and config": option("--model.name model"),
    "dtype unknown": option("--model.dtype float8"),
    "attention unknown": option("--model.attention flash"),
    "LoRA of rank 0": option("--model.lora.rank 0"),
    "template that cannot be read": option("--model.template nowhere.jinja"),
    "template that is broken": case(
        write("broken.jinja", "{% for message in messages %}{{ message['content'] }"),
        command="train mine.yaml --model.template broken.jinja",
    ),
    "template that asks for what is not there": case(
        write("odd.jinja", "{{ nothing.at_all }}"), command="train mine.yaml --model.template odd.jinja"
    ),
    "template that reaches for Python": case(
        write("evil.jinja", "{{ ''.__class__.__mro__[1].__subclasses__() }}"),
        command="train mine.yaml --model.template evil.jinja",
    ),
    "template that never ends": case(
        write("long.jinja", "{% for a in range(999999999) %}x{% endfor %}"),
        command="train mine.yaml --model.template long.jinja",
    ),
    "output is a file": option("--output good.jsonl"),
    "output below a file": option("--output good.jsonl/run"),
    "output is another folder": option("--output model"),
    "output is empty": case(command="train mine.yaml --output=''"),
    "output with NUL": case(command="train mine.yaml --output=a\0b"),
    "output too long": option("--output " + "a" * 300),
    "model field unknown": option("--model.config '{model_type: llama, hiden_size: 3}'"),
    "architecture that cannot be packed": leaving(
        option("--model.config '{model_type: mpt, d_model: 32, n_heads: 4, n_layers: 2, max_seq_len: 64}'"),
    ),
    "no template for roles": case(
        write("talk.jsonl", _TALK),
        _plain_tokenizer,
        command="train mine.yaml --data.train talk.jsonl --data.test null --model.tokenizer words",
    ),
    "one row too long": leaving(option("--data.max_length 2 --data.over_length error")),
    "one pair to shuffle": option("--data.shuffle_pairs true --data.limit 1"),
    "all rows too long": leaving(option("--data.max_length 2")),
    "vocabulary too small": option("--model.vocabulary 20"),
    "model type unknown": option("--model.config '{model_type: lama}'"),
    "model of negative size": option("--model.config.hidden_size -8"),
    "heads that do not fit": option("--model.config.num_attention_heads 5"),
    "compare": case(write("bad.yaml", "output: [x\n"), command="compare bad.yaml"),
    "sweep": case(write("bad.yaml", "output: [x\n"), command="sweep bad.yaml"),
    "inspect": case(write("bad.yaml", "output: [x\n"), command="inspect bad.yaml"),
    "preflight": case(write("bad.yaml", "output: [x\n"), command="preflight bad.yaml"),
}
