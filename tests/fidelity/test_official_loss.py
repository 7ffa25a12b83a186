"""The preset's loss and all gradients are those of the official arithmetic: one call over three padded rows a sample."""

import copy

import pytest
import torch
from tests.fidelity.both import BATCH, DISTANCES, KINDS, compare, models, official, tokenizers
from tests.fidelity.official import official_labels

WORDS = KINDS["words"]

LAYER_NORM = 1e-10  # float64 throughout
RMS_NORM = 1e-6  # the norm of Llama is in float32


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("k", [0, 1, 2])
@pytest.mark.parametrize("tied", [False, True])
def test_every_distance_and_number_of_predictor_tokens(distance, k, tied):
    run = official(WORDS, k=k, distance=distance, gamma=0.5, lbd=2.0)
    compare(WORDS, run, BATCH, tolerance=LAYER_NORM, tied=tied)


@pytest.mark.parametrize("one_forward", [True, False])
@pytest.mark.parametrize(("front", "reverse"), [(True, False), (False, True), (True, True)])
def test_predictor_tokens_before_the_view_and_code_that_predicts_text(front, reverse, one_forward):
    run = official(WORDS, k=2, front=front, reverse=reverse)
    compare(WORDS, run, BATCH, tolerance=LAYER_NORM, one_forward=one_forward)


@pytest.mark.parametrize("one_forward", [True, False])
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("padded", [False, True])
def test_rows_of_their_own_and_a_tokenizer_whose_stop_token_is_its_pad_token(padded, tied, one_forward):
    run = official(WORDS, k=2, lbd=0.5)
    compare(WORDS, run, BATCH, tolerance=LAYER_NORM, padded=padded, tied=tied, one_forward=one_forward)


def test_another_architecture():
    compare(WORDS, official(WORDS, k=1), BATCH, tolerance=RMS_NORM, architecture="llama", tied=True)


LARGE = [pytest.param(kind, marks=pytest.mark.slow) for kind in ("llama", "gemma", "qwen3", "qwen2.5")]


@pytest.mark.parametrize("kind", ["openelm", *LARGE])
def test_real_tokenizers(shared, kind):
    assert shared
    run = official(KINDS[kind], k=1, length=48)
    compare(KINDS[kind], run, BATCH[1:3], tolerance=RMS_NORM, architecture="llama", tied=True)


@pytest.mark.parametrize(
    "option",
    [
        ("labels", "answer"),
        ("layout.last_token", "-1"),
        ("model.predictor", "slots"),
        ("objective.normalization", "step"),
    ],
)
def test_every_option_of_the_preset_counts(option):
    with pytest.raises(AssertionError):
        compare(WORDS, official(WORDS, k=2), BATCH, tolerance=1e-3, options=option)


def test_the_reference_is_what_transformers_makes_of_the_official_rows():
    theirs, ours = tokenizers(WORDS)
    model, _ = models(theirs, ours, architecture="llama", dtype=torch.float32)
    run = official(WORDS, k=1, lbd=0.0)
    rows = [run.rows(theirs, messages)[0] for messages in BATCH]
    ids, mask = (torch.tensor([row[part] for row in rows]) for part in (0, 1))
    output = model(input_ids=ids, attention_mask=mask, labels=official_labels(theirs, ids, len(BATCH)))
    torch.testing.assert_close(run.loss(model, theirs, BATCH), output.loss, atol=1e-6, rtol=0)


def test_pads_on_the_left_change_no_embedding_but_train_the_first_token_too():
    right, ours = tokenizers(WORDS)
    left = copy.copy(right)
    left.padding_side = "left"
    model, _ = models(right, ours, architecture="llama", dtype=torch.float32)
    embeddings, language = official(WORDS, k=1, gamma=0.0), official(WORDS, k=1, lbd=0.0)
    one, two = (embeddings.loss(model, side, BATCH).item() for side in (right, left))
    assert one == pytest.approx(two, abs=1e-5)
    one, two = (language.loss(model, side, BATCH).item() for side in (right, left))
    assert abs(one - two) > 1e-3


def test_the_vocabulary_grows_alike_on_both_sides():
    theirs, ours = tokenizers(WORDS)
    assert theirs.get_vocab() == ours.get_vocab()
    one, two = models(theirs, ours)
    assert one.get_input_embeddings().weight.shape[0] == len(theirs)
    assert all(torch.equal(weight, two.state_dict()[name]) for name, weight in one.state_dict().items())
