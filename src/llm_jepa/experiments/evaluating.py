"""`llm-jepa evaluate`: answers of a run, or of any model, to any data, generated greedily and scored.

An evaluation is a folder; killed and started again, it ends with the same predictions.

evaluation-settings.json   which model, data and limits; written first, so that two evaluations never mix in one folder
predictions.jsonl          one line an example, written batch by batch
evaluation.json            the scores, written last: a folder with it is finished
"""

import hashlib
import json
from argparse import ArgumentTypeError
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jsonargparse import ArgumentParser, Namespace
from rich.console import Console
from rich.table import Table
from torch import nn
from transformers import PreTrainedModel

from llm_jepa.errors import UserError, nearest
from llm_jepa.evaluation.evaluate import evaluate as predict
from llm_jepa.experiments.commands import asks_for_help, parse
from llm_jepa.experiments.config import load_experiment
from llm_jepa.experiments.experiment import NL_REGEX, Data, Evaluation
from llm_jepa.experiments.files import RunFolder, environment, write_json
from llm_jepa.experiments.material import read_sources
from llm_jepa.experiments.measures import percent
from llm_jepa.experiments.progress import live
from llm_jepa.experiments.quiet import quiet_libraries
from llm_jepa.experiments.run import Show, items
from llm_jepa.experiments.statistics import bootstrap_interval
from llm_jepa.model.export import stop_ids
from llm_jepa.model.load import ModelConfig, load_model, load_tokenizer
from llm_jepa.model.parts import input_embedding
from llm_jepa.records import Example, Prediction
from llm_jepa.scoring.text import exact_match, summarize
from llm_jepa.tasks.files import fingerprint, read_examples
from llm_jepa.views.chat import plain_template
from llm_jepa.views.special import eos_id, pad_id
from llm_jepa.views.tokenize import Tokenizer

SETTINGS, RESULT = "evaluation-settings.json", "evaluation.json"

_IDENTITY = {
    "weights": "of another model",
    "data_fingerprint": "of other examples",
    "max_new_tokens": "with another max_new_tokens",
    "stop_ids": "with other stop tokens",
}
"""The settings that must agree for an evaluation to go on, and what it is when one does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The model that is evaluated, and what is known about how to ask it.

    Attributes:
        model: how it is loaded.
        data: names columns, and which part of "nl_regex" was trained on.
        evaluation: limits that hold unless the command line gives others.
        output: the beginning of the default output folder.
    """

    model: ModelConfig
    data: Data
    evaluation: Evaluation
    output: str


class _Count:
    """Reads a whole number of at least 1 from the command line; its name stands in the help."""

    def __call__(self, given: str | int) -> int:
        if not str(given).isdecimal() or int(given) < 1:
            raise ArgumentTypeError(f"'{given}' is no whole number of at least 1")
        return int(given)

    def __repr__(self) -> str:
        return "whole number"


def evaluate(arguments: Sequence[str]) -> int:
    """Run `llm-jepa evaluate MODEL DATA [options]`."""
    parser = _parser()
    if asks_for_help(arguments):
        parser.print_help()
        return 0
    options = parse(parser, arguments)
    console = Console(stderr=True)
    quiet_libraries(console)
    subject = _subject(options.model)
    folder = Path(options.output or f"{subject.output}-{_stem(options.data)}")
    with live(console) as show:
        scores = _evaluate(subject, options, folder, show)
    Console().print(_table(scores))
    console.print(f"{folder / RESULT} holds the scores, and predictions.jsonl beside it the answers", markup=False)
    return 0


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="llm-jepa evaluate",
        exit_on_error=False,
        allow_abbrev=False,
        description="Generate and score answers. The same command continues an interrupted evaluation.",
    )
    parser.add_argument("model", metavar="MODEL", help="A run folder, a model folder, a Hugging Face name or a .gguf file.")
    parser.add_argument("data", metavar="DATA", help="A file, a folder, a Hugging Face data set, or nl_regex.")
    parser.add_argument("--output", metavar="FOLDER", help="Where the results go; by default a folder named by the two.")
    parser.add_argument("--limit", type=_Count(), metavar="N", help="Only the first N examples.")
    parser.add_argument("--split", metavar="S", help="The split of a Hugging Face data set, or of nl_regex (then test).")
    parser.add_argument("--max_new_tokens", type=_Count(), metavar="N", help="Longest answer in tokens; the run's, or 128.")
    parser.add_argument("--batch_size", type=_Count(), metavar="N", help="Answers generated at a time; the run's, or 32.")
    return parser


def _subject(name: str) -> Subject:
    """Return what `name` stands for; whether a model can be loaded from there shows later."""
    path = Path(name)
    if path.name == "model" and not path.exists() and RunFolder(path.parent).config.is_file():
        return _subject(str(path.parent))
    run = RunFolder(path)
    if not run.config.is_file():
        return Subject(
            model=ModelConfig(name=name),
            data=Data(train=NL_REGEX),
            evaluation=Evaluation(),
            output=f"evaluation-{_stem(name)}",
        )
    if not (run.model / "config.json").is_file():
        other = f", or evaluate what `llm-jepa export {name} FOLDER` writes" if run.latest_checkpoint() else ""
        raise UserError(f"the run '{name}' is not finished and has no model yet; give its train command again{other}")
    experiment = load_experiment(run.config.read_text(encoding="utf-8"))
    own = dict.fromkeys(("config", "gguf", "revision", "tokenizer", "template", "lora"))
    return Subject(
        model=replace(experiment.model, name=str(run.model), **own),
        data=experiment.data,
        evaluation=experiment.evaluation,
        output=str(path / "evaluation"),
    )


def _stem(name: str) -> str:
    """Return what to call a model or data set in a folder's name."""
    path = Path(name)
    last = path.resolve().name
    if last.endswith(".gguf") or path.is_file():
        return Path(last.removesuffix(".gz")).stem
    return last


def _evaluate(subject: Subject, options: Namespace, folder: Path, show: Show) -> Mapping[str, Any]:
    """Generate and score what is not finished, and return the scores."""
    show.say("reading the data")
    examples = _examples(subject.data, options)
    show.say("loading the model")
    tokenizer = Tokenizer(load_tokenizer(subject.model), arguments=subject.model.template_arguments)
    hub = tokenizer.tokenizer
    if hub.chat_template == plain_template(hub):
        show.say("there is no chat template: prompts are in the plain format")
    model = load_model(subject.model, hub, seed=0).to(_device())  # pyright: ignore[reportArgumentType]
    ends = {sample.sequences[-1].ids[-1] for sample in tokenizer.samples(examples)}
    settings = {
        "model": options.model,
        "data": options.data,
        "weights": weights_fingerprint(model),
        "data_fingerprint": fingerprint(examples),
        "max_new_tokens": options.max_new_tokens or subject.evaluation.max_new_tokens,
        "stop_ids": list(stop_ids(hub, model, ends)),
    }
    _open(folder, settings)
    if (folder / RESULT).exists():
        show.say("this evaluation is finished; nothing is generated again")
        return json.loads((folder / RESULT).read_text(encoding="utf-8"))
    batch_size = options.batch_size or subject.evaluation.batch_size
    show.say(f"generating {len(examples)} answers")
    predictions = _predict(model, tokenizer, examples, settings, batch_size=batch_size, folder=folder, show=show)
    versions = environment({"evaluated": fingerprint(examples)})
    scores = _scores(predictions) | settings | {"batch_size": batch_size, "environment": versions}
    write_json(folder / RESULT, scores)
    return scores


def _examples(data: Data, options: Namespace) -> tuple[Example, ...]:
    """Return the examples to answer, and make sure that each can be answered and scored."""
    source, split = options.data, options.split
    if source == NL_REGEX:
        made = read_sources(data if data.train == NL_REGEX else Data(train=NL_REGEX))
        splits = {"train": made.train, "validation": made.validation, "test": made.test}
        if split is not None and split not in splits:
            raise UserError(f"{source} has the splits {', '.join(splits)}, and no '{split}'{nearest(split, splits)}")
        found = splits[split or "test"]
    else:
        found = tuple(read_examples(source, columns=data.columns, split=split))
    examples = found[: options.limit]
    for example in examples:
        if not example.messages:
            raise UserError(f"{example.name}: a list of views has no prompt and no answer; give data with both")
    return examples


def _device() -> torch.device:
    return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")


def weights_fingerprint(model: nn.Module) -> str:
    """Return a SHA-256 (hexadecimal) of names, shapes and evenly spaced values of all weights, the same on every device.

    Up to 4096 values a tensor are read, so that it takes a moment for any size; training moves all of them.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        values = tensor.flatten()[:: max(1, tensor.numel() // 4096)]
        digest.update(values.to(device="cpu", dtype=torch.float64).numpy().tobytes())
    return digest.hexdigest()


def _open(folder: Path, settings: Mapping[str, Any]) -> None:
    """Make the folder of an evaluation with these settings, or make sure that it is that."""
    remedy = "give another folder with `--output`, or move it away"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise UserError(f"output: '{folder}' is no folder and cannot become one; {remedy}") from error
    path = folder / SETTINGS
    if not path.exists():
        if any(not entry.name.endswith(".partial") for entry in folder.iterdir()):
            raise UserError(f"output: '{folder}' is not empty and holds no evaluation; {remedy}")
        write_json(path, settings)
        return
    try:
        before = dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise UserError(f"{path}: no JSON object ({error}); {remedy}") from error
    other = [what for name, what in _IDENTITY.items() if before.get(name) != settings[name]]
    if other:
        raise UserError(f"output: '{folder}' holds an evaluation {' and '.join(other)}; {remedy}")


def _predict(
    model: PreTrainedModel,
    tokenizer: Tokenizer,
    examples: Sequence[Example],
    settings: Mapping[str, Any],
    *,
    batch_size: int,
    folder: Path,
    show: Show,
) -> list[Prediction]:
    hub = tokenizer.tokenizer
    asked = items(tokenizer, examples)
    known = input_embedding(model).num_embeddings
    if max(max(item.prompt_ids) for item in asked) >= known:
        raise UserError(f"the tokenizer has tokens that the model lacks (it knows {known}); they do not belong together")
    try:
        return predict(
            model,
            asked,
            decode=lambda ids: str(hub.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)),
            stop_ids=settings["stop_ids"],
            pad_id=pad_id(hub) if pad_id(hub) < known else eos_id(hub),
            max_new_tokens=settings["max_new_tokens"],
            batch_size=batch_size,
            folder=folder,
            progress=show.evaluate,
        )
    except torch.OutOfMemoryError as error:
        remedy = "give the same command with a smaller `--batch_size`; what is finished is kept"
        raise UserError(f"the memory of the device is too small for {batch_size} answers at a time; {remedy}") from error


def _scores(predictions: Sequence[Prediction]) -> dict[str, Any]:
    """Return the scores; the interval says how far another set of as many examples could differ."""
    correct = [exact_match(each.expected, each.generated) for each in predictions]
    interval = bootstrap_interval(correct, seed=0) if len(correct) > 1 else None
    return {**asdict(summarize(predictions)), "exact_interval": interval}


def _table(scores: Mapping[str, Any]) -> Table:
    low, high = scores["exact_interval"] or (0, 0)
    width = f"  (95 % interval {percent(low)} to {percent(high)})" if low < high else ""
    table = Table(show_header=False)
    table.add_row("examples", str(scores["examples"]))
    table.add_row("exact match", percent(scores["exact"]) + width)
    table.add_row("begins with the answer", percent(scores["prefix"]))
    table.add_row("stopped by itself", percent(scores["stop_rate"]))
    table.add_row("tokens an answer", f"{scores['mean_tokens']:.1f}")
    return table
