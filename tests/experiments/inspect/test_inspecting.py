"""`llm-jepa inspect`: what it prints, what it refuses, and that it needs a config and no weights."""

import io
import logging
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from transformers import GPT2Config

from llm_jepa.cli import main
from llm_jepa.errors import UserError
from llm_jepa.experiments.experiment import NL_REGEX, Data, Evaluation, Experiment
from llm_jepa.experiments.inspect import inspecting
from llm_jepa.experiments.inspect.findings import Severity
from llm_jepa.experiments.inspect.inspecting import HELP, ModelShape, find, model_shape, segment_table, show, split_table
from llm_jepa.experiments.material import Examples, Material, prepare_material
from llm_jepa.model.load import ModelConfig
from llm_jepa.objective.jepa import JEPA
from llm_jepa.packing.layout import Layout
from llm_jepa.tasks.columns import Columns, to_example
from llm_jepa.tasks.nl_regex import splits
from llm_jepa.views.tokenize import Labels

CONFIG = """\
output: run
model:
  config: {model_type: llama, hidden_size: 32, intermediate_size: 64, num_hidden_layers: 2, num_attention_heads: 2}
data: {train: nl_regex, limit: 60, eval_limit: 10}
"""


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "run.yaml"
    path.write_text(CONFIG)
    return str(path)


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """The command line sets up the package's logger; other tests read it."""
    logger = logging.getLogger("llm_jepa")
    handlers, propagate = logger.handlers, logger.propagate
    yield
    logger.handlers, logger.propagate = handlers, propagate


@pytest.fixture(scope="module")
def embedded() -> Examples:
    made = splits(train=60, validation=10, test=10, seed=0)
    return Examples(made.train, made.validation, made.test)


LLAMA = {"model_type": "llama", "hidden_size": 32, "num_attention_heads": 2}


def experiment(*, model: ModelConfig | None = None, limit: int | None = None, **fields: Any) -> Experiment:
    data = fields.pop("data", Data(train=NL_REGEX, max_length=limit))
    return Experiment(output="run", model=model or ModelConfig(config=LLAMA), data=data, **fields)


def printed(run: Experiment, material: Material, *, shown: int = 1, **options: Any) -> str:
    console = Console(width=80, highlight=False, **options)
    with console.capture() as capture:
        show(console, run, material, shown=shown)
    return capture.get()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # jsonargparse's, of `instantiate_classes`
def test_the_command_shows_pictures_tables_and_findings(
    config: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["inspect", "--examples", "2", config, "--layout.k", "3"]) == 0
    output = capsys.readouterr().out
    assert "60 training, 10 validation, 10 test examples" in output
    assert output.count("nl_regex/train:") == 2
    for piece in ("<|user|>", "▲Enc(Text)", "[PRED 3]", "▲Pred→Code", "▲Enc(Code)", "Code alone", "▔▔▔"):
        assert piece in output
    assert "findings: none" in output
    assert "\x1b" not in output
    assert all(len(line) <= 80 for line in output.splitlines())
    assert os.listdir(tmp_path) == ["run.yaml"]


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["run.yaml", "--help"]])
def test_help_says_what_is_shown_and_what_the_exit_code_means(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", *arguments]) == 0
    assert capsys.readouterr().out == HELP
    assert "The exit code is 0 whatever is found" in HELP
    assert all(len(line) <= 80 for line in HELP.splitlines())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "inspect needs a config"),
        (["--examples"], "--examples is ''"),
        (["x.yaml", "--examples", "two"], "--examples is 'two'"),
        (["x.yaml", "--examples=-1"], "--examples is '-1'"),
        (["absent.yaml"], "absent.yaml"),
        (["--output", "o", "--data.train", "nl_regex", "--data.lmit", "3"], "lmit"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert said in error


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_terminal_without_the_signs_gets_question_marks(
    config: str, embedded: Examples, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii", write_through=True))
    monkeypatch.setattr(inspecting, "prepare_material", lambda run: prepare_material(run, embedded))
    assert main(["inspect", config, "--examples=1"]) == 0
    assert b"?Enc(Text)" in written.getvalue()


def test_the_tables_give_means_and_what_the_jepa_term_costs(embedded: Examples) -> None:
    run = experiment()
    material = prepare_material(run, embedded)
    lengths = [len(sample.sequences[0].ids) for sample in material.train]
    codes = [len(sample.views[1].ids) for sample in material.train]
    plain, extra = sum(lengths) / 60, 1 + sum(codes) / 60
    output = printed(run, material)
    assert f"the JEPA term costs {extra / plain:.0%} more tokens" in output
    assert f"+{extra:.1f}" in output
    table = split_table(material)
    row = [next(iter(column.cells)) for column in table.columns]
    share = (sum(codes) + 60) / sum(lengths)
    assert row == ["train", "60", f"{plain:.1f}", str(max(lengths)), f"{extra:.1f}", f"{share:.0%}"]
    distinct = len({example.answer for example in embedded.train})
    assert f"{distinct} of 60 predicted views are distinct" in output


def test_rows_of_their_own_cost_the_prefix_once_more(embedded: Examples) -> None:
    material = prepare_material(experiment(), embedded)
    prefix = sum(sample.views[0].end for sample in material.train) / 60
    table = segment_table(material.train, Layout(k=1), one_forward=False)
    assert list(table.columns[2].cells)[1] == f"{prefix + 1:.1f}"


def test_control_and_plain_arms_are_named(embedded: Examples) -> None:
    run = experiment(data=Data(train=NL_REGEX, shuffle_pairs=True), objective=JEPA(weight=0))
    output = printed(run, prepare_material(run, embedded), shown=0)
    assert "shuffled: this is the control arm" in output
    assert "plain: the trained sequences alone" in output
    assert "segment 0 " not in output


def test_marks_survive_without_colour_and_colour_is_added_to_them(embedded: Examples) -> None:
    run = experiment()
    material = prepare_material(run, embedded)
    coloured = printed(run, material, force_terminal=True, color_system="standard")
    plain = printed(run, material, force_terminal=True, no_color=True)
    assert "\x1b[1;32m▔" in coloured
    assert "\x1b[36m└Text─" in coloured
    assert "▔▔▔" in plain
    assert "└Text─" in plain


def test_the_embedded_data_are_clean(embedded: Examples) -> None:
    for run in (experiment(), experiment(layout=Layout(shared=False)), experiment(labels=Labels.all)):
        assert find(run, prepare_material(run, embedded)) == []


def test_findings_come_worst_first(embedded: Examples) -> None:
    run = experiment(limit=45, evaluation=Evaluation(max_new_tokens=4), labels=Labels.official)
    leaking = replace(embedded, test=embedded.train, train=(*embedded.train, embedded.train[0]))
    material = prepare_material(run, leaking)
    material.tokenizer.tokenizer.pad_token = "<|end|>"
    material = replace(material, train=list(material.tokenizer.samples(leaking.train)))
    found = find(run, material)
    assert [finding.severity for finding in found] == [Severity.error, *[Severity.warning] * 3, Severity.note]
    for finding, start in zip(found, ("Stop", "Longer", "Also in train", "Answers longer", "Whole"), strict=True):
        assert finding.text.startswith(start)
    output = printed(run, material)
    assert "findings: 1 error, 3 warnings, 1 note" in output


def test_a_model_too_small_for_the_tokenizer_or_the_data_is_an_error(embedded: Examples) -> None:
    small = ModelConfig(config={**LLAMA, "vocab_size": 300, "max_position_embeddings": 40})
    run = experiment(model=small, evaluation=Evaluation(max_new_tokens=30))
    texts = " ".join(finding.text for finding in find(run, prepare_material(run, embedded)))
    assert "the model only 300" in texts
    assert "Longer than 40 tokens (the model's positions)" in texts
    assert "no room for evaluation.max_new_tokens (30) in 40 positions: 10 of 10 test examples" in texts


def test_the_shape_of_a_model_is_read_from_its_config_alone(tmp_path: Path) -> None:
    def random(**fields: Any) -> ModelShape:
        return model_shape(ModelConfig(config=fields))

    GPT2Config(n_positions=77, vocab_size=99).save_pretrained(tmp_path)
    assert model_shape(ModelConfig(name=str(tmp_path))) == ModelShape(77, 99)
    assert random(model_type="llama") == ModelShape(2048, None)
    assert random(model_type="llama", vocab_size=50, max_position_embeddings=9) == ModelShape(9, 50)
    assert random(model_type="bloom") == ModelShape(None, None)
    assert model_shape(ModelConfig(name="weights.gguf")) == ModelShape()
    for wrong in ({"model_type": "lama"}, {"model_type": "llama", "hidden_size": "x"}):
        with pytest.raises(UserError, match="the model's config cannot be read"):
            model_shape(ModelConfig(config=wrong))
    with pytest.raises(UserError, match="the model's config cannot be read"):
        model_shape(ModelConfig(name=str(tmp_path / "absent")))


@pytest.mark.parametrize("data", ["nl_rx_synth", "spider"])
@pytest.mark.parametrize("name", ["qwen3", "llama-3.1"])
def test_real_data_and_tokenizers_are_shown_in_80_columns(
    name: str, data: str, shared: Path, real_rows: Callable[..., Any]
) -> None:
    folder = shared / "tokenizers" / name
    if not folder.exists():
        pytest.skip(f"{folder} is not on this machine")
    run = experiment(model=ModelConfig(config=LLAMA, tokenizer=str(folder)))
    parts = [
        tuple(to_example(row, name=f"{split}:{index}", columns=Columns()) for index, row in enumerate(rows))
        for split in ("train", "test")
        if (rows := real_rows(f"{data}_{split}", 50))
    ]
    material = prepare_material(run, Examples(parts[0], (), parts[1]))
    output = printed(run, material, shown=3)
    assert "▲Enc(Text)" in output or "Enc(Text)▲" in output
    assert all(finding.severity is not Severity.error for finding in find(run, material))


def test_groups_of_paraphrases_are_shown_view_by_view(shared: Path, real_rows: Callable[..., Any]) -> None:
    run = experiment(model=ModelConfig(config=LLAMA, tokenizer=str(shared / "tokenizers" / "qwen3")))
    rows = real_rows("paraphrase_flickr8k", 30)
    train = tuple(to_example(row, name=f"train:{index}", columns=Columns()) for index, row in enumerate(rows))
    output = printed(run, prepare_material(run, Examples(train, (), ())))
    assert "trained sequence of View 5" in output
    assert "▲Pred→View 5" in output
