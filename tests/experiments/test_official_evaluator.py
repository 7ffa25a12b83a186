"""Faults of the official evaluation that this one must never have (docs/fidelity.md); a test or two for each.

That it fails at 0 % and at 100 % is in test_scores.py.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.experiments.small_runs import SIZES, restored_logging, write_rows
from tests.experiments.small_tasks import ending_row, write_lines
from tests.helpers import word_tokenizer
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

from llm_jepa.evaluation.evaluate import PREDICTIONS, read_predictions
from llm_jepa.experiments.evaluating import evaluate
from llm_jepa.experiments.evaluation_folder import RESULT

CONFIGURED = "every"
"""A word that the model's generation config calls a stop token, and neither its tokenizer nor its template does."""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Work in a folder with a tiny model that has room for long prompts and a stop token of its own."""
    tokenizer = word_tokenizer()
    tokenizer.add_special_tokens({"eos_token": "<|endoftext|>"})
    torch.manual_seed(0)
    sizes: dict[str, Any] = SIZES | {"max_position_embeddings": 1024}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), **sizes))
    model.generation_config = GenerationConfig(eos_token_id=tokenizer.convert_tokens_to_ids(CONFIGURED))
    model.save_pretrained(tmp_path / "base")
    tokenizer.save_pretrained(tmp_path / "base")
    monkeypatch.chdir(tmp_path)
    with restored_logging():
        yield tmp_path


def rows_read(arguments: list[str]) -> list[tuple[int, int]]:
    """Run the command and return the shapes (rows, tokens) of the prompts that the model reads."""
    shapes: list[tuple[int, int]] = []
    real = LlamaForCausalLM.forward

    def forward(self: Any, *given: Any, **options: Any) -> Any:
        shapes.append(tuple(options["input_ids"].shape))
        return real(self, *given, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LlamaForCausalLM, "forward", forward)
        assert evaluate(arguments) == 0
    return [(rows, tokens) for rows, tokens in shapes if tokens > 1]


def test_hellaswags_prompts_are_read_to_their_end() -> None:
    """The official code cuts them to 128 tokens, so that it asks without the endings."""
    row = ending_row(0, words=60)
    write_lines(Path("one/hellaswag_test.jsonl"), [row])
    changed = json.loads(json.dumps(row).replace("D) lines", "D) number"))
    write_lines(Path("other/hellaswag_test.jsonl"), [changed])
    found = []
    for folder in ("one", "other"):
        shapes = rows_read(["base", "hellaswag", "--folder", folder, "--output", f"{folder}/out"])
        assert max(tokens for _, tokens in shapes) > 256
        (prediction,) = read_predictions(Path(folder, "out", PREDICTIONS))
        found.append(prediction.likelihoods)
    assert changed != row
    assert found[0]["letter A"] != found[1]["letter A"]
    assert found[0]["ending A"] == found[1]["ending A"]


def test_all_stop_tokens_count_and_none_overrides_another() -> None:
    """The official code replaces those of the generation config, so that Gemma never stops at its end of turn."""
    write_rows(Path("rows.jsonl"))
    evaluate(["base", "rows.jsonl", "--max_new_tokens", "2"])
    tokenizer = word_tokenizer()
    tokenizer.add_special_tokens({"eos_token": "<|endoftext|>"})
    ids = tokenizer.get_vocab()
    expected = sorted(ids[word] for word in ("<|im_end|>", "<|endoftext|>", CONFIGURED))
    assert json.loads(Path("evaluation-base-rows", RESULT).read_text())["stop_ids"] == expected


def test_what_is_there_is_skipped_and_what_is_missing_is_not() -> None:
    """The official code has it the other way round."""
    write_rows(Path("rows.jsonl"))
    command = ["base", "rows.jsonl", "--max_new_tokens", "2", "--batch_size", "1"]
    assert len(rows_read(command)) == 4
    assert rows_read(command) == []
    folder = Path("evaluation-base-rows")
    whole = (folder / PREDICTIONS).read_bytes()
    (folder / RESULT).unlink()
    (folder / PREDICTIONS).write_bytes(b"".join(whole.splitlines(keepends=True)[:3]))
    assert len(rows_read(command)) == 1
    assert (folder / PREDICTIONS).read_bytes() == whole


def test_answers_are_made_together() -> None:
    """The official code asks one prompt at a time."""
    write_rows(Path("rows.jsonl"))
    # What all four prompts begin with is read once before.
    assert [rows for rows, _ in rows_read(["base", "rows.jsonl", "--max_new_tokens", "2"])] == [1, 4]
