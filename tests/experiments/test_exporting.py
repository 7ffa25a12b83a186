import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from tests.experiments.small_runs import (
    ROWS,
    SIZES,
    STEPS,
    Watch,
    experiment,
    restored_logging,
    run_with,
    write_base,
    write_rows,
)
from tests.helpers import word_tokenizer
from torch import Tensor

from llm_jepa.errors import UserError
from llm_jepa.experiments.exporting import export
from llm_jepa.experiments.files import RunFolder
from llm_jepa.model.load import LoRA, ModelConfig

CASES: dict[str, dict[str, Any]] = {
    "full-k2-untied": {"k": 2, "tied": False, "lora": False, "random": True},
    "full-k0-tied": {"k": 0, "tied": True, "lora": False, "random": False},
    "lora-k2-tied": {"k": 2, "tied": True, "lora": True, "random": False},
    "lora-k0-untied": {"k": 0, "tied": False, "lora": True, "random": True},
}
WHEN = {"middle": STEPS // 2, "end": STEPS}

PLAIN = """
import json, sys
sys.modules["llm_jepa"] = None  # whoever imports it fails
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

answers = {}
for job in json.loads(sys.argv[1]):
    folder = job["folder"]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    if "base" in job:
        from peft import PeftModel
        model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(job["base"]), folder).eval()
    else:
        model = AutoModelForCausalLM.from_pretrained(folder)
    turns = [{"role": "user", "content": job["text"]}]
    prompt = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    with torch.no_grad():
        logits = model(**prompt).logits[0]
    options = {"max_new_tokens": 16, "do_sample": False}
    out = model.generate(**prompt, **options, **({"eos_token_id": job["stops"]} if "base" in job else {}))
    answers[job["name"]] = {
        "ids": prompt["input_ids"][0], "logits": logits, "tokens": out[0, prompt["input_ids"].shape[1]:],
        "cached": torch.tensor(bool(model.config.use_cache)),
    }
torch.save(answers, sys.argv[2])
assert not [name for name in sys.modules if name.startswith("llm_jepa.")]
"""


def prompt() -> tuple[list[int], list[int]]:
    """Return the first row's prompt, and the tokens that may end its answer."""
    tokenizer = word_tokenizer()
    tokenizer.add_special_tokens({"eos_token": "<|endoftext|>"})
    turns = [{"role": "user", "content": ROWS[0]["text"]}]
    text = str(tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False))
    return tokenizer(text)["input_ids"], tokenizer("<|im_end|><|endoftext|>")["input_ids"]


Exported = dict[str, dict[str, Tensor]]


class Runs:
    """The four runs, what their models said in memory, and what plain transformers says about their exports."""

    def __init__(self, root: Path) -> None:
        self.root, self.watches, self.runs = root, {}, {}
        ids, self.stops = prompt()
        rows = write_rows(root / "rows.jsonl")
        for name, case in CASES.items():
            base = write_base(root / f"base-{name}", tied=case["tied"])
            lora = LoRA(rank=8) if case["lora"] else None
            if case["random"]:
                config = {"model_type": "llama", "tie_word_embeddings": case["tied"], **SIZES}
                model = ModelConfig(config=config, tokenizer=str(base), lora=lora)
            else:
                model = ModelConfig(name=str(base), lora=lora)
            self.watches[name] = Watch(ids, self.stops)
            self.runs[name] = run_with(experiment(root / name, rows, model, k=case["k"]), self.watches[name])
        self.exported = self._export()

    def _export(self) -> Exported:
        jobs = []
        for name, run in self.runs.items():
            for when, options in (("middle", ["--checkpoint", str(STEPS // 2)]), ("end", [])):
                jobs.append(self._job(run, f"{name}-{when}", options))
        adapter = self._job(self.runs["lora-k2-tied"], "adapter", ["--adapter"])
        jobs.append({**adapter, "base": str(self.root / "base-lora-k2-tied"), "stops": self.stops})
        answers = self.root / "answers.pt"
        command = [sys.executable, "-W", "ignore", "-c", PLAIN, json.dumps(jobs), str(answers)]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return torch.load(answers, weights_only=True)

    def _job(self, run: RunFolder, name: str, options: list[str]) -> dict[str, Any]:
        folder = self.root / "exported" / name
        assert export([str(run.root), str(folder), *options]) == 0
        return {"name": name, "folder": str(folder), "text": ROWS[0]["text"]}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    with restored_logging():
        yield Runs(tmp_path_factory.mktemp("runs"))


def close(case: str) -> Callable[[Tensor, Tensor], bool]:
    """Merging an adapter rounds; without one, every bit must agree."""
    return (lambda a, b: torch.allclose(a, b, atol=2e-5, rtol=1e-4)) if CASES[case]["lora"] else torch.equal


@pytest.mark.parametrize("when", WHEN)
@pytest.mark.parametrize("case", CASES)
def test_plain_transformers_says_what_the_trained_model_said(runs: Runs, case: str, when: str) -> None:
    watch, found = runs.watches[case], runs.exported[f"{case}-{when}"]
    assert found["ids"].tolist() == watch.ids
    assert close(case)(found["logits"], watch.logits[WHEN[when]])
    answer = watch.answers[WHEN[when]]
    assert found["tokens"].tolist()[: len(answer)] == answer


@pytest.mark.parametrize("case", CASES)
def test_what_was_learned_by_heart_is_said_and_ended_with_the_turn(runs: Runs, case: str) -> None:
    tokenizer = word_tokenizer()
    expected = tokenizer(ROWS[0]["code"] + "<|im_end|>")["input_ids"]
    assert runs.exported[f"{case}-end"]["tokens"].tolist() == expected


@pytest.mark.parametrize("when", WHEN)
@pytest.mark.parametrize("case", CASES)
def test_the_folder_is_plain(runs: Runs, case: str, when: str) -> None:
    folder = runs.root / "exported" / f"{case}-{when}"
    for file in ("config.json", "generation_config.json", "tokenizer_config.json"):
        assert "jepa" not in (folder / file).read_text()
    with safe_open(folder / "model.safetensors", "pt") as weights:
        names = list(weights.keys())
    assert not [name for name in names if "jepa" in name or "lora" in name]
    assert ("lm_head.weight" in names) is not CASES[case]["tied"]
    assert sorted(json.loads((folder / "generation_config.json").read_text())["eos_token_id"]) == sorted(runs.stops)
    assert bool(runs.exported[f"{case}-{when}"]["cached"])
    card = (folder / "README.md").read_text()
    assert ("checkpoint at optimizer step 12" in card) is (when == "middle")


def test_an_adapter_works_on_the_plain_base_model(runs: Runs) -> None:
    watch, found = runs.watches["lora-k2-tied"], runs.exported["adapter"]
    assert torch.allclose(found["logits"], watch.logits[STEPS], atol=2e-5, rtol=1e-4)
    assert found["tokens"].tolist() == runs.exported["lora-k2-tied-end"]["tokens"].tolist()
    folder = runs.root / "exported" / "adapter"
    assert "jepa" not in (folder / "adapter_config.json").read_text()
    with safe_open(folder / "adapter_model.safetensors", "pt") as weights:
        assert all("lora_" in name for name in weights.keys())  # noqa: SIM118 - it is no dictionary
    assert f"eos_token_id={sorted(runs.stops)}" in (folder / "README.md").read_text()


@pytest.mark.parametrize("case", ["full-k2-untied", "lora-k2-tied"])
def test_an_unfinished_run_gives_its_latest_checkpoint(runs: Runs, tmp_path: Path, case: str) -> None:
    unfinished = tmp_path / "run"
    shutil.copytree(runs.runs[case].root, unfinished)
    shutil.rmtree(unfinished / "model")
    (unfinished / "results.json").unlink()
    assert export([str(unfinished), str(tmp_path / "out")]) == 0
    whole = runs.root / "exported" / f"{case}-end" / "model.safetensors"
    assert (tmp_path / "out" / "model.safetensors").read_bytes() == whole.read_bytes()


def test_a_finished_run_without_its_model_is_rebuilt(runs: Runs, tmp_path: Path) -> None:
    kept = tmp_path / "run"
    shutil.copytree(runs.runs["lora-k0-untied"].root, kept)
    shutil.rmtree(kept / "model")
    assert export([str(kept), str(tmp_path / "out")]) == 0
    whole = runs.root / "exported" / "lora-k0-untied-end" / "model.safetensors"
    assert (tmp_path / "out" / "model.safetensors").read_bytes() == whole.read_bytes()


def test_a_model_is_replaced_only_when_asked_for(runs: Runs, tmp_path: Path) -> None:
    run, out = str(runs.runs["full-k0-tied"].root), tmp_path / "out"
    export([run, str(out), "--checkpoint", "12"])
    before = (out / "model.safetensors").read_bytes()
    with pytest.raises(UserError, match="not empty; give another folder or `--overwrite`"):
        export([run, str(out)])
    assert (out / "model.safetensors").read_bytes() == before
    export([run, str(out), "--overwrite"])
    assert (out / "model.safetensors").read_bytes() != before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_failure_leaves_what_was_there(runs: Runs, tmp_path: Path) -> None:
    broken, out = tmp_path / "run", tmp_path / "out"
    shutil.copytree(runs.runs["full-k0-tied"].root, broken)
    (broken / "checkpoints" / "checkpoint-12" / "model.safetensors").write_bytes(b"torn")
    export([str(broken), str(out)])
    before = sorted(path.name for path in out.iterdir())
    with pytest.raises(UserError, match="is damaged"):
        export([str(broken), str(out), "--checkpoint", "12", "--overwrite"])
    assert sorted(path.name for path in out.iterdir()) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "run"]


MISTAKES = {
    "no run": (["nowhere", "out"], "there is no folder 'nowhere'"),
    "other folder": (["base-full-k0-tied", "out"], "holds no run"),
    "no such checkpoint": (["full-k0-tied", "out", "--checkpoint", "7"], "no whole checkpoint of step 7; there are: 12, 24"),
    "no adapter": (["full-k0-tied", "out", "--adapter"], "there is no adapter; leave `--adapter` out"),
    "onto the run": (["full-k0-tied", "full-k0-tied", "--overwrite"], "part of the run or holds it"),
    "onto its model": (["full-k0-tied", "full-k0-tied/model", "--overwrite"], "part of the run or holds it"),
    "above the run": (["full-k0-tied", ".", "--overwrite"], "part of the run or holds it"),
    "onto no model": (["full-k0-tied", "exported", "--overwrite"], "something else than a model"),
    "onto a file": (["full-k0-tied", "rows.jsonl", "--overwrite"], "is a file; give a folder"),
    "below a file": (["full-k0-tied", "rows.jsonl/out"], "cannot write to"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_and_nothing_is_touched(runs: Runs, mistake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments, sentence = MISTAKES[mistake]
    monkeypatch.chdir(runs.root)
    before = sorted(runs.root.rglob("*"))
    with pytest.raises(UserError, match=sentence):
        export(arguments)
    assert sorted(runs.root.rglob("*")) == before


def test_a_run_without_a_checkpoint_says_so(runs: Runs, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(runs.runs["full-k0-tied"].config.read_text())
    with pytest.raises(UserError, match="no checkpoint yet; give its train command again"):
        export([str(tmp_path), str(tmp_path / "out")])


def test_an_adapter_whose_last_checkpoint_is_gone_must_be_chosen(runs: Runs, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(runs.runs["lora-k2-tied"].root, run)
    shutil.rmtree(run / "checkpoints" / "checkpoint-24")
    with pytest.raises(UserError, match="kept no checkpoint of its last step 24; choose one with `--checkpoint`"):
        export([str(run), str(tmp_path / "out"), "--adapter"])
    assert export([str(run), str(tmp_path / "out"), "--adapter", "--checkpoint", "12"]) == 0
