"""The README says what is so: its snippets run, its map is complete, its links and commands exist."""

import importlib.util
import json
import re
import tomllib
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from llm_jepa.cli import VERBS, main
from llm_jepa.experiments.commands import config_first
from llm_jepa.experiments.config import parse_experiment
from llm_jepa.experiments.run import run_experiment
from llm_jepa.model.load import ModelConfig, load_model, load_tokenizer

PROJECT = Path(__file__).resolve().parents[1]
PAGES = sorted([PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", *(PROJECT / "docs").glob("*.md")])
PLACEHOLDER = "HuggingFaceTB/SmolLM2-135M-Instruct"
ROWS = [{"text": f"the number {number}", "code": f"{number}[0-9]"} for number in range(6)]

pytestmark = [
    pytest.mark.filterwarnings("ignore:'pin_memory' argument:UserWarning"),  # torch's, where there is no accelerator
    pytest.mark.filterwarnings("ignore::jsonargparse._deprecated.JsonargparseDeprecationWarning"),  # renamed in 4.49
]


def named(page: Path) -> str:
    return page.relative_to(PROJECT).as_posix()


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder as the hub would give it."""
    folder = tmp_path_factory.mktemp("tiny")
    shape = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = ModelConfig(config={"model_type": "llama", "max_position_embeddings": 128, **shape}, vocabulary=280)
    tokenizer = load_tokenizer(config, texts=[text for row in ROWS for text in row.values()])
    load_model(config, tokenizer, seed=0).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def write_data(folder: Path) -> None:
    lines = "".join(json.dumps(row) + "\n" for row in ROWS)
    for name in ("train.jsonl", "test.jsonl", "validation.jsonl"):
        (folder / name).write_text(lines, encoding="utf-8")


def test_the_python_snippet_trains_and_exports(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = blocks(PROJECT / "README.md", "python")
    assert PLACEHOLDER in code
    assert len([line for line in code.splitlines() if line]) <= 12
    write_data(tmp_path)
    monkeypatch.chdir(tmp_path)
    exec(compile(code.replace(PLACEHOLDER, str(tiny)), "README.md", "exec"), {})
    model = AutoModelForCausalLM.from_pretrained("model")
    assert not [name for name, _ in model.named_parameters() if "predictor" in name]
    tokenizer = AutoTokenizer.from_pretrained("model")
    assert tokenizer.chat_template
    assert model.generation_config.eos_token_id == [tokenizer.eos_token_id]


@pytest.fixture(scope="module")
def run_folder(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of the README's YAML, two steps long, with a validation source besides."""
    folder = tmp_path_factory.mktemp("run")
    write_data(folder)
    (text,) = blocks(PROJECT / "README.md", "yaml")
    assert len(text.splitlines()) <= 10
    for placeholder, real in ((PLACEHOLDER, tiny), ("runs/mine", folder / "run")):
        assert placeholder in text
        text = text.replace(placeholder, str(real))
    for name in ("train.jsonl", "test.jsonl"):
        assert name in text
        text = text.replace(name, str(folder / name))
    (folder / "mine.yaml").write_text(text, encoding="utf-8")
    options = ["--training.max_steps", "2", "--training.logging_steps", "1", "--training.use_cpu", "true"]
    options += ["--training.eval_strategy", "steps", "--training.eval_steps", "2"]
    options += ["--data.validation", str(folder / "validation.jsonl"), "--evaluation.max_new_tokens", "3"]
    experiment = parse_experiment(config_first([str(folder / "mine.yaml"), *options]))
    assert experiment.objective.weight == 1.0
    return run_experiment(experiment).root


def test_the_yaml_snippet_trains(run_folder: Path) -> None:
    results = json.loads((run_folder / "results.json").read_text(encoding="utf-8"))
    assert (results["arm"], results["split"], results["steps"]) == ("jepa", "test", 2)


def test_the_map_names_every_package() -> None:
    source = PROJECT / "src/llm_jepa"
    packages = {path.parent.relative_to(source).as_posix() for path in source.glob("*/__init__.py")}
    block = next(text for text in blocks(PROJECT / "README.md", "text") if text.startswith("src/llm_jepa/\n"))
    entries = {line.split()[0].rstrip("/") for line in block.splitlines()[1:]}
    assert packages <= entries
    assert all((source / entry).exists() for entry in entries)


def test_the_page_of_all_files_is_up_to_date() -> None:
    spec = importlib.util.spec_from_file_location("write_map", PROJECT / "tools/write_map.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (PROJECT / "docs/map.md").read_text(encoding="utf-8") == module.page(), "run `make map`"


def slugs(page: Path) -> set[str]:
    """The anchors that GitHub makes of a page's headings."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]*)\)", page.read_text(encoding="utf-8"))
    for target, _, anchor in (link.partition("#") for link in links if "://" not in link):
        other = (page.parent / target).resolve() if target else page
        assert other.exists(), target
        assert not anchor or anchor in slugs(other), f"{target}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_path_that_is_named_exists(page: Path) -> None:
    roots = (PROJECT, PROJECT / "src/llm_jepa", PROJECT / "tests", page.parent)
    paths = re.findall(r"`([a-z_]+(?:/[\w.-]+)*/?)`", page.read_text(encoding="utf-8"))
    own = ("src/", "tests/", "docs/", "benchmarks/", "examples/", "objective/", "training/")
    written = ("validation/", "model/", "checkpoints/")  # by a run
    for path in {path for path in paths if path.startswith(own) and path not in written}:
        assert any((root / path).exists() for root in roots), path


def commands(page: Path) -> list[str]:
    lines = [line.partition("  #")[0].strip() for text in blocks(page, "console") for line in text.splitlines()]
    inline = re.findall(r"`((?:make|llm-jepa|python -m|pip install) [^`]*)`", page.read_text(encoding="utf-8"))
    return [*filter(None, lines), *inline]


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_command_that_is_named_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    verbs = set(VERBS)
    extras = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    for command in commands(page):
        words = command.split()
        if words[0] == "make":
            assert words[1] in targets, command
        elif words[0] == "llm-jepa":
            assert words[1] in verbs | {"VERB"}, command
        elif words[:2] == ["pip", "install"]:
            assert set(re.findall(r"\[(\w+)\]", command)) <= set(extras), command
        elif words[:2] == ["python", "-m"]:
            place = (PROJECT / "src" if words[2] == "llm_jepa" else PROJECT) / words[2].replace(".", "/")
            assert place.with_suffix(".py").is_file() or (place / "__main__.py").is_file(), command
        else:
            assert words[0] in ("python", "torchrun", "accelerate"), command


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_option_in_a_command_exists(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in commands(page):
        words = command.split()
        options = [word.partition("=")[0] for word in words if word.startswith("--")]
        if words[0] == "llm-jepa" and options and words[1] != "demo":
            assert main([words[1], "--help"]) == 0
            if words[1] in ("compare", "sweep", "preflight"):  # they take the fields of a config too
                assert main(["train", "--help"]) == 0
            known = capsys.readouterr().out + " --overwrite --training."
            free = [option for option in options if option.startswith(("--training.", "--objective."))]
            assert [option for option in options if option not in known and option not in free] == [], command


def test_the_places_for_results_are_marked() -> None:
    text = (PROJECT / "README.md").read_text(encoding="utf-8")
    for name in ("demo", "speed"):
        assert text.count(f"<!-- results:{name} -->") == text.count(f"<!-- /results:{name} -->") == 1
        assert text.index(f"<!-- results:{name} -->") < text.index(f"<!-- /results:{name} -->")
