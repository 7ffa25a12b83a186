"""One packed forward gives what a forward of its own for every path gives: loss, embeddings, and gradients."""

from collections.abc import Callable

import pytest
import torch
from tests.helpers import GROUP, PAD, conversations, packed_model, plain_model
from tests.invariants import reference
from tests.invariants.reference import WEIGHT, Path, assert_same, run_packed, run_separately

from llm_jepa.model.encode import encode
from llm_jepa.objective.jepa import JEPA, Totals
from llm_jepa.packing.batch import PackedBatch
from llm_jepa.packing.collate import pack
from llm_jepa.packing.layout import Layout, plain_forest
from llm_jepa.views.pairs import Direction
from llm_jepa.views.tokenize import Sample

PRED: Path = (-1, -2)

Paths = Callable[[Sample, Path], list[tuple[Path, Path]]]

LAYOUTS: dict[str, tuple[Layout, Paths]] = {
    "shared": (Layout(k=2), reference.shared),
    "separate": (Layout(k=2, shared=False), reference.separate),
    "framed": (Layout(k=2, shared=False, framed=True), reference.framed),
    "prepended": (Layout(k=2, prepend=True), reference.prepended),
    "code to text": (Layout(k=2, direction=Direction.code_to_text), reference.code_to_text),
}

SHAPES = {"one sample": (1, 1), "a row each, padded": (3, 1), "one row": (3, 3), "two rows, padded": (3, 2)}
"""Number of samples and of samples a row."""

# Absolute tolerance of loss, embeddings and gradients in float64 (PERFORMANCE.md, section 1). All families but GPT2 compute
# their norms in float32 whatever the model's type, and eager attention its softmax. Weights are ten times a new model's.
EXACT = (1e-13, 1e-13, 1e-13)
FLOAT32_NORM = (1e-13, 1e-13, 2e-6)
FLOAT32_SOFTMAX = (1e-6, 5e-6, 2e-5)

FAMILIES = ("llama", "qwen3", "olmo2", "gemma2", "gemma3", "mistral", "openelm", "gpt2", "phi3", "cohere2")
CASES = [(family, kind) for family in FAMILIES for kind in ("sdpa", "eager") if (family, kind) != ("gemma2", "sdpa")]


def tolerance(family: str, attention: str) -> tuple[float, float, float]:
    if family == "gpt2":
        return EXACT
    return FLOAT32_NORM if attention == "sdpa" else FLOAT32_SOFTMAX


def check(family: str, attention: str, layout: str, shape: str) -> None:
    how, paths = LAYOUTS[layout]
    count, samples_per_row = SHAPES[shape]
    samples = conversations(count, seed=count)
    model = packed_model(family, attention=attention, k=2)
    packed = run_packed(model, [how.forest(sample) for sample in samples], samples_per_row=samples_per_row)
    expected = run_separately(
        plain_model(family, attention=attention),
        model.get_submodule("jepa_predictor").get_parameter("weight"),
        samples,
        [pair for sample in samples for pair in paths(sample, PRED)],
    )
    assert_same(packed, expected, tolerance(family, attention))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("layout", ["shared", "separate"])
@pytest.mark.parametrize(("family", "attention"), CASES)
def test_packed_equals_separate(family, attention, layout, shape):
    check(family, attention, layout, shape)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("layout", ["framed", "prepended", "code to text"])
@pytest.mark.parametrize("family", ["llama", "gemma3"])
def test_packed_equals_separate_in_the_rarer_layouts(family, layout, shape):
    check(family, "sdpa", layout, shape)


@pytest.mark.parametrize("family", ["llama", "gemma3", "gpt2"])
@pytest.mark.parametrize("samples_per_row", [1, 2])
def test_packed_equals_separate_for_a_group_of_paraphrases(family, samples_per_row):
    samples = [GROUP, GROUP]
    model = packed_model(family, k=2)
    packed = run_packed(model, [Layout(k=2).forest(sample) for sample in samples], samples_per_row=samples_per_row)
    pairs = [pair for sample in samples for pair in reference.paraphrases(sample, PRED)]
    slots = model.get_submodule("jepa_predictor").get_parameter("weight")
    assert_same(packed, run_separately(plain_model(family), slots, samples, pairs), tolerance(family, "sdpa"))


@pytest.mark.parametrize("k", [0, 1, 4])
def test_packed_equals_separate_for_any_number_of_slots(k):
    samples = conversations(3)
    model = packed_model("gpt2", k=k)
    slots = model.get_submodule("jepa_predictor").get_parameter("weight") if k else torch.zeros(0, 32)
    packed = run_packed(model, [Layout(k=k).forest(sample) for sample in samples], samples_per_row=3)
    pairs = [pair for sample in samples for pair in reference.shared(sample, tuple(range(-1, -k - 1, -1)))]
    assert_same(packed, run_separately(plain_model("gpt2"), slots, samples, pairs), EXACT)


def test_packed_equals_separate_in_float32_too():
    samples = conversations(3)
    model = packed_model("gemma3", k=2, dtype=torch.float32)
    packed = run_packed(model, [Layout(k=2).forest(sample) for sample in samples], samples_per_row=3)
    pairs = [pair for sample in samples for pair in reference.shared(sample, PRED)]
    slots = model.get_submodule("jepa_predictor").get_parameter("weight")
    expected = run_separately(plain_model("gemma3", dtype=torch.float32), slots, samples, pairs)
    assert_same(packed, expected, (5e-6, 1e-5, 1e-5))


def test_without_slots_no_token_and_no_weight_is_added():
    assert [name for name, _ in packed_model(k=0).named_parameters()] == [
        name for name, _ in plain_model().named_parameters()
    ]
    for sample in conversations(5):
        plain, full = plain_forest(sample), Layout(k=0).forest(sample)
        assert full.segments[0] == plain.segments[0]
        assert [segment.ids for segment in full.segments[1:]] == [sample.views[1].ids]
    assert Layout(k=0).forest(GROUP).segments == plain_forest(GROUP).segments


def with_pads(batch: PackedBatch, count: int, *, pad: int) -> PackedBatch:
    """Append `count` pads, which see themselves alone, to the batch's only row."""
    tensors = batch.tensors()
    length = tensors["input_ids"].shape[1]
    own = torch.arange(length, length + count)
    new = {"input_ids": torch.full((count,), pad), "slot": torch.full((count,), -1), "position": torch.zeros(count).long()}
    new |= dict.fromkeys(("segment_start", "prefix_start", "prefix_end"), own)
    longer = {name: torch.cat([tensors[name], values[None]], dim=1) for name, values in new.items()}
    return PackedBatch.from_tensors(tensors | longer)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("family", ["gpt2", "gemma3"])
def test_pads_change_nothing(family, attention):
    forests = [Layout(k=2).forest(sample) for sample in conversations(2)]
    batch = pack(forests, pad=PAD, samples_per_row=2)

    def gradients(batch: PackedBatch) -> dict[str, torch.Tensor]:
        model = packed_model(family, k=2, attention=attention)
        encoded = encode(model, batch)
        loss = JEPA(weight=WEIGHT)(encoded, Totals(labels=len(batch.label), pairs=2)).loss
        loss.backward()
        found = {name: item.grad for name, item in model.named_parameters() if item.grad is not None}
        return found | {"loss": loss.detach(), "predicted": encoded.predicted.detach(), "target": encoded.target.detach()}

    expected = gradients(batch)
    for longer in (with_pads(batch, 1, pad=PAD), with_pads(batch, 9, pad=PAD), with_pads(batch, 9, pad=17)):
        found = gradients(longer)
        assert found.keys() == expected.keys()
        for name, values in expected.items():
            torch.testing.assert_close(found[name], values, atol=2e-6 if family == "gemma3" else 1e-13, rtol=0)


def test_the_id_that_fills_pads_and_slots_changes_nothing():
    forests = [Layout(k=2).forest(sample) for sample in conversations(3)]
    one, other = (run_packed(packed_model(k=2), forests, samples_per_row=2, pad=pad) for pad in (PAD, 17))
    assert_same(one, other, (0.0, 0.0, 0.0))
