"""The documents say what is so: fields and defaults, formats and messages, YAML, the mask and its picture."""

import json
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
import yaml
from transformers import TrainingArguments

from llm_jepa.errors import UserError
from llm_jepa.experiments.config import parse_experiment
from llm_jepa.experiments.experiment import TRAINING_DEFAULTS, Data, Evaluation, Experiment, Packing
from llm_jepa.experiments.inspect.token_view import Pieces, picture
from llm_jepa.model.load import LoRA, ModelConfig
from llm_jepa.model.tokenizer import train_tokenizer
from llm_jepa.objective.distances import Cosine, Distance
from llm_jepa.objective.jepa import JEPA
from llm_jepa.packing.collate import pack
from llm_jepa.packing.layout import Layout
from llm_jepa.packing.mask import Visibility
from llm_jepa.tasks.columns import Columns, to_example
from llm_jepa.tasks.files import read_examples
from llm_jepa.views.tokenize import Sample, Tokenizer, TokenSequence, TokenView

PROJECT = Path(__file__).resolve().parents[1]
DOCS = PROJECT / "docs"
PAGES = sorted([PROJECT / "README.md", *DOCS.glob("*.md")])
PARTS = {
    "model": ModelConfig,
    "data": Data,
    "layout": Layout,
    "objective": JEPA,
    "packing": Packing,
    "evaluation": Evaluation,
    "data.columns": Columns,
    "model.lora": LoRA,
}

pytestmark = pytest.mark.filterwarnings("ignore::jsonargparse._deprecated.JsonargparseDeprecationWarning")  # renamed in 4.49


def read(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def default_of(field: Field[Any]) -> Any:
    if field.default is not MISSING:
        return field.default
    return MISSING if field.default_factory is MISSING else field.default_factory()


def written(value: Any) -> str:
    """A default as the table writes it."""
    if value is MISSING:
        return "required"
    if isinstance(value, Enum):
        return f"`{value.name}`"
    if isinstance(value, Distance):
        return f"`{type(value).__name__}`"
    if isinstance(value, Mapping):
        return f"`{dict(value)}`"
    if isinstance(value, str):
        return f"`{value}`"
    return f"`{json.dumps(value)}`"


def all_fields(kind: type = Experiment, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield the name and the default of every field that holds no further fields, and of every optional part."""
    assert is_dataclass(kind)
    for field in fields(kind):
        name = prefix + field.name
        part = PARTS.get(name)
        if part is None or default_of(field) is None:
            yield name, written(default_of(field))
        if part is not None:
            yield from all_fields(part, f"{name}.")


def test_the_reference_lists_every_field_with_its_default_and_nothing_else() -> None:
    rows = re.findall(r"^\| `([\w.]+)` \| ([^|]+) \| [^|]+ \|$", read("training.md"), flags=re.MULTILINE)
    assert len(rows) == len({name for name, _ in rows})
    assert dict(rows) == dict(all_fields())


def test_the_defaults_of_training_are_listed() -> None:
    block = read("training.md").partition("<!-- defaults -->")[2].partition("```yaml\n")[2].partition("```")[0]
    assert yaml.safe_load(block) == dict(TRAINING_DEFAULTS)


def test_the_default_distance_is_the_papers() -> None:
    assert isinstance(JEPA().distance, Cosine)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_field_that_is_named_exists(page: Path) -> None:
    known = {name for name, _ in all_fields()} | {*PARTS, "training"}
    known |= {f"training.{name}" for name in TrainingArguments.__dataclass_fields__}
    groups = "|".join([*(name for name in PARTS if "." not in name), "training"])
    spans = re.findall(r"`([^`\n]+)`", page.read_text(encoding="utf-8"))
    words = {word for span in spans for word in re.findall(rf"(?<![\w./-])(?:{groups})(?:\.\w+)+", span)}
    files = {word for word in words if word.endswith((".md", ".py", ".json", ".jsonl"))}
    assert words - files - known == set()


def snippets() -> list[Any]:
    found = []
    for page in PAGES:
        blocks = re.findall(r"^```yaml\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
        found += [pytest.param(text, id=f"{page.name}-{index}") for index, text in enumerate(blocks)]
    return found


@pytest.mark.parametrize("text", snippets())
def test_every_yaml_snippet_is_a_part_of_an_experiment(text: str, tmp_path: Path) -> None:
    given = yaml.safe_load(text)
    if "learning_rate" in given:
        given = {"training": given}
    whole = {"output": "runs/x", "model": {"name": "org/name"}, **given}
    whole["data"] = {"train": "train.jsonl", **given.get("data", {})}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(whole), encoding="utf-8")
    experiment = parse_experiment(["--config", str(tmp_path / "run.yaml")])
    assert experiment.training.items() >= given.get("training", {}).items()


def marked(page: str, mark: str) -> list[tuple[str, str, str, str]]:
    """Return (argument, language, block, the text block after it or "") of every block behind a comment `mark`."""
    pattern = rf"<!-- {mark}(?:: (.*?))? -->\n```(\w+)\n(.*?)```(?:\n```text\n(.*?)```)?"
    return re.findall(pattern, read(page), flags=re.DOTALL)


@pytest.mark.parametrize("item", marked("own-data.md", "reads"), ids=lambda item: item[2][:40].strip())
def test_every_format_is_read_as_said(item: tuple[str, str, str, str], tmp_path: Path) -> None:
    expected, language, text, _ = item
    wanted = json.loads(expected)
    (tmp_path / f"train.{language}").write_text(text, encoding="utf-8")
    columns = Columns(**wanted.get("columns", {}))
    (example,) = read_examples(str(tmp_path / f"train.{language}"), columns=columns)
    assert [view.content for view in example.views] == wanted["views"]
    assert [message.content for message in example.messages] == wanted["messages"]


@pytest.mark.parametrize("item", marked("own-data.md", "refused"), ids=lambda item: item[3].strip())
def test_every_mistake_is_answered_as_said(item: tuple[str, str, str, str], tmp_path: Path) -> None:
    _, language, text, message = item
    (tmp_path / f"train.{language}").write_text(text, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        read_examples(str(tmp_path / f"train.{language}"))
    assert str(caught.value) == message.strip()


def test_the_marks_are_found() -> None:
    assert len(marked("own-data.md", "reads")) >= 7
    assert len(marked("own-data.md", "refused")) >= 5


def test_inspect_shows_the_example_as_drawn() -> None:
    ((_, _, expected, _),) = marked("own-data.md", "inspect")
    tokenizer = train_tokenizer(["a digit"], size=300)
    example = to_example({"text": "a digit", "code": "[0-9]"}, name="train.jsonl:1", columns=Columns())
    (sample,) = Tokenizer(tokenizer).samples([example])
    lines = picture(sample, Layout(), Pieces(tokenizer), width=80)
    assert [line.plain.rstrip() for line in lines] == expected.rstrip("\n").split("\n")


DRAWN = Sample(
    "drawn:1",
    (TokenSequence((9, 1, 1, 1, 9, 2, 2, 3), (False,) * 5 + (True,) * 3),),
    (TokenView((1, 1, 1), (1, 1, 1), sequence=0, start=1, end=4), TokenView((2, 2), (2, 2), start=5, end=7)),
)
"""The sample of both drawings: prompt, three tokens of Text, prompt, two of Code, stop."""


def drawn_visibility() -> Visibility:
    return pack([Layout(k=2).forest(DRAWN)], pad=0).visibility


def drawn_mask() -> list[list[int]]:
    return drawn_visibility().mask()[0, 0].int().tolist()


def test_the_mask_is_drawn_as_it_is() -> None:
    ((_, _, block, _),) = marked("architecture.md", "mask")
    rows = [line.split() for line in block.splitlines()[1:]]
    assert [[int(cell == "1") for cell in row[1:-1]] for row in rows] == drawn_mask()
    assert [int(row[-1]) for row in rows] == drawn_visibility().position[0].tolist()


def cells(path: str) -> set[tuple[int, int]]:
    """Return the (x, y) of the squares that an SVG path draws."""
    return {(int(x), int(y)) for x, y in re.findall(r"M(\d+) (\d+)h", path)}


def test_the_picture_shows_the_same_mask_and_positions() -> None:
    root = ElementTree.fromstring(read("one-forward.svg"))
    by_class: dict[str, list[ElementTree.Element]] = {}
    for element in root.iter():
        by_class.setdefault(element.get("class", ""), []).append(element)
    (grid,) = by_class["grid"]
    places = cells(grid.get("d", ""))
    columns, rows = (sorted({place[side] for place in places}) for side in (0, 1))
    filled = {cell for index in range(3) for cell in cells(by_class[f"seen{index}"][0].get("d", ""))}
    assert [[int((x + 1, y + 1) in filled) for x in columns] for y in rows] == drawn_mask()
    numbers = [element.text for element in by_class["mid small soft"] if (element.text or "").isdigit()]
    assert [int(number or "") for number in numbers] == drawn_visibility().position[0].tolist()


def test_the_places_for_results_are_marked() -> None:
    text = read("results.md")
    for name in ("demo", "smollm2", "speed", "memory", "startup", "evaluation"):
        assert text.count(f"<!-- results:{name} -->") == text.count(f"<!-- /results:{name} -->") == 1
