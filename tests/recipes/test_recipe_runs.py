"""Every recipe runs: two steps of small models on a few rows, in one folder that all recipes share, and its page is made."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from tests.experiments.small_runs import restored_logging

from llm_jepa.experiments.pool import Job
from llm_jepa.experiments.presets import Preset
from llm_jepa.experiments.quiet import quiet_libraries
from llm_jepa.experiments.run import run_experiment
from llm_jepa.recipes import reproducing
from llm_jepa.recipes.beside import beside
from llm_jepa.recipes.examples import SideBySide
from llm_jepa.recipes.outcome import Outcome
from llm_jepa.recipes.plan import Plan
from llm_jepa.recipes.registry import RECIPES
from llm_jepa.recipes.reproducing import conclude, run_plan, unfinished
from llm_jepa.recipes.scales import Place, Tiny
from llm_jepa.training.deadline import NEVER

SMALL = Tiny(rows=8, test_rows=3, answer=2, steps=2)
ONLY: dict[str, tuple[str, ...]] = {
    "table-3": ("jepa", "l2-norm", "prepend", "infonce"),
    "table-8": ("plain rank 32", "jepa k1 weight 1 rank 512"),
    "table-10": ("jepa k0 weight 1 gamma 0", "jepa k0 weight 0.1"),
    "figure-7": ("jepa k1 weight 2",),
    "figure-9": ("jepa k3 weight 1024",),
}
"""Arms that are run; not named: those of the kind jepa."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning"),  # of two steps: nothing varies
]


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("reproduced")


@pytest.fixture(autouse=True)
def quiet():
    with restored_logging():
        quiet_libraries(Console(stderr=True))
        yield


def small_plan(name: str, root: Path, **options: Any) -> Plan:
    given = {"seeds": (82,), "presets": (Preset.correct,), **options}
    return Plan(recipe=RECIPES[name], scale=SMALL, place=Place(root=root), **given)


def make(plan: Plan) -> int:
    """Make the runs here, without a pool; return how many there were to make."""
    count = 0
    for stage in plan.stages():
        for job in unfinished(stage):
            run_experiment(job.experiment, arm=job.arm)
            count += 1
    return count


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_runs_two_steps(name, root):
    plan = small_plan(name, root, only=ONLY.get(name, ("jepa",)))
    make(plan)
    rows = beside(Outcome(plan))
    wanted = {arm.name for study in plan.chosen() for arm in plan.arms(study)}
    claims = [claim for study in plan.chosen() for claim in study.claims]
    assert len(rows) == len(claims)
    for row, claim in zip(rows, claims, strict=True):
        analysed = "accuracy" not in row.measure and "prefix" not in row.measure
        assert (row.n == 1) is (claim.arm in wanted and not analysed and "compute" not in claim.setting)


@pytest.fixture(scope="module")
def pages(root) -> Path:
    """The pages of Table 2 with two seeds and both presets."""
    plan = small_plan("table-2", root, presets=tuple(Preset), seeds=(82, 23))
    make(plan)
    page, _ = conclude(plan)
    return page.parent


def test_the_page_has_the_papers_number_ours_and_the_difference(pages):
    record = json.loads((pages / "paper.json").read_text(encoding="utf-8"))
    row = next(row for row in record["rows"] if row["preset"] == "paper_code" and row["setting"].startswith("LLM-JEPA"))
    assert (row["paper"], row["paper_mean"], row["n"]) == ("60.59 ± 1.01", 60.59, 2)
    shown = (pages / "paper.md").read_text(encoding="utf-8")
    difference = f"{row['ours'] - 60.59:+.2f}".replace("-", "−")
    assert f"| 60.59 ± 1.01 | {row['ours']:.2f} ± {row['deviation']:.2f} | {difference} | 2 |" in shown
    assert "**Scaled down: these numbers say that the recipe works, and nothing about the paper.**" in shown
    assert "Rows of NL-RX come from the embedded generator" in shown
    for preset in ("correct", "paper_code"):
        assert (pages / f"llama-3.2-1b-random-nl_rx_synth-8e-5-{preset}" / "report.html").is_file()


def test_the_page_needs_nothing_but_itself_and_every_p_has_its_n(pages):
    html = (pages / "paper.html").read_text(encoding="utf-8")
    assert re.findall(r"<(?:script|link|img|iframe)\b", html) == []
    assert re.findall(r"https?://", html) == []
    assert [address for address in re.findall(r'href="([^"]+)"', html) if not (pages / address).is_file()] == []
    text = re.sub(r"<[^>]+>|\s+", " ", html.replace("\u00a0", " "))
    told = re.findall(r"\bp [=<>] [\d.e-]+( \(\d+ seeds, (?:uncorrected|one comparison|Holm over \d+)\))?", text)
    assert told
    assert all(told)


def test_predictions_stand_side_by_side(root):
    plan = small_plan("table-1", root)
    make(plan)
    (extra,) = plan.recipe.extras
    (section,) = extra.sections(Outcome(plan))
    assert section.title == "Outputs, correct"
    assert section.columns == ("Text", "Truth", "plain", "jepa k1 weight 1", "shuffled k1 weight 1")
    assert section.text == ("None of the paper's texts is among the test rows here; the first rows stand for them.",)
    assert len(section.rows) == 3


def test_a_text_of_the_paper_is_found_among_the_test_rows(root):
    plan = small_plan("table-1", root)
    make(plan)
    folder = Outcome(plan).folders(plan.recipe.studies[0], Preset.correct, "plain")[0]
    line = json.loads((folder / "predictions.jsonl").read_text(encoding="utf-8").splitlines()[1])
    asked = line["prompt"].split("<|user|>")[1].split("<|assistant|>")[0]
    (section,) = SideBySide(texts=(asked, "nobody asked this")).sections(Outcome(plan))
    assert [row[:2] for row in section.rows] == [(asked, line["expected"])]


def test_pretrained_models_go_on_with_the_first_tokens_of_a_text(root):
    plan = small_plan("table-7", root)
    make(plan)
    page, _ = conclude(plan)
    shown = (page.parent / "paper.md").read_text(encoding="utf-8")
    assert "| Given | Truth | plain | jepa k2 weight 0.5 | shuffled k2 weight 0.5 |" in shown
    folder = Outcome(plan).folders(plan.recipe.studies[0], Preset.correct, "plain")[0]
    samples = [json.loads(line) for line in (folder / "samples.jsonl").read_text(encoding="utf-8").splitlines()]
    assert 4 <= len(samples) <= 8
    rows = [json.loads(line)["paraphrases"][0] for line in (root / "stand-in" / "paraphrase_train.jsonl").open()]
    for sample in samples:
        assert sample["prompt"] + sample["expected"] in rows


def test_the_untrained_model_stands_beside_the_trained_ones(root):
    plan = small_plan("table-14", root)
    make(plan)
    page, _ = conclude(plan)
    record = json.loads((page.parent / "paper.json").read_text(encoding="utf-8"))
    ours = {(row["setting"], row["measure"]): row["ours"] for row in record["rows"]}
    assert len(ours) == 8
    folder = page.parent / "llama-3.2-1b-nl_rx_synth-2e-5-correct"
    analysed = json.loads((folder / "analysis" / "analysis.json").read_text(encoding="utf-8"))["models"]
    assert analysed[0]["model"] == str(folder / "untrained")
    assert ours["base model", "mean of the top 100 singular values"] == analysed[0]["mean_top_100"]
    before = (folder / "analysis" / "analysis.json").stat().st_mtime_ns
    conclude(plan)
    assert (folder / "analysis" / "analysis.json").stat().st_mtime_ns == before


def test_two_stages_are_tested_on_pretrained_models_and_not_on_their_fine_tunings(root):
    plan = small_plan("table-9", root, seeds=(82, 23), only=("plain", "jepa"))
    make(plan)
    page, _ = conclude(plan)
    record = json.loads((page.parent / "paper.json").read_text(encoding="utf-8"))
    assert [row["n"] for row in record["rows"] if row["setting"].startswith("pretrained plain")] == [4, 4]
    assert len(record["tests"]) == 2
    for test in record["tests"]:
        assert "2 seeds" in test["ours"] or "the same difference" in test["ours"]
    assert not list(page.parent.rglob("report.html"))


def test_real_files_are_read_where_they_are(tmp_path, shared):
    recipe = RECIPES["table-4"]
    plan = Plan(recipe=recipe, scale=SMALL, place=Place(root=tmp_path, data=shared / "data"), seeds=(82,))
    nq_open, hellaswag = (plan.described(study, study.arms[0], Preset.correct).data for study in recipe.studies)
    assert nq_open.folder == str(shared / "data")
    assert hellaswag.folder == str(tmp_path / "stand-in")  # its training rows are not on this machine
    said = SMALL.changes(recipe, plan.place)
    assert any("Rows of HellaSwag are made up" in sentence for sentence in said)
    assert not any("NQ-Open" in sentence for sentence in said)


def test_the_pool_gets_only_what_is_not_finished_and_the_arms_kind(root, monkeypatch):
    plan = small_plan("table-2", root, seeds=(82, 37), only=("plain",))
    make(replace(plan, seeds=(82,)))
    assert make(replace(plan, seeds=(82,))) == 0
    got: list[Job] = []

    def run_here(jobs, **options):
        got.extend(jobs)
        for job in jobs:
            run_experiment(job.experiment, arm=job.arm)

    monkeypatch.setattr(reproducing, "run_all", run_here)
    assert run_plan(plan, Console(quiet=True), workers=1, ends=NEVER) == 0
    assert [(job.arm, job.experiment.seed) for job in got] == [("plain", 37)]
    assert got[0].title == "correct: plain, seed 37"
