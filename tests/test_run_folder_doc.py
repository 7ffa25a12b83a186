"""docs/run-folder.md is the format: finished runs have its files, its keys and its types, and nothing else."""

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from llm_jepa.experiments.experiment import Data, Experiment
from llm_jepa.experiments.files import FORMAT, RunFolder
from llm_jepa.experiments.run import run_experiment
from llm_jepa.model.load import ModelConfig
from llm_jepa.objective.jepa import JEPA
from llm_jepa.scoring.regex import RegexScorer
from tests.experiments.small_runs import experiment, write_base, write_rows
from tests.experiments.small_tasks import write_lines, write_tasks

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "run-folder.md").read_text(encoding="utf-8")
TYPES: dict[str, tuple[type, ...]] = {
    "integer": (int,),
    "number": (int, float),
    "number or null": (int, float, type(None)),
    "text or null": (str, type(None)),
    "text": (str,),
    "truth": (bool,),
    "list": (list,),
    "object": (dict,),
}
MEASURE = "<measure>"


@dataclass(frozen=True)
class Key:
    """One row of a table."""

    name: str
    type: str
    when: str


def table(title: str) -> list[Key]:
    section = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", PAGE, flags=re.MULTILINE | re.DOTALL)
    assert section is not None
    rows = re.findall(r"^\| `([^`]+)` \| ([^|]+) \| ([^|]+) \| [^|]+ \|$", section.group(1), flags=re.MULTILINE)
    return [Key(*row) for row in rows]


def check(
    row: dict[str, Any], title: str, conditions: set[str], *, measures: tuple[str, ...] = (), prefix: str = ""
) -> None:
    """Check that an object has the keys of a table, those whose condition holds, each of its type."""
    keys = [key for key in table(title) if key.when == "always" or key.when in conditions]
    named = {name: key for key in keys for name in (measures if key.name == MEASURE else [key.name.replace("*_", prefix)])}
    assert set(row) == set(named), title
    for name, key in named.items():
        assert isinstance(row[name], TYPES[key.type]), (title, name, row[name])
        assert isinstance(row[name], bool) == (key.type == "truth"), (title, name)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_base(tmp_path_factory.mktemp("models") / "base")


def short(folder: Path, base: Path, *, weight: float = 0.1) -> Experiment:
    """Four steps and four epochs; a checkpoint in the middle."""
    rows = write_rows(folder / "rows.jsonl")
    made = experiment(folder / "run", rows, ModelConfig(name=str(base)), max_steps=4, save_steps=2, logging_steps=1)
    evaluation = replace(made.evaluation, max_new_tokens=4)
    return replace(made, objective=JEPA(weight=weight, dropout=0.5), evaluation=evaluation)


def everything(folder: Path, base: Path) -> Experiment:
    made = short(folder, base)
    return replace(
        made,
        data=replace(made.data, validation=made.data.train),
        training={**made.training, "eval_strategy": "epoch"},
        evaluation=replace(made.evaluation, each_epoch=True),
    )


def nothing_held_out(folder: Path, base: Path) -> Experiment:
    made = short(folder, base, weight=0.0)
    return replace(made, data=Data(train=made.data.train))


def choices(folder: Path, base: Path) -> Experiment:
    made = short(folder, base)
    tasks = write_tasks(folder / "data")
    return replace(made, data=replace(made.data, test="hellaswag", folder=str(tasks)))


def unknown(folder: Path, base: Path) -> Experiment:
    rows = [{"text": "lines with a dog", "code": ". * ( ["}, {"text": "lines with a number", "code": "( [ ] dog"}]
    made = short(folder, base)
    bad = write_rows(folder / "bad.jsonl", rows)
    return replace(made, data=replace(made.data, test=str(bad)), evaluation=replace(made.evaluation, scorer=RegexScorer()))


def groups(folder: Path, base: Path) -> Experiment:
    made = short(folder, base)
    rows = [{"views": [f"lines with {word}", f"a {word} in lines"]} for word in ("dog", "number", "vowel", "word")]
    data = str(write_lines(folder / "groups.jsonl", rows))
    return replace(made, data=Data(train=data, test=data))


HELD_OUT = {"pairs", "held-out pairs", "scored", "held-out rows"}
RUNS = {
    "everything": (everything, HELD_OUT | {"generated", "two sources", "each epoch"}),
    "nothing held out": (nothing_held_out, {"pairs"}),
    "choices": (choices, HELD_OUT | {"chosen"}),
    "unknown": (unknown, HELD_OUT | {"generated", "some left out", "some null"}),
    "groups": (groups, {"pairs", "held-out pairs", "held-out rows"}),
}


@pytest.fixture(scope="module", params=RUNS)
def finished(request: pytest.FixtureRequest, base: Path, tmp_path_factory: pytest.TempPathFactory):
    make, conditions = RUNS[request.param]
    run = run_experiment(make(tmp_path_factory.mktemp("runs"), base))
    return request.param, run, conditions


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def results(run: RunFolder) -> dict[str, Any]:
    return json.loads(run.results.read_text(encoding="utf-8"))


def test_the_folder_holds_what_is_listed(finished):
    name, run, _ = finished
    block = PAGE.partition("<!-- run folder -->")[2].partition("```text\n")[2].partition("```")[0]
    listed = {line.split()[0].rstrip("/") for line in block.splitlines()}
    there = {path.name for path in run.root.iterdir()}
    assert there <= listed
    if name == "everything":
        assert there == listed


def test_results_have_the_keys_of_their_table(finished):
    _, run, conditions = finished
    found = results(run)
    measures = tuple(found.get("titles", ()))
    if "stop_rate" in found:
        assert "stop_rate" not in measures
    check(found, "results.json", conditions, measures=measures)
    assert found["format"] == FORMAT
    assert f"This is format {FORMAT} " in PAGE
    if "validation" in found:
        inner = [key.name for key in table("results.json")]
        inner = inner[inner.index("examples") : inner.index("retrieval_candidates") + 1]
        own = {name for name in found if name in inner or name in measures}
        assert set(found["validation"]) == own


def test_every_line_of_metrics_has_the_keys_of_its_table(finished):
    _, run, conditions = finished
    kinds = []
    for line in lines(run.metrics):
        prefix = next((f"{kind}_" for kind in ("eval", "validation", "test") if f"{kind}_loss" in line), "")
        title = "steps" if "loss" in line else "held-out losses" if prefix else "epochs"
        kinds.append(title)
        check(line, f"metrics.jsonl, {title}", conditions, prefix=prefix)
    assert kinds.count("steps") == 4
    assert kinds.count("epochs") == (4 if "each epoch" in conditions else 0)
    assert ("held-out losses" in kinds) == ("held-out rows" in conditions)


def test_predictions_and_verdicts_have_the_keys_of_their_tables(finished):
    _, run, conditions = finished
    folders = {path.parent for path in run.root.rglob("predictions.jsonl")}
    assert (run.root in folders) == ("scored" in conditions)
    for folder in folders:
        measures = tuple(results(run)["titles"])
        for line in lines(folder / "predictions.jsonl"):
            check(line, "predictions.jsonl", conditions)
        for line in lines(folder / "verdicts.jsonl"):
            check(line, "verdicts.jsonl", conditions, measures=measures)


def test_the_environment_has_the_keys_of_its_table(finished):
    _, run, conditions = finished
    found = json.loads(run.environment.read_text(encoding="utf-8"))
    check(found, "environment.json", conditions)
    assert all(re.fullmatch("[0-9a-f]{64}", value) for value in found["data"].values())


def test_the_runs_here_meet_every_condition_of_the_page():
    met = {"always"}.union(*(conditions for _, conditions in RUNS.values()))
    titles = re.findall(r"^## (.+)$", PAGE, flags=re.MULTILINE)
    assert {key.when for title in titles for key in table(title)} == met
