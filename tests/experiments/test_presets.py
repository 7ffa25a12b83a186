"""Presets are sets of options: what they set, who wins, and that a run folder needs them no more."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from tests.experiments.small_runs import ROWS, write_base, write_rows
from tests.helpers import CHATML, text_code, word_tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer

from llm_jepa.errors import UserError
from llm_jepa.experiments.config import dump_experiment, load_experiment, parse_experiment
from llm_jepa.experiments.files import RunFolder
from llm_jepa.experiments.inspect.token_view import Pieces, segments
from llm_jepa.experiments.presets import OPTIONS, Preset
from llm_jepa.experiments.run import run_experiment
from llm_jepa.objective.jepa import Scope
from llm_jepa.packing.layout import Layout
from llm_jepa.views.predictor import Predictor, PredictorTokens, add_predictor_tokens
from llm_jepa.views.tokenize import Labels, Tokenizer

FIDELITY = Path(__file__).parents[2] / "docs" / "fidelity.md"
LLAMA = "meta-llama/Llama-3.2-1B-Instruct"


def parse(*options: str, name: str = LLAMA, preset: str = "paper_code") -> Any:
    source = ("--output", "out", "--data.train", "rows.jsonl", "--model.name", name)
    return parse_experiment([*source, "--preset", preset, "--training.use_cpu", "true", *options])


@pytest.mark.parametrize(
    ("name", "last_token"),
    [
        ("meta-llama/Llama-3.2-1B-Instruct", -2),
        ("meta-llama/Llama-3.1-8B-Instruct", -2),
        ("google/gemma-2-2b-it", -2),
        ("apple/OpenELM-1_1B-Instruct", -4),
        ("allenai/OLMo-2-0425-1B-Instruct", -1),
        ("Qwen/Qwen3-1.7B", -3),
        ("deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B", -1),
    ],
)
def test_every_model_of_the_paper_is_read_where_the_official_code_reads_it(name, last_token):
    assert parse(name=name).layout.last_token == last_token


def test_the_options_of_paper_code():
    found = parse()
    assert found.labels is Labels.official
    assert (found.layout.shared, found.layout.framed, found.layout.k) == (False, True, 1)
    assert (found.model.add_bos, found.model.whole_rendering) == (True, True)
    assert (found.model.predictor, found.model.dtype, found.model.lora) == (Predictor.vocabulary, "bfloat16", None)
    objective = found.objective
    assert (objective.normalization, objective.dropout_scope) == (Scope.micro_batch, Scope.micro_batch)
    assert objective.all_ranks is False
    assert found.data.max_length == 512
    arguments = found.training_arguments("out")
    assert (arguments.per_device_train_batch_size, arguments.gradient_accumulation_steps) == (4, 4)
    assert (arguments.bf16, arguments.dataloader_drop_last, arguments.learning_rate) == (True, True, 2e-5)
    assert (arguments.num_train_epochs, arguments.lr_scheduler_type) == (4, "linear")


def test_a_template_that_the_family_lends_has_the_bos_already(tmp_path):
    own = tmp_path / "own.jinja"
    assert parse(name="apple/OpenELM-1_1B-Instruct").model.add_bos is False
    assert parse("--model.template", str(own), name="apple/OpenELM-1_1B-Instruct").model.add_bos is True


def test_what_is_given_wins_over_the_preset(tmp_path):
    config = tmp_path / "run.yaml"
    config.write_text(
        "preset: paper_code\nlabels: all\ntraining: {bf16: false, max_steps: 7}\nmodel: {add_bos: false}\n"
        "objective: {normalization: step, weight: 2.0, distance: InfoNCE}\ndata: {max_length: 64}\n"
    )
    found = parse_experiment(
        [
            *("--config", str(config), "--output", "out", "--data.train", "rows.jsonl", "--model.name", LLAMA),
            *("--layout.last_token", "-1", "--training.gradient_accumulation_steps", "2"),
        ]
    )
    assert (found.labels, found.layout.last_token, found.model.add_bos) == (Labels.all, -1, False)
    assert (found.objective.normalization, found.objective.weight, found.data.max_length) == (Scope.step, 2.0, 64)
    assert found.objective.all_ranks is False  # the others are the preset's
    assert found.model.predictor is Predictor.vocabulary
    assert found.training == {
        "bf16": False,
        "max_steps": 7,
        "gradient_accumulation_steps": 2,
        "per_device_train_batch_size": 4,
        "dataloader_drop_last": True,
    }


def test_adapters_have_the_official_dropout_where_there_are_any():
    assert parse("--model.lora.rank", "16").model.lora.dropout == 0.1
    assert parse("--model.lora.rank", "16", "--model.lora.dropout", "0.0").model.lora.dropout == 0.0
    assert parse("--model.lora.rank", "16", preset="correct").model.lora.dropout == 0.0


def test_correct_is_the_default():
    source = ["--output", "out", "--data.train", "rows.jsonl", "--model.name", LLAMA, "--training.use_cpu", "true"]
    assert parse(preset="correct") == parse_experiment(source)
    assert OPTIONS[Preset.correct] == {}


def test_the_resolved_config_lists_the_options_and_needs_no_preset():
    found = parse("--layout.k", "2", "--model.lora.rank", "8", "--objective.distance", "L2")
    text = dump_experiment(found)
    assert "preset" not in text
    assert load_experiment(text) == found
    assert yaml.safe_load(text)["layout"]["last_token"] == -2


def test_a_model_of_an_unknown_family_needs_a_reading_position():
    with pytest.raises(UserError, match=r"^preset paper_code: .* no reading position for gpt2; set layout.last_token,"):
        parse(name="gpt2")
    assert parse("--layout.last_token", "-1", name="gpt2").layout.last_token == -1


def test_random_weights_are_known_by_their_tokenizer():
    source = ["--output", "out", "--data.train", "rows.jsonl", "--preset", "paper_code"]
    source += ["--model.config", '{"model_type": "llama"}']
    found = parse_experiment([*source, "--model.tokenizer", LLAMA])
    assert found.layout.last_token == -2
    with pytest.raises(UserError, match=r"^preset paper_code: .* no reading position for this model; set layout.last_token"):
        parse_experiment(source)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--preset", "paper"), r"^config: preset: it is one of correct, paper_code, got: paper$"),
        (("--presets", "paper_code"), r"^config: there is no field 'presets'; did you mean 'preset'\?$"),
        (("--layout.shared", "true"), r"last_token counts in framed views of their own"),
    ],
)
def test_mistakes_are_one_sentence(options, sentence):
    with pytest.raises(UserError, match=sentence):
        parse(*options)


def test_every_option_has_a_row_in_the_ledger():
    text = FIDELITY.read_text(encoding="utf-8")
    assert [path for path in OPTIONS[Preset.paper_code] if f"`{path}" not in text] == []


def test_a_run_by_the_preset_leaves_a_plain_model(tmp_path):
    rows = write_rows(tmp_path / "rows.jsonl", ROWS * 4)
    base = write_base(tmp_path / "smollm2-tiny")
    described = parse(
        *("--output", str(tmp_path / "run"), "--data.train", str(rows), "--data.test", str(rows)),
        *("--training.max_steps", "2", "--training.save_strategy", "no", "--data.max_length", "64"),
        *("--evaluation.max_new_tokens", "4", "--layout.k", "2"),
        name=str(base),
    )
    run = run_experiment(described)
    assert load_experiment(run.config.read_text()) == described
    model, tokenizer = AutoModelForCausalLM.from_pretrained(run.model), AutoTokenizer.from_pretrained(run.model)
    assert model.get_input_embeddings().num_embeddings == len(tokenizer) == len(AutoTokenizer.from_pretrained(base)) + 14
    assert model.dtype is torch.bfloat16
    results = json.loads(RunFolder(tmp_path / "run").results.read_text())
    assert (results["k"], results["steps"]) == (2, 2)
    assert results["effective_rank"] > 1


@pytest.mark.parametrize(
    ("last_token", "prepend", "expected"),
    [
        (-2, False, ["a", "dog"]),  # read at the stop token behind the [PRED] token
        (-5, False, ["a"]),  # read inside the view: what stands behind is not encoded
        (-1, True, ["a", "dog"]),
    ],
)
def test_inspect_shows_where_a_counted_view_lies(last_token, prepend, expected):
    words = word_tokenizer()
    words.chat_template = CHATML.replace("'<|im_end|>' + '\n'", "'<|im_end|>' + ' lines\n'")
    add_predictor_tokens(words)
    made = Tokenizer(words, framed=True, predictor=PredictorTokens(k=1, prepend=prepend))
    (sample,) = made.samples([text_code(user="a dog")])
    layout = Layout(k=1, shared=False, framed=True, prepend=prepend, last_token=last_token)
    shown = segments(sample, layout, Pieces(words))[1].cells
    assert [cell.text.strip("· ") for cell in shown if cell.view == 0] == expected
    assert [index for index, cell in enumerate(shown) if cell.reads] == [len(shown) - 1]
