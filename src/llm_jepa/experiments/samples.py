"""Free continuations: the first tokens of a text are given and the model goes on (the paper's Table 7).

`samples.jsonl` in a run folder holds them, in the format of `predictions.jsonl`: `prompt` is the text that was given,
`expected` how the true text goes on, `generated` how the model does. The report shows the file where it is.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from transformers import PreTrainedModel

from llm_jepa.durable import write
from llm_jepa.evaluation.evaluate import read_predictions
from llm_jepa.evaluation.generate import generate
from llm_jepa.experiments.answers import Limits, decoder
from llm_jepa.records import Prediction
from llm_jepa.views.special import eos_id, pad_id
from llm_jepa.views.tokenize import Sample, Tokenizer

SAMPLES = "samples.jsonl"


def free_continuations(
    model: PreTrainedModel, tokenizer: Tokenizer, samples: Sequence[Sample], *, first: int, limits: Limits
) -> list[Prediction]:
    """Let the model continue the first tokens of every sample's first view where it is trained, greedily.

    Args:
        model: the model.
        tokenizer: the one that made the samples.
        samples: the texts, as they are trained.
        first: how many tokens of the view are given, at least 1; a view that is no longer is left out.
        limits: bound the continuations.

    Raises:
        UserError: a text with its continuation is longer than the model's context.
        ValueError: `first` is less than 1.
    """
    if first < 1:
        raise ValueError(f"first is {first}; at least 1 token is given")
    hub = tokenizer.tokenizer
    decode, pad = decoder(hub), pad_id(hub)
    texts: list[tuple[str, tuple[int, ...], int]] = []
    for sample in samples:
        view = next((view for view in sample.views if view.sequence is not None), None)
        if view is not None and view.sequence is not None and view.end - view.start > first:
            texts.append((sample.name, sample.sequences[view.sequence].ids[: view.end], view.start))
    made = generate(
        model,
        [ids[: start + first] for _, ids, start in texts],
        stop_ids=limits.stop_ids,
        pad_id=pad if pad < model.config.get_text_config().vocab_size else eos_id(hub),
        max_new_tokens=limits.max_new_tokens,
        batch_size=limits.batch_size,
    )
    found: dict[int, Prediction] = {}
    for index, generation in made:
        name, ids, start = texts[index]
        given = ids[start : start + first]
        prompt = decode(given)
        found[index] = Prediction(
            name=name,
            prompt=prompt,
            expected=_behind(prompt, decode(ids[start:])),
            generated=_behind(prompt, decode((*given, *generation.tokens))),
            stopped=generation.stopped,
            tokens=generation.length,
        )
    return [found[index] for index in sorted(found)]


def write_samples(folder: Path, samples: Sequence[Prediction]) -> Path:
    """Write `samples.jsonl` into a run folder, whole or not at all; return its path."""
    rows = [{name: value for name, value in asdict(each).items() if name != "likelihoods"} for each in samples]
    write(folder / SAMPLES, "".join(json.dumps(row) + "\n" for row in rows))
    return folder / SAMPLES


def read_samples(folder: Path) -> list[Prediction]:
    """Return the continuations in a run folder; none where it has no such file.

    Raises:
        UserError: a line is none; the message begins with file and line.
    """
    path = folder / SAMPLES
    return read_predictions(path) if path.exists() else []


def _behind(prompt: str, text: str) -> str:
    """What of a text comes after its beginning: decoded alone, its first token may lose the space before it."""
    return text.removeprefix(prompt)
