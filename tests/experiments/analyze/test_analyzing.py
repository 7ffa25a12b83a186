"""`llm-jepa analyze` from outside: what is read, what is written, and which mistakes are one sentence."""

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.experiments.small_runs import ROWS, experiment, restored_logging, write_base, write_rows

from llm_jepa.analysis.structure import Reading
from llm_jepa.errors import UserError
from llm_jepa.experiments import run as running
from llm_jepa.experiments.analyze.analyzing import analyze
from llm_jepa.experiments.analyze.reading import paired, read, read_pairs
from llm_jepa.experiments.experiment import Experiment
from llm_jepa.experiments.material import prepare_material
from llm_jepa.experiments.results.run_records import read_run
from llm_jepa.experiments.show import QUIET
from llm_jepa.experiments.subjects import subjects
from llm_jepa.model.load import LoRA, ModelConfig
from llm_jepa.objective.jepa import JEPA
from llm_jepa.packing.layout import Layout
from llm_jepa.tasks.files import read_examples
from llm_jepa.training.trainer import JEPATrainer
from llm_jepa.views.pairs import Direction
from llm_jepa.views.predictor import Predictor

DOCS = Path(__file__).resolve().parents[3] / "docs" / "analysis.md"
WORDS = ["lines", "with", "a", "number", "or", "the", "word", "dog", "before", "every", "vowel"]
MORE = [
    *ROWS,
    *({"text": f"{one} {other} dog", "code": f". * {one} | {other}"} for one in WORDS[:4] for other in WORDS[4:]),
]


def train(described: Experiment) -> JEPATrainer:
    """Run an experiment and return what trained it."""
    made: list[JEPATrainer] = []
    make = running.make_trainer

    def kept(*arguments: Any, **options: Any) -> Any:
        trainer, stop = make(*arguments, **options)
        made.append(trainer)
        return trainer, stop

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running, "make_trainer", kept)
        running.run_experiment(described)
    return made[0]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a plain and a JEPA run, their base model, and data."""
    root = tmp_path_factory.mktemp("analyzing")
    rows = write_rows(root / "rows.jsonl", MORE)
    write_base(root / "base")
    described = experiment(root / "runs" / "jepa", rows, ModelConfig(name=str(root / "base")), k=2, save_strategy="no")
    train(described)
    train(replace(described, output=str(root / "runs" / "plain"), objective=JEPA(weight=0)))
    with restored_logging():
        yield root


@pytest.fixture(autouse=True)
def here(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder of its own."""
    shutil.copytree(home / "runs", tmp_path / "runs")
    for name in ("base", "rows.jsonl"):
        (tmp_path / name).symlink_to(home / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def result(folder: str = "runs/analysis") -> dict[str, Any]:
    return json.loads((Path(folder) / "analysis.json").read_text())


VARIANTS: dict[str, dict[str, Any]] = {
    "slots": {},
    "no slots": {"layout": Layout(k=0)},
    "slots before the view": {"layout": Layout(k=2, prepend=True)},
    "the other direction": {"layout": Layout(k=1, direction=Direction.code_to_text)},
    "tokens of the vocabulary": {"predictor": Predictor.vocabulary, "layout": Layout(k=2, shared=False, framed=True)},
    "adapters": {"lora": LoRA(rank=2)},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_embeddings_of_the_folder_are_those_of_the_model_in_memory(variant: str, here: Path) -> None:
    changes = dict(VARIANTS[variant])
    layout = changes.pop("layout", Layout(k=3))
    described = experiment(here / "mine", here / "rows.jsonl", ModelConfig(name="base", **changes), max_steps=2)
    described = replace(described, layout=layout)
    trainer = train(described)
    samples = prepare_material(described).test
    expected = read_pairs(trainer.trained, samples, layout, batch_size=4, one_forward=True)
    (found,) = read(subjects(["mine"]), read_examples("rows.jsonl"), batch_size=4, show=QUIET)
    for name in ("text", "code", "predicted", "target"):
        mine, other = getattr(found.reading, name), getattr(expected, name)
        assert (mine is None) == (other is None)
        assert mine is None or torch.equal(mine, other)
    assert (found.reading.predicted is None) == (layout.k == 0)


def test_text_and_code_keep_their_places_whatever_predicts_which(here: Path) -> None:
    base = experiment(here / "mine", here / "rows.jsonl", ModelConfig(name="base"), max_steps=1)
    trainer = train(base)
    samples = prepare_material(base).test
    settings = {"batch_size": 4, "one_forward": True}
    readings: list[Reading] = [
        read_pairs(trainer.trained, samples, Layout(k=1, direction=direction), **settings) for direction in Direction
    ]
    one, other = readings
    assert torch.allclose(one.text, other.text, atol=1e-5)
    assert torch.allclose(one.code, other.code, atol=1e-5)
    assert one.target is not None
    assert other.target is not None
    assert torch.allclose(one.target, one.code, atol=1e-5)
    assert torch.allclose(other.target, other.text, atol=1e-5)


def test_the_numbers_are_those_that_the_run_itself_measured(here: Path) -> None:
    assert analyze(["runs/plain", "runs/jepa", "--no_tsne"]) == 0
    for model in result()["models"]:
        own = json.loads((here / model["model"] / "results.json").read_text())
        for name in ("cosine_matched", "cosine_shuffled", "cosine_gap"):
            assert model["predicted"][name] == pytest.approx(own[name], abs=1e-5)
        assert model["predicted"]["retrieval"]["prediction_to_target"]["at_1"] == pytest.approx(own["retrieval_at_1"])
        assert model["views"]["code"]["effective_rank"] == pytest.approx(own["effective_rank"], rel=1e-4)


def test_a_comparison_has_page_figures_and_numbers_and_each_run_its_own(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert analyze(["base", "runs/plain", "runs/jepa"]) == 0
    found = result()
    assert [model["label"] for model in found["models"]] == ["base", "plain", "jepa"]
    assert [model["k"] for model in found["models"]] == [0, 2, 2]
    assert found["models"][0]["cka"] is None
    assert 0 <= found["models"][1]["cka"]["text"] <= 1
    assert len(found["models"][0]["tsne"]["text"]) == found["rows"]["pairs"] == len(MORE)
    assert found["remarks"][0].startswith("base: no run, so it has no [PRED] tokens")
    figures = {path.stem for path in Path("runs/analysis/analysis-figures").iterdir()}
    common = {"spectrum", "spectrum-relative", "retrieval", "gap", "next-token", "jepa"}
    assert figures == common | {"tsne-1", "tsne-2", "tsne-3"}
    page = Path("runs/analysis/analysis.html").read_text()
    assert found["headline"] in page.replace("\u00a0", " ")
    assert "http" not in re.sub(r'xmlns(:\w+)?="[^"]*"|http-equiv', "", page)
    assert "Least-squares error" in capsys.readouterr().out
    summary = read_run(here / "runs" / "jepa" / "results.json")
    assert summary.analysis is not None
    assert summary.analysis.mean_top_100 == found["models"][2]["mean_top_100"]
    assert len(summary.analysis.text) == len(MORE)


def test_the_same_command_gives_the_same_bytes(here: Path) -> None:
    files = ("analysis.html", "analysis.md", "analysis.json", "analysis-figures/tsne-1.svg", "../jepa/analysis.json")
    written: list[list[bytes]] = []
    for _ in range(2):
        analyze(["runs/plain", "runs/jepa"])
        written.append([(Path("runs/analysis") / name).read_bytes() for name in files])
    assert written[0] == written[1]


def test_figures_of_an_earlier_analysis_do_not_stay() -> None:
    analyze(["runs/plain", "runs/jepa", "--output", "out"])
    analyze(["runs/plain", "--no_tsne", "--output", "out"])
    assert not list(Path("out/analysis-figures").glob("tsne*"))
    (model,) = result("out")["models"]
    assert model["label"] == "runs/plain"


def test_one_untrained_model_on_any_data_is_analysed(here: Path) -> None:
    assert analyze(["base", "--data", "rows.jsonl", "--limit", "20"]) == 0
    found = result("analysis")
    (model,) = found["models"]
    assert (model["pairs"], model["predicted"]) == (20, None)
    assert model["cka"] is None
    assert not Path("analysis/analysis-figures/jepa.svg").exists()
    assert not (here / "base" / "analysis.json").exists()


def test_a_run_without_its_slots_is_read_without_them(here: Path) -> None:
    (here / "runs" / "jepa" / "predictor.safetensors").unlink()
    analyze(["runs/jepa", "--no_tsne"])
    found = result()
    assert found["models"][0]["k"] == 0
    assert "its folder has no predictor.safetensors" in found["remarks"][0]


def test_an_example_too_long_for_one_model_is_left_out_for_all(here: Path) -> None:
    write_rows(here / "long.jsonl", [*MORE, {"text": "dog " * 300, "code": "dog"}])
    analyze(["runs/plain", "runs/jepa", "--data", "long.jsonl", "--no_tsne"])
    found = result()
    assert (found["rows"]["pairs"], found["rows"]["left_out"]) == (len(MORE), 1)
    assert "1 pair did not fit" in found["remarks"][0]


def test_groups_of_views_have_a_pair_for_every_two_neighbours(here: Path) -> None:
    lines = [{"paraphrases": ["lines with a dog", f"a {word}", "the dog"]} for word in WORDS]
    (here / "groups.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    analyze(["base", "--data", "groups.jsonl", "--no_tsne", "--limit", "9"])
    assert result("analysis")["rows"]["pairs"] == 8


HOSTILE = "a<script>alert(1)</script>&|`_$x"


def test_hostile_names_harm_no_page(here: Path) -> None:
    (here / "b").mkdir()
    target = here / "b" / HOSTILE.replace("/", "-")
    (here / "runs" / "jepa").rename(target)
    analyze([str(target.relative_to(here)), "runs/plain", "--output", "out"])
    page = Path("out/analysis.html").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "<script" not in Path("out/analysis.md").read_text().replace("\\<script", "")


def keys(value: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, item in value.items():
        if isinstance(item, dict) and prefix + name not in WHOLE:
            yield from keys(item, f"{prefix}{name}.")
        else:
            yield prefix + name


WHOLE = {"environment", "predicted", "retrieval.code_to_text", "views.code", "views.prediction"}
"""Keys that the document explains as one."""


def test_every_key_is_documented_and_nothing_else(here: Path) -> None:
    analyze(["runs/plain", "runs/jepa"])
    found = result()
    documented = re.findall(r"^\| `([\w.]+)`( †)? \| [^|]+ \| [^|]+ \|$", DOCS.read_text(), flags=re.MULTILINE)
    comparison = {*keys({name: item for name, item in found.items() if name != "models"}), *keys(found["models"][1])}
    assert comparison == {name for name, _ in documented}
    own = json.loads((here / "runs" / "jepa" / "analysis.json").read_text())
    assert set(keys(own)) == {name for name, mark in documented if not mark}
    relation = {"singular_values", "relative_singular_values", "retrieval"}
    assert relation < set(own["predicted"]) < set(own)


MISTAKES = {
    "nothing": ("", "models is missing; give it"),
    "twice": ("runs/plain runs/plain", "'runs/plain' is given twice"),
    "no such path": ("./nowhere --data rows.jsonl", "there is nothing at './nowhere'; give a run's folder"),
    "no such run": ("runs/plain runs/jepq", "there is nothing at 'runs/jepq'; give a run's folder"),
    "no such folder": ("jepq", "there is no folder 'jepq'; give a run's folder, or, if it is a model on the hub, name data"),
    "no data": ("base", "there is no run among the models, whose test data could be taken; name data with `--data`"),
    "no such data": ("runs/plain --data nowhere.jsonl", "no such file"),
    "no such split": (
        "runs/plain --split validation",
        "the first run has no 'validation' data; it has test, or give `--data`",
    ),
    "a split of a file": ("runs/plain --data rows.jsonl --split x", "leave it out"),
    "one pair": ("runs/plain --data pair.jsonl", "the data have a single pair"),
    "no number": ("runs/plain --limit x", "'x' is no whole number of at least 1"),
    "foreign output": ("runs/plain --output base", "is not empty and holds no analysis"),
    "output is a file": ("runs/plain --output rows.jsonl", "is a file; give a folder with `--output`"),
    "onto the run": ("runs/plain --output runs/plain", "is not empty and holds no analysis"),
    "unfinished": ("unfinished", "is not finished and has no model yet; give its train command again"),
    "an option too much": ("runs/plain --k 3", "unrecognized arguments: --k"),
    "all too long": ("runs/plain --data long.jsonl", "every example is longer than the 256 tokens of context"),
    "other slots": ("runs/broken", "holds [PRED] slots of size"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_sentence(here: Path, mistake: str) -> None:
    write_rows(here / "pair.jsonl", ROWS[:1])
    write_rows(here / "long.jsonl", [{"text": "dog " * 300, "code": f"dog {i}"} for i in range(3)])
    (here / "unfinished").mkdir()
    shutil.copy("runs/plain/config.yaml", "unfinished")
    shutil.copytree("runs/plain", "runs/broken")
    config = Path("runs/broken/config.yaml")
    config.write_text(config.read_text().replace("k: 2", "k: 1"))
    command, sentence = MISTAKES[mistake]
    with pytest.raises(UserError, match=re.escape(sentence)):
        analyze(command.split())
    assert not Path("runs/analysis").exists()


def test_a_diverged_model_is_named(here: Path) -> None:
    from safetensors.torch import load_file, save_file

    path = here / "runs" / "jepa" / "model" / "model.safetensors"
    weights = load_file(path)
    weights["model.norm.weight"].fill_(float("nan"))
    save_file(weights, path, metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"runs/jepa: \d+ of \d+ embeddings are not finite; the model has diverged"):
        analyze(["runs/plain", "runs/jepa"])


def test_help_lists_the_options_and_few(capsys: pytest.CaptureFixture[str]) -> None:
    assert analyze(["--help"]) == 0
    options = re.findall(r"^  (--\w+)", capsys.readouterr().out, flags=re.MULTILINE)
    assert set(options) == set(re.findall(r"^\| `(--\w+)`", DOCS.read_text(), flags=re.MULTILINE))
    assert len(options) == 8


def test_pairs_are_drawn_from_all_over(here: Path) -> None:
    examples = read_examples("rows.jsonl")
    found = paired(examples, limit=10)
    assert len(found) == 10
    assert [example.name for example in found] != [example.name for example in examples[:10]]


def test_examples_with_one_view_are_passed_over_and_need_others_beside_them(here: Path) -> None:
    two, *rest = read_examples("rows.jsonl")
    lonely = [replace(example, views=example.views[:1]) for example in rest]
    with pytest.raises(UserError, match="no example of the data has two views, so there is nothing to compare"):
        paired(lonely, limit=5)
    assert paired([lonely[0], two, lonely[1], rest[2]], limit=5) == (two, rest[2])
