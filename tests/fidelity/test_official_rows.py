"""The preset's tokens, labels and reading positions are those of the official rows, for every family."""

import pytest
from tests.conftest import SHARED
from tests.fidelity.both import BATCH, KINDS, example, experiment, maker, official, samples, tokenizers

from llm_jepa.model.families import FAMILIES, family_of


def test_every_family_has_a_row_here():
    known = {family.name for family in FAMILIES}
    assert {family.name for kind in KINDS.values() if (family := family_of(kind.name)) is not None} == known


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("front", "reverse"), [(False, False), (True, False), (False, True), (True, True)])
@pytest.mark.parametrize("k", [0, 1, 2])
def test_rows_labels_and_places_are_the_official_ones(shared, kind, k, front, reverse):
    assert shared == SHARED
    run = official(KINDS[kind], k=k, front=front, reverse=reverse)
    theirs, ours = tokenizers(KINDS[kind])
    described = experiment(KINDS[kind], run)
    for messages, sample in zip(BATCH, samples(described, ours, BATCH), strict=True):
        rows = run.rows(theirs, messages)
        whole, *_ = (ids[: sum(mask)] for ids, mask in rows)
        (sequence,) = sample.sequences
        assert list(sequence.ids) == whole
        assert list(sequence.trained) == [at > 0 and token != theirs.pad_token_id for at, token in enumerate(whole)]
        forest = described.layout.forest(sample)
        ((one, first), (two, second)) = (forest.pairs[0].predicted, forest.pairs[0].target)
        assert (first, second) == (run.read(rows[1]), run.read(rows[2]))
        assert list(forest.segments[one].ids) == rows[1][0][: first + 1]
        assert list(forest.segments[two].ids) == rows[2][0][: second + 1]


@pytest.mark.parametrize(
    ("kind", "option"), [("llama", "model.add_bos"), ("gemma", "model.add_bos"), ("qwen3", "model.whole_rendering")]
)
def test_every_option_that_makes_the_rows_counts(shared, kind, option):
    assert shared
    run = official(KINDS[kind])
    theirs, ours = tokenizers(KINDS[kind])
    (sample,) = samples(experiment(KINDS[kind], run, options=(option, "false")), ours, BATCH[:1])
    ids, mask = run.rows(theirs, BATCH[0])[0]
    assert len(sample.sequences[0].ids) == sum(mask) - 1
    assert set(sample.sequences[0].ids) <= set(ids)


def test_a_prompt_begins_as_training_does(shared):
    assert shared
    _, ours = tokenizers(KINDS["llama"])
    made = maker(experiment(KINDS["llama"], official(KINDS["llama"])), ours)
    (sample,) = made.samples([example(BATCH[0], "a:1")])
    prompt = made.prompt_ids(example(BATCH[0], "a:1"))
    assert prompt[:2] == [128000, 128000]
    assert list(sample.sequences[0].ids[: len(prompt)]) == prompt
