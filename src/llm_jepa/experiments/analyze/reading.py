"""Models and one data set -> their embeddings of the same pairs, one model at a time."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from llm_jepa.analysis.embeddings import embed
from llm_jepa.analysis.structure import Reading
from llm_jepa.errors import UserError
from llm_jepa.experiments.evaluation_folder import weights_fingerprint
from llm_jepa.experiments.experiment import Experiment
from llm_jepa.experiments.material import max_length, sample_maker
from llm_jepa.experiments.show import Show
from llm_jepa.experiments.subjects import Subject
from llm_jepa.model.load import load_model, load_tokenizer, prepare
from llm_jepa.model.parts import input_embedding
from llm_jepa.model.slots import load_slots
from llm_jepa.packing.layout import Layout
from llm_jepa.records import Example
from llm_jepa.tasks.draw import draw
from llm_jepa.views.pairs import Direction
from llm_jepa.views.tokenize import Sample, Tokenizer


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedded:
    """One model's embeddings.

    Attributes:
        reading: one row a pair.
        places: for every row the index of its example.
        weights: checksum of the weights, [PRED] slots included.
    """

    reading: Reading
    places: tuple[int, ...]
    weights: str


def paired(examples: Sequence[Example], *, limit: int) -> tuple[Example, ...]:
    """Return examples with two or more views, drawn from all over, which have at most `limit` pairs in all.

    Raises:
        UserError: there are fewer than two pairs.
    """
    found: list[Example] = []
    pairs = 0
    for example in draw([example for example in examples if len(example.views) > 1], limit):
        pairs += len(example.views) - 1
        if pairs > limit and found:
            break
        found.append(example)
    if not found:
        raise UserError(
            "no example of the data has two views, so there is nothing to compare; name the columns with `data.columns` in "
            "the run's config, or give other data with `--data`"
        )
    if sum(len(example.views) - 1 for example in found) < 2:
        raise UserError("the data have a single pair, and how embeddings lie shows from two on; give more with `--data`")
    return tuple(found)


def read(subjects: Sequence[Subject], examples: Sequence[Example], *, batch_size: int, show: Show) -> list[Embedded]:
    """Return the embeddings of the examples by every subject; an example too long for one model is left out for all.

    Args:
        subjects: the models.
        examples: each with two or more views.
        batch_size: examples a forward.
        show: how progress is told.

    Raises:
        UserError: a model cannot be loaded or read, or fewer than two pairs are left.
    """
    found: list[Embedded] = []
    for index, subject in enumerate(subjects):
        show.say(f"reading {len(examples)} examples with {subject.label}")
        told = replace(show, evaluate=_further(show, index * len(examples), len(subjects) * len(examples)))
        try:
            found.append(_embedded(subject, examples, batch_size=batch_size, show=told))
        except torch.OutOfMemoryError as error:
            remedy = f"{batch_size} examples at a time; give a smaller `--batch_size`"
            raise UserError(f"{subject.name}: the memory of the device is too small for {remedy}") from error
    shared = set.intersection(*(set(item.places) for item in found))
    if sum(place in shared for place in found[0].places) < 2:
        raise UserError("fewer than two pairs fit into the context of every model; give shorter data with `--data`")
    return [_only(item, shared) for item in found]


def _further(show: Show, before: int, total: int) -> Any:
    def tell(done: int, of: int) -> None:
        del of
        show.evaluate(before + done, total)

    return tell


def _embedded(subject: Subject, examples: Sequence[Example], *, batch_size: int, show: Show) -> Embedded:
    experiment = subject.experiment
    hub = load_tokenizer(experiment.model, needs_roles=any(len(example.messages) > 2 for example in examples))
    tokenizer = sample_maker(experiment, hub)
    model = load_model(experiment.model, hub, seed=experiment.seed)
    samples = _fitting(experiment, tokenizer, examples, limit=max_length(experiment, model))
    if max(max(sequence.ids) for _, sample in samples for sequence in sample.sequences) >= _known(model):
        raise UserError(f"{subject.name}: the tokenizer has tokens that the model lacks; they do not belong together")
    slots = experiment.model.slots(experiment.layout.k)
    ready = prepare(model, k=slots, seed=experiment.seed, one_forward=experiment.packing.one_forward)
    if slots and subject.run is not None:
        load_slots(ready, subject.run.predictor)
    device = torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
    ready.to(device)
    settings = {"batch_size": batch_size, "one_forward": experiment.packing.one_forward, "progress": show.evaluate}
    reading = read_pairs(ready, [sample for _, sample in samples], experiment.layout, **settings)
    places = tuple(place for place, sample in samples for _ in sample.views[1:])
    return Embedded(reading=reading, places=places, weights=weights_fingerprint(ready))


def read_pairs(model: nn.Module, samples: Sequence[Sample], layout: Layout, **settings: Any) -> Reading:
    """Return a prepared model's embeddings of all pairs, Text and Code in this order whatever predicts which.

    Args:
        model: with the slots that the layout asks for.
        samples: each with two or more views.
        layout: as in training.
        settings: arguments of `embed`.
    """
    forward = replace(layout, direction=Direction.text_to_code)
    found = embed(model, samples, forward if layout == forward else replace(forward, k=0), **settings)
    if layout.k == 0:
        return Reading(text=found.text, code=found.code)
    trained = found if layout == forward else embed(model, samples, layout, **settings)
    return Reading(text=found.text, code=found.code, predicted=trained.predicted, target=trained.code)


def _fitting(
    experiment: Experiment, tokenizer: Tokenizer, examples: Sequence[Example], *, limit: int
) -> list[tuple[int, Sample]]:
    """Return the samples that no segment of is too long for the model, each with the index of its example."""
    made = enumerate(tokenizer.samples(examples))
    fitting = [(index, sample) for index, sample in made if experiment.layout.forest(sample).depth <= limit]
    if not fitting:
        raise UserError(f"every example is longer than the {limit} tokens of context of {experiment.model.name}")
    return fitting


def _known(model: Any) -> int:
    return input_embedding(model).num_embeddings


def _only(item: Embedded, shared: set[int]) -> Embedded:
    """Return the rows whose examples all models have read."""
    rows = torch.tensor([place in shared for place in item.places])
    reading = item.reading

    def kept(part: Tensor | None) -> Tensor | None:
        return None if part is None else part[rows]

    return replace(
        item,
        reading=Reading(
            text=reading.text[rows], code=reading.code[rows], predicted=kept(reading.predicted), target=kept(reading.target)
        ),
        places=tuple(place for place in item.places if place in shared),
    )
