"""Micro-batch j of a stream depends on the data, the seed and j alone; what was trained is passed over by counting."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.helpers import PAD, largest_difference, packed_model, text_code, train, weights, word_tokenizer

from llm_jepa.errors import UserError
from llm_jepa.objective.distances import InfoNCE
from llm_jepa.objective.jepa import JEPA
from llm_jepa.packing.collate import Collator, OverLength
from llm_jepa.packing.layout import Layout
from llm_jepa.tasks.row_stream import RowStream
from llm_jepa.training.stream import FAILURE, Stream, StreamSource
from llm_jepa.views.tokenize import Sample, Tokenizer

WORDS = ["lines", "with", "a", "number", "or", "the", "word", "dog", "before", "every", "vowel"]
ROWS = 50
WINDOW = 20


def write(folder: Path, rows: list[dict[str, str]] | None = None) -> StreamSource:
    """Return a stream of 50 rows that all differ, in windows of 20."""
    pairs = [(WORDS[at // 11], WORDS[at % 11]) for at in range(ROWS)]
    made = rows or [{"text": f"{two} {one} dog", "code": f"{one} {two}"} for one, two in pairs]
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in made))
    return StreamSource(rows=RowStream(source=str(path)), tokenizer=Tokenizer(word_tokenizer()), window=WINDOW, limit=100)


def keep(features: Any) -> dict[str, Any]:
    """Keep the samples as they are."""
    return {"samples": [feature["sample"] for feature in features]}


def stream(source: StreamSource, **options: Any) -> Stream:
    return Stream(source, keep, Layout(k=1), **{"batch": 4, "seed": 7, **options})  # pyright: ignore[reportArgumentType]


def first(made: Stream, count: int) -> list[list[Sample]]:
    return [batch.get("samples", []) for _, batch in zip(range(count), made, strict=False)]


def names(batches: list[list[Sample]]) -> list[str]:
    return [sample.name for batch in batches for sample in batch]


def test_every_row_comes_once_before_any_comes_again_and_then_in_another_order(tmp_path):
    batches = first(stream(write(tmp_path)), 26)  # 5 + 5 + 3 micro-batches for 20 + 20 + 10 rows, twice
    once, again = names(batches[:13]), names(batches[13:])
    every = {f"rows.jsonl:{number}" for number in range(1, ROWS + 1)}
    assert len(once) == len(again) == ROWS
    assert set(once) == set(again) == every
    assert once != again
    assert set(once[:WINDOW]) == {f"rows.jsonl:{number}" for number in range(1, WINDOW + 1)}
    assert once[:WINDOW] != sorted(once[:WINDOW], key=lambda name: int(name.split(":")[1]))
    assert names(first(stream(write(tmp_path), seed=8), 13)) != once


@pytest.mark.parametrize("ranks", [2, 3])
def test_processes_take_turns_and_share_nothing(tmp_path, ranks):
    source = write(tmp_path)
    alone = first(stream(source), 24)
    shared = [first(stream(source, rank=rank, ranks=ranks), 24 // ranks) for rank in range(ranks)]
    assert [shared[index % ranks][index // ranks] for index in range(24)] == alone


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_change_nothing(tmp_path, workers):
    source = write(tmp_path)
    collate = Collator(layout=Layout(k=1), pad=PAD, plain=True)
    made = Stream(source, collate, Layout(k=1), batch=4, seed=7)
    made.done = 3
    expected = [batch for _, batch in zip(range(16), made, strict=False)]
    found = [batch for _, batch in zip(range(16), made.loader(workers=workers, pin_memory=False), strict=False)]
    assert expected[:3] == found[:3] == [{}] * 3
    for one, other in zip(expected[3:], found[3:], strict=True):
        for kind in ("full", "plain"):
            assert one[kind].keys() == other[kind].keys()
            assert all(torch.equal(tensor, other[kind][name]) for name, tensor in one[kind].items())


def test_what_was_trained_is_passed_over_without_tokenising(tmp_path, monkeypatch):
    source = write(tmp_path)
    expected = first(stream(source), 20)
    made = stream(source)
    made.done = 15
    seen: list[str] = []
    original = RowStream.example
    monkeypatch.setattr(RowStream, "example", lambda self, row: seen.append(row[0]) or original(self, row))
    assert first(made, 20) == [[]] * 15 + expected[15:]
    assert seen == names(expected[15:])


def test_long_samples_are_left_out_of_their_batch_and_a_batch_is_never_empty(tmp_path):
    rows = [{"text": "a dog", "code": "dog " * (40 if at % 3 else 1)} for at in range(30)]
    source = write(tmp_path, rows)
    source = StreamSource(rows=source.rows, tokenizer=source.tokenizer, window=WINDOW, limit=40)
    fits = {f"rows.jsonl:{number}" for number in range(1, 31, 3)}
    batches = first(stream(source), 8)
    assert set(names(batches)) == fits
    assert all(0 < len(batch) <= 4 for batch in batches)
    assert all(len(batch) == 1 and set(names([batch])) <= fits for batch in first(stream(source, batch=1), 30))


def test_samples_that_are_all_too_long_are_an_error(tmp_path):
    source = write(tmp_path)
    short = StreamSource(rows=source.rows, tokenizer=source.tokenizer, window=WINDOW, limit=5)
    (batch,) = list(stream(short))
    message = "rows.jsonl:1: this and the next 19 samples are longer than 5 tokens; raise `data.max_length`"
    assert str(batch[FAILURE]) == message
    named = StreamSource(rows=source.rows, tokenizer=source.tokenizer, window=WINDOW, limit=5, over_length=OverLength.error)
    (batch,) = list(stream(named))
    assert "tokens, but the limit is 5" in str(batch[FAILURE])


def test_shuffled_pairs_take_the_code_of_another_row_of_the_window_and_the_same_one_always(tmp_path):
    source = write(tmp_path)
    control = StreamSource(rows=source.rows, tokenizer=source.tokenizer, window=WINDOW, limit=100, shuffle_pairs=True)
    true = {sample.name: sample for batch in first(stream(source), 13) for sample in batch}
    owner = {sample.views[1].ids: name for name, sample in true.items()}
    turns = [
        {sample.name: owner[sample.views[1].ids] for batch in part for sample in batch}
        for part in (first(stream(control), 26)[:13], first(stream(control), 26)[13:])
    ]
    assert turns[0] == turns[1]
    assert len(turns[0]) == ROWS
    assert sorted(turns[0]) == sorted(turns[0].values())
    for name, donor in turns[0].items():
        assert name != donor
        assert (int(name.split(":")[1]) - 1) // WINDOW == (int(donor.split(":")[1]) - 1) // WINDOW
    for batch in first(stream(control), 13):
        for sample in batch:
            assert sample.sequences == true[sample.name].sequences
            assert sample.views[0] == true[sample.name].views[0]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_mistake_in_a_row_ends_the_training_with_one_sentence(tmp_path, workers):
    rows = [{"text": "a dog", "code": "dog"}] * 10 + [{"text": "a dog", "code": ""}]
    with pytest.raises(UserError, match=r"^rows\.jsonl:11: 'code' is empty; fill it or remove the row$"):
        run(tmp_path, write(tmp_path, rows), steps=20, dataloader_num_workers=workers)


def run(folder: Path, source: StreamSource, **options: Any) -> tuple[Any, Any]:
    model = packed_model("gpt2_dropout", dtype=torch.float32)
    samples = list(Tokenizer(word_tokenizer()).samples([text_code()] * 2))
    objective = JEPA(weight=0.5, distance=InfoNCE(), dropout=0.5)
    logs = train(model, samples, objective, folder=folder / "checkpoints", stream=source, **options)
    return logs, weights(model)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_continued_training_is_bit_for_bit_the_undisturbed_one(tmp_path, workers):
    source = write(tmp_path)
    every = {"steps": 9, "accumulation": 2, "save_strategy": "steps", "save_steps": 5}
    logs, expected = run(tmp_path, source, **every)
    checkpoint = tmp_path / "checkpoints" / "checkpoint-5"
    resumed, found = run(tmp_path, source, **every, resume=checkpoint, dataloader_num_workers=workers)
    assert largest_difference(expected, found) == 0
    assert resumed == logs
