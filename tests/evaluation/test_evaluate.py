import dataclasses
import json
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from llm_jepa.errors import UserError
from llm_jepa.evaluation.answerer import EvaluationItem, Greedy
from llm_jepa.evaluation.evaluate import evaluate, read_predictions
from llm_jepa.records import Prediction

WORDS = [f"w{number}" for number in range(20)]
LENGTHS = [3, 6, 2, 6, 9, 4, 1]
STOP_IDS, LIMIT, BATCH = (4, 17), 5, 3


@pytest.fixture(scope="module")
def model() -> PreTrainedModel:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"vocab_size": 20, "hidden_size": 16, "intermediate_size": 24, "max_position_embeddings": 32}
    config = LlamaConfig(**sizes, num_hidden_layers=2, num_attention_heads=2, initializer_range=0.8)
    return LlamaForCausalLM(config).eval()


def decode(tokens: Sequence[int]) -> str:
    return " ".join(WORDS[token] for token in tokens)


def draw_items() -> list[EvaluationItem]:
    generator = torch.Generator().manual_seed(1)
    items = []
    for number, length in enumerate(LENGTHS):
        ids = torch.randint(0, 20, (length,), generator=generator).tolist()
        # Line separators that are no line feed, and other scripts, must not break the file.
        expected = f"naïve 答\u2028{number}\r\n"
        items.append(EvaluationItem(name=f"test:{number}", prompt=decode(ids), prompt_ids=tuple(ids), expected=expected))
    return items


ITEMS = draw_items()


class Kill(BaseException):
    """Stands for the process's end."""


@contextmanager
def prompts_run(model: PreTrainedModel) -> Iterator[list[int]]:
    """Collect the lengths, padding included, of the prompts that the model is really asked for."""
    widths: list[int] = []

    def look(_module: object, _arguments: object, options: dict) -> None:
        (cache,) = (options[name] for name in ("cache", "past_key_values") if options.get(name) is not None)
        if cache.get_seq_length() == 0:
            rows, width = options["input_ids"].shape
            widths.extend([width] * rows)

    handle = model.register_forward_pre_hook(look, with_kwargs=True)
    yield widths
    handle.remove()


def run(model: PreTrainedModel, items: Sequence[EvaluationItem] = ITEMS, **options: Any) -> list[Prediction]:
    settings: dict[str, Any] = {"stop_ids": STOP_IDS, "pad_id": 0, "max_new_tokens": LIMIT, "batch_size": BATCH}
    settings |= {name: options.pop(name) for name in list(options) if name in settings}
    return evaluate(Greedy(model=model, decode=decode, **settings), items, **options)


def run_until(model: PreTrainedModel, folder: Path, done: int) -> None:
    """Evaluate, but die as soon as `done` examples are finished."""

    def die(finished: int, _total: int) -> None:
        if finished >= done:
            raise Kill

    with pytest.raises(Kill):
        run(model, folder=folder, progress=die)


@pytest.fixture(scope="module")
def whole(model: PreTrainedModel, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("whole")
    run(model, folder=folder)
    return (folder / "predictions.jsonl").read_bytes()


def test_predictions_come_in_the_order_of_the_items_and_say_what_was_generated(model: PreTrainedModel):
    predictions = run(model)
    assert [each.name for each in predictions] == [item.name for item in ITEMS]
    assert {each.stopped for each in predictions} == {True, False}
    for item, each in zip(ITEMS, predictions, strict=True):
        assert (each.prompt, each.expected) == (item.prompt, item.expected)
        made = each.generated.split()
        assert each.tokens == len(made) + each.stopped
        assert each.stopped or each.tokens == LIMIT
        assert not {"w4", "w17"} & set(made)


def test_each_stop_token_alone_ends_later_than_both(model: PreTrainedModel):
    both, first, second = (run(model, stop_ids=ids, max_new_tokens=12) for ids in (STOP_IDS, (4,), (17,)))
    shortest = [min(one.tokens, other.tokens) for one, other in zip(first, second, strict=True)]
    assert [each.tokens for each in both] == shortest
    assert [each.tokens for each in first] != shortest
    assert [each.tokens for each in second] != shortest


def test_the_file_holds_what_is_returned_and_reads_back(model: PreTrainedModel, tmp_path: Path):
    predictions = run(model, folder=tmp_path / "made" / "here")
    path = tmp_path / "made" / "here" / "predictions.jsonl"
    assert read_predictions(path) == predictions
    assert [path.name for path in path.parent.iterdir()] == ["predictions.jsonl"]
    lines = path.read_bytes().split(b"\n")
    assert "答" in lines[0].decode()
    assert json.loads(lines[0]) == {
        name: value for name, value in dataclasses.asdict(predictions[0]).items() if name != "likelihoods"
    }


def test_each_batch_is_forced_to_disk_before_progress_is_told(
    model: PreTrainedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    forced: list[int] = []
    seen: list[tuple[int, int, int, int]] = []
    path = tmp_path / "predictions.jsonl"

    def force(descriptor: int) -> None:
        status = os.fstat(descriptor)
        forced.append(-1 if stat.S_ISDIR(status.st_mode) else status.st_size)

    monkeypatch.setattr(os, "fsync", force)

    def look(done: int, total: int) -> None:
        data = path.read_bytes() if path.exists() else b""
        assert forced[-1:] == ([len(data)] if data else [])
        seen.append((done, total, data.count(b"\n"), len(forced)))

    run(model, folder=tmp_path, progress=look)
    assert seen == [(0, 7, 0, 0), (3, 7, 3, 1), (6, 7, 6, 2), (7, 7, 7, 3)]
    assert forced[3:] == [path.stat().st_size, -1]  # the ordered file, then the folder that names it


@pytest.mark.parametrize(("done", "left"), [(0, 7), (3, 4), (6, 1), (7, 0)])
def test_a_run_killed_after_a_batch_ends_with_the_same_file_and_repeats_nothing(
    model: PreTrainedModel, whole: bytes, tmp_path: Path, done: int, left: int
):
    run_until(model, tmp_path, done)
    with prompts_run(model) as widths:
        run(model, folder=tmp_path)
    assert len(widths) == left
    assert (tmp_path / "predictions.jsonl").read_bytes() == whole


def cuts(data: bytes) -> list[int]:
    """Places around and inside every line, and inside a character, at which a kill might have cut the file."""
    ends = [place + 1 for place, byte in enumerate(data) if byte == ord("\n")]
    starts = [0, *ends[:-1]]
    places = {data.index("答".encode()) + 1}
    for start, end in zip(starts, ends, strict=True):
        places |= {start, (start + end) // 2, end - 1}
    return sorted(places)


def test_a_file_torn_anywhere_ends_as_the_same_file(model: PreTrainedModel, whole: bytes, tmp_path: Path):
    run_until(model, tmp_path, 7)
    path = tmp_path / "predictions.jsonl"
    data = path.read_bytes()
    assert data != whole  # longest first, as generated
    for cut in cuts(data):
        path.write_bytes(data[:cut])
        run(model, folder=tmp_path)
        assert path.read_bytes() == whole, cut


def test_a_batch_that_a_kill_left_in_part_is_generated_whole_in_the_same_company(
    model: PreTrainedModel, whole: bytes, tmp_path: Path
):
    run_until(model, tmp_path, 6)
    path = tmp_path / "predictions.jsonl"
    data = path.read_bytes()
    lines = data.splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:4]) + lines[4][:30])
    with prompts_run(model) as widths:
        run_until(model, tmp_path, 6)
        assert path.read_bytes() == data  # no torn line is left between, and no example stands there twice
        run(model, folder=tmp_path)
    assert widths == [4, 4, 4, 1]
    assert path.read_bytes() == whole


def test_a_kill_while_the_ordered_file_is_written_loses_nothing(
    model: PreTrainedModel, whole: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def die(*_: object) -> None:
        raise Kill

    monkeypatch.setattr(os, "replace", die)
    with pytest.raises(Kill):
        run(model, folder=tmp_path)
    monkeypatch.undo()
    assert len(read_predictions(tmp_path / "predictions.jsonl")) == 7
    with prompts_run(model) as widths:
        run(model, folder=tmp_path)
    assert widths == []
    assert (tmp_path / "predictions.jsonl").read_bytes() == whole


def test_a_finished_run_is_read_and_not_run(model: PreTrainedModel, whole: bytes, tmp_path: Path):
    (tmp_path / "predictions.jsonl").write_bytes(whole)
    told: list[tuple[int, int]] = []
    with prompts_run(model) as widths:
        predictions = run(model, folder=tmp_path, progress=lambda done, total: told.append((done, total)))
    assert widths == []
    assert told == [(7, 7)]
    assert predictions == run(model)
    assert (tmp_path / "predictions.jsonl").read_bytes() == whole


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"name": "other:3"}, "'test:3' is not among the examples to evaluate"),
        ({"prompt": "another template"}, "'test:3' was answered for another prompt"),
        ({"expected": "b"}, "'test:3' has another expected answer"),
    ],
)
def test_a_file_of_other_items_is_refused_and_left_as_it_is(
    model: PreTrainedModel, whole: bytes, tmp_path: Path, change: dict[str, str], reason: str
):
    path = tmp_path / "predictions.jsonl"
    path.write_bytes(whole + b"torn")
    items = [*ITEMS[:3], dataclasses.replace(ITEMS[3], **change), *ITEMS[4:]]
    with pytest.raises(UserError) as caught:
        run(model, items, folder=tmp_path)
    assert str(caught.value) == (
        f"{path}:4: {reason}: the file belongs to another evaluation; give another folder or move the file"
    )
    assert path.read_bytes() == whole + b"torn"


def test_more_items_than_in_the_file_are_a_continuation(model: PreTrainedModel, tmp_path: Path):
    run(model, ITEMS[:4], folder=tmp_path)
    run(model, folder=tmp_path)
    assert [each.name for each in read_predictions(tmp_path / "predictions.jsonl")] == [item.name for item in ITEMS]


def test_a_damaged_line_is_named_before_anything_is_generated(model: PreTrainedModel, whole: bytes, tmp_path: Path):
    path = tmp_path / "predictions.jsonl"
    lines = whole.splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], lines[1][:20] + b"\n", *lines[2:]]))
    with prompts_run(model) as widths, pytest.raises(UserError, match=f"^{path}:2: no JSON object"):
        run(model, folder=tmp_path)
    assert widths == []


def test_two_items_of_one_name_are_refused(model: PreTrainedModel):
    with pytest.raises(ValueError, match="same name: 'test:2'"):
        run(model, [*ITEMS, ITEMS[2]])


@pytest.mark.parametrize(("ids", "message"), [((), "^test:1 has no tokens"), ((1,) * 28, "^test:1 has 28 tokens, and")])
def test_a_prompt_that_cannot_be_generated_for_is_named_before_the_start(
    model: PreTrainedModel, tmp_path: Path, ids: tuple[int, ...], message: str
):
    items = [ITEMS[0], dataclasses.replace(ITEMS[1], prompt_ids=ids)]
    with pytest.raises(UserError, match=message):
        run(model, items, folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_half_a_surrogate_pair_survives_the_file(model: PreTrainedModel, tmp_path: Path):
    item = dataclasses.replace(ITEMS[0], expected="\ud83d and \\ud83d")
    predictions = run(model, [item], folder=tmp_path)
    assert read_predictions(tmp_path / "predictions.jsonl") == predictions
    assert "\\ud83d and \\\\ud83d" in (tmp_path / "predictions.jsonl").read_text("utf-8")
    assert run(model, [item], folder=tmp_path) == predictions


def test_no_items_make_an_empty_file(model: PreTrainedModel, tmp_path: Path):
    assert run(model, [], folder=tmp_path) == []
    assert (tmp_path / "predictions.jsonl").read_bytes() == b""
