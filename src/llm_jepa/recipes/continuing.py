"""A trained run -> free continuations of the first rows that it was trained on, in its `samples.jsonl`."""

from dataclasses import replace
from typing import cast

import torch
from torch import nn

from llm_jepa.experiments.answers import Limits, stops
from llm_jepa.experiments.config import read_experiment
from llm_jepa.experiments.files import RunFolder
from llm_jepa.experiments.material import Examples, prepare_material, read_sources
from llm_jepa.experiments.samples import free_continuations, read_samples, write_samples
from llm_jepa.experiments.subjects import exported
from llm_jepa.model.load import load_model
from llm_jepa.records import Prediction

LONGEST = 24
"""Tokens of a continuation; the paper's captions have about a dozen."""


def continued(run: RunFolder, *, given: int, count: int) -> list[Prediction]:
    """Return how the run's model continues training texts, from its folder if it has done so already.

    Args:
        run: finished.
        given: tokens that are given.
        count: how many texts.
    """
    if done := read_samples(run.root):
        return done
    trained = read_experiment(run.config)
    few = Examples(read_sources(trained.data).train[:count], (), ())
    experiment = replace(trained, model=exported(trained.model, run), data=replace(trained.data, shuffle_pairs=False))
    material = prepare_material(experiment, few)
    model = load_model(experiment.model, material.tokenizer.tokenizer, seed=experiment.seed)
    cast(nn.Module, model).to(torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu"))
    model.eval()
    limits = Limits(stop_ids=stops(model, material.tokenizer, material.train), max_new_tokens=LONGEST, batch_size=count)
    found = free_continuations(model, material.tokenizer, material.train, first=given, limits=limits)
    write_samples(run.root, found)
    return found
