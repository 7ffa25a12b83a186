"""`llm-jepa inspect`: what a run would train on, token by token, and what is wrong with it; loads no weights."""

import io
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from huggingface_hub.errors import StrictDataclassError
from rich.console import Console
from rich.rule import Rule
from rich.table import Table
from rich.text import Text
from transformers import AutoConfig

from llm_jepa.errors import UserError
from llm_jepa.experiments.answers import answer_limit
from llm_jepa.experiments.commands import asks_for_help, config_first
from llm_jepa.experiments.config import parse_experiment
from llm_jepa.experiments.experiment import Experiment
from llm_jepa.experiments.inspect import findings
from llm_jepa.experiments.inspect.findings import Finding, Severity
from llm_jepa.experiments.inspect.token_view import Cell, Pieces, legend, picture, segments
from llm_jepa.experiments.material import Material, prepare_material, source_of
from llm_jepa.experiments.quiet import quiet_libraries
from llm_jepa.experiments.screen import Screen
from llm_jepa.model.load import ModelConfig
from llm_jepa.packing.layout import Layout
from llm_jepa.views.predictor import Predictor
from llm_jepa.views.tokenize import Sample

OPTION = "--examples"
SHOWN = 3
WIDEST = 120
"""Columns: longer lines of tokens are hard to follow."""

HELP = f"""usage: llm-jepa inspect CONFIG [--field value ...] [--examples N]

Show what `llm-jepa train` with the same CONFIG and overrides would train on.
Reads the data, the tokenizer and the model's config, but no weights; writes
nothing. Shown are

  - the first N training examples (default {SHOWN}; 0 for none), token by token
    in every segment: what carries loss, where views lie and where they are read
  - tables of lengths, and of what the JEPA term costs in tokens
  - findings: errors, warnings and notes on labels, stop token, template,
    lengths, views, duplicates and overlap of the splits

The exit code is 0 whatever is found, for findings are for you to judge, and 2
if the config or the data cannot be read. `llm-jepa train --help` lists the
fields of a config.
"""

_STYLES = {Severity.error: "bold red", Severity.warning: "yellow", Severity.note: "cyan"}


def inspect(arguments: Sequence[str]) -> int:
    """Run `llm-jepa inspect CONFIG [--field value ...] [--examples N]` and return 0, whatever is found.

    Raises:
        UserError: the config, the data or the tokenizer cannot be read.
    """
    given, shown = _take_examples(arguments)
    if asks_for_help(given):
        sys.stdout.write(HELP)
        return 0
    if not given:
        raise UserError("inspect needs a config: `llm-jepa inspect CONFIG`; `llm-jepa inspect --help` says more")
    experiment = parse_experiment(config_first(given))
    quiet_libraries(Screen(stderr=True))
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that knows no ▲ shows a ?, instead of an exception
    console = Screen(highlight=False, emoji=False, markup=False)
    console.width = min(console.width, WIDEST)
    material = prepare_material(experiment)
    show(console, experiment, material, shown=shown)
    return 0


def _take_examples(arguments: Sequence[str]) -> tuple[list[str], int]:
    """Return the arguments without `--examples N`, and N."""
    rest: list[str] = []
    value = str(SHOWN)
    remaining = iter(arguments)
    for argument in remaining:
        if argument == OPTION:
            value = next(remaining, "")
        elif argument.startswith(f"{OPTION}="):
            value = argument.removeprefix(f"{OPTION}=")
        else:
            rest.append(argument)
    if not (value.isascii() and value.isdigit()):
        raise UserError(f"{OPTION} is '{value}', but it is a number of training examples to show, 0 or more")
    return rest, int(value)


def show(console: Console, experiment: Experiment, material: Material, *, shown: int) -> None:
    """Print the pictures of the first `shown` training samples, the tables and the findings."""
    found = find(experiment, material)
    console.print(_headline(experiment, material))
    pieces = Pieces(material.tokenizer.tokenizer)
    if shown:
        console.print("", legend(), sep="\n")
    for sample in material.train[:shown]:
        console.print("", _rule(sample.name))
        for line in picture(sample, experiment.layout, pieces, width=console.width):
            console.print(line)
    console.print("", _rule("the beginning of the stream" if material.examples.streamed else "the whole data"))
    console.print(split_table(material), "")
    console.print(segment_table(material.train, experiment.layout, one_forward=experiment.packing.one_forward))
    console.print(_targets(experiment, material))
    counts = [(kind.name, sum(finding.severity is kind for finding in found)) for kind in Severity]
    summary = ", ".join(f"{count} {name}{'s' * (count > 1)}" for name, count in counts if count)
    console.print("", _rule(f"findings: {summary or 'none'}"))
    console.print(_listed(found))


@dataclass(frozen=True, slots=True)
class ModelShape:
    """What a model's config says, as far as it is known.

    Attributes:
        positions: the longest context, in tokens.
        vocabulary: number of tokens that the embedding has.
    """

    positions: int | None = None
    vocabulary: int | None = None


def model_shape(config: ModelConfig) -> ModelShape:
    """Return what the model's config says, without its weights; nothing for a GGUF file.

    Raises:
        UserError: there is no such config.
    """
    try:
        if config.name is None:
            fields = dict(config.config or {})
            shape = AutoConfig.for_model(fields.pop("model_type", None), **fields)
        elif config.gguf or Path(config.name).suffix == ".gguf":
            return ModelShape()
        else:
            code = config.trust_remote_code
            shape = AutoConfig.from_pretrained(config.name, revision=config.revision, trust_remote_code=code)
    except (OSError, ValueError, TypeError, LookupError, ImportError, StrictDataclassError) as error:
        raise UserError(f"the model's config cannot be read: {' '.join(str(error).split())[:300]}") from error
    inner = shape.get_text_config()
    known = inner.to_dict()
    own = config.name is None and "vocab_size" not in (config.config or {})  # random weights take the tokenizer's size
    name = inner.attribute_map.get("max_position_embeddings", "max_position_embeddings")
    return ModelShape(known.get(name), None if own else known.get(inner.attribute_map.get("vocab_size", "vocab_size")))


def find(experiment: Experiment, material: Material) -> list[Finding]:
    """Return what all checks find, the worst first."""
    shape = model_shape(experiment.model)
    checks = (
        *_token_checks(experiment, material),
        *_model_checks(experiment, material, shape),
        *_template_checks(experiment, material),
        *_text_checks(material),
        *_scoring_checks(experiment, material, shape),
    )
    found = [finding for finding in checks if finding is not None]
    return sorted(found, key=lambda finding: list(Severity).index(finding.severity))


def _token_checks(experiment: Experiment, material: Material) -> Iterator[Finding | None]:
    hub, samples = material.tokenizer.tokenizer, material.train
    yield findings.no_labels(samples)
    yield findings.untrained_stop(samples, hub)
    yield findings.double_bos(samples, hub)
    yield findings.unknown_tokens(samples, hub)
    yield findings.dominated_views(samples, experiment.layout)


def _model_checks(experiment: Experiment, material: Material, shape: ModelShape) -> Iterator[Finding | None]:
    tokens = len(material.tokenizer.tokenizer)
    grows = experiment.model.predictor is Predictor.vocabulary
    if shape.vocabulary is not None and tokens > shape.vocabulary and not grows:
        remedy = "training will refuse it; give the model's own tokenizer"
        yield Finding(Severity.error, f"The tokenizer has {tokens:,} tokens, the model only {shape.vocabulary:,}; {remedy}.")
    limits = {"the model's positions": shape.positions, "data.max_length": experiment.data.max_length}
    known = {source: limit for source, limit in limits.items() if limit is not None}
    if known:
        source = min(known, key=lambda name: known[name])
        policy = experiment.data.over_length
        yield findings.over_long(material.train, experiment.layout, limit=known[source], source=source, policy=policy)


def _template_checks(experiment: Experiment, material: Material) -> Iterator[Finding | None]:
    train = material.examples.train
    conversation = next((example for example in train if example.messages), None)
    if conversation is not None:
        hub, arguments = material.tokenizer.tokenizer, experiment.model.template_arguments
        yield findings.dated_template(hub, conversation, arguments)
        yield findings.unlike_prompts(material.tokenizer, train, material.train)
        yield findings.trimmed(material.tokenizer, train)


def _text_checks(material: Material) -> Iterator[Finding | None]:
    train = material.examples.train
    yield findings.few_views(train)
    yield findings.identical_views(train)
    yield findings.contained_views(train)
    yield findings.ambiguous(train)
    yield findings.duplicates(train)
    for split, held_out in (("validation", material.examples.validation), ("test", material.examples.test)):
        yield findings.overlap(train, held_out, split=split)
        yield findings.overlap(train, held_out, split=split, loosely=True)


def _scoring_checks(experiment: Experiment, material: Material, shape: ModelShape) -> Iterator[Finding | None]:
    """Yield what is found on the examples that the run will be scored on; answers of the training set stand in for none."""
    splits = {"test": material.test and material.examples.test, "validation": material.examples.validation}
    split = next((name for name, examples in splits.items() if examples), "training")
    examples, held_out = splits.get(split, material.examples.train), split in splits
    source = source_of(experiment.data, split) if held_out else None
    limit = answer_limit(source or experiment.data.train, experiment.evaluation)
    yield findings.long_answers(examples, material.tokenizer.tokenizer, limit=limit, split=split)
    if held_out and shape.positions is not None:
        yield findings.no_room(material.tokenizer, examples, positions=shape.positions, limit=limit, split=split)


def _rule(title: str) -> Rule:
    return Rule(Text(title, "bold"), align="left", style="dim")


def _headline(experiment: Experiment, material: Material) -> Table:
    counts = (("training", material.train), ("validation", material.validation), ("test", material.test))
    sizes = ", ".join(f"{len(samples):,} {name}" for name, samples in counts if samples)
    model, tokens = experiment.model, len(material.tokenizer.tokenizer)
    table = Table.grid(padding=(0, 2))
    table.add_row("data", Text(f"{experiment.data.train}: {sizes} examples"))
    table.add_row("tokenizer", Text(f"{model.tokenizer or model.name or 'trained on the data'}: {tokens:,} tokens"))
    table.add_row("labels", experiment.labels.name)
    if experiment.data.shuffle_pairs:
        table.add_row("pairs", "shuffled: this is the control arm")
    if not experiment.objective.trains_views:
        table.add_row("objective", "plain: the trained sequences alone; only monitors read the other segments")
    return table


def _targets(experiment: Experiment, material: Material) -> Text:
    """Return how many of the predicted views are distinct."""
    pairs = experiment.layout.direction.pairs
    targets = [
        example.views[predicted].content for example in material.examples.train for _, predicted in pairs(len(example.views))
    ]
    distinct = len(set(targets))
    text = f"{distinct:,} of {len(targets):,} predicted views are distinct"
    if distinct < len(targets):
        text += "; retrieval cannot tell equal ones apart, and InfoNCE takes them for negatives"
    return Text(text, "yellow" if 2 * distinct < len(targets) else "")


def _listed(found: Sequence[Finding]) -> Table:
    table = Table.grid(padding=(0, 2))
    for finding in found:
        table.add_row(Text(finding.severity.name, _STYLES[finding.severity]), Text(finding.text))
    if not found:
        table.add_row(Text("nothing found", "green"), Text("labels, stop token, template, lengths, views, overlap"))
    return table


def split_table(material: Material) -> Table:
    """Return the table of lengths and labels, one row a split."""
    table = Table("", box=None, pad_edge=False, header_style="dim")
    for name in ("examples", "tokens, mean", "longest", "labels, mean", "label share"):
        table.add_column(name, justify="right")
    splits = (("train", material.train), ("validation", material.validation), ("test", material.test))
    for name, samples in splits:
        if samples:
            lengths = [sum(len(item.ids) for item in sample.sequences) for sample in samples]
            labels = [sum(sum(item.trained[1:]) for item in sample.sequences) for sample in samples]
            share = sum(labels) / sum(lengths)
            cells = (f"{len(samples):,}", f"{fmean(lengths):,.1f}", f"{max(lengths):,}", f"{fmean(labels):,.1f}")
            table.add_row(name, *cells, f"{share:.0%}")
    return table


def segment_table(samples: Sequence[Sample], layout: Layout, *, one_forward: bool) -> Table:
    """Return the table of what each segment costs, in tokens a sample, and below it the price of the JEPA term."""
    forests = [layout.forest(sample) for sample in samples]
    widest = max(range(len(forests)), key=lambda index: len(forests[index].segments))
    titles = [segment.title for segment in segments(samples[widest], layout, lambda token: Cell(text=str(token)))]
    table = Table("segment", "", box=None, pad_edge=False, header_style="dim")
    table.add_column("tokens, mean", justify="right")
    table.add_column("labels, mean", justify="right")
    plain = extra = 0.0
    for index, title in enumerate(titles):
        present = [forest.segments[index] for forest in forests if index < len(forest.segments)]
        copied = 0 if one_forward else sum(segment.visible for segment in present)
        tokens = (sum(len(segment.ids) for segment in present) + copied) / len(forests)
        labels = sum(sum(segment.trained[1:]) for segment in present) / len(forests)
        plain, extra = (plain + tokens, extra) if title.startswith("trained") else (plain, extra + tokens)
        table.add_row(str(index), title, f"{tokens:,.1f}", f"{labels:,.1f}" if labels else "")
    table.add_row("", f"the JEPA term costs {extra / plain:.0%} more tokens", f"+{extra:,.1f}", style="bold")
    return table
