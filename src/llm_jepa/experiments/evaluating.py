"""`llm-jepa evaluate`: answers of a run, or of any model, to any data, made greedily or chosen, and scored.

An evaluation is a folder (`experiments.evaluation_folder`); killed and started again, it ends with the same predictions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jsonargparse import ArgumentParser, Namespace

from llm_jepa.errors import UserError
from llm_jepa.evaluation.answerer import Answerer, EvaluationItem
from llm_jepa.evaluation.evaluate import evaluate as predict
from llm_jepa.experiments.answers import Limits, answer_limit, chooses, scorer_of, stops
from llm_jepa.experiments.backends import Asking, Backend, make_answerer
from llm_jepa.experiments.commands import Count, add_trust, asks_for_help, parse
from llm_jepa.experiments.config import CHOICES, plain, read_experiment
from llm_jepa.experiments.evaluation_folder import RESULT, begin_folder, check_folder, finished, weights_fingerprint
from llm_jepa.experiments.experiment import NL_REGEX, Data, Evaluation
from llm_jepa.experiments.files import environment, write_json
from llm_jepa.experiments.named_data import read_named
from llm_jepa.experiments.progress import live
from llm_jepa.experiments.quiet import quiet_libraries
from llm_jepa.experiments.scores import intervals, scores, table, verdicts
from llm_jepa.experiments.screen import Screen
from llm_jepa.experiments.show import Show
from llm_jepa.experiments.subjects import exported, finished_run
from llm_jepa.model.load import ModelConfig, load_model, load_tokenizer
from llm_jepa.model.parts import input_embedding
from llm_jepa.ranks import first_decides, is_first
from llm_jepa.records import Example, Prediction
from llm_jepa.scoring.scorer import Scorer
from llm_jepa.tasks.draw import draw
from llm_jepa.tasks.files import fingerprint
from llm_jepa.tasks.registry import TASKS, find_task
from llm_jepa.views.chat import plain_template
from llm_jepa.views.tokenize import Tokenizer


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


def evaluate(arguments: Sequence[str]) -> int:
    """Run `llm-jepa evaluate MODEL DATA [options]`."""
    parser = _parser()
    if asks_for_help(arguments):
        parser.print_help()
        return 0
    options = parser.instantiate(parse(parser, arguments, choices=CHOICES))
    console = Screen(stderr=True, quiet=not is_first())
    quiet_libraries(console)
    subject = _subject(options.model, trusted=options.trust_code)
    folder = Path(options.output or f"{subject.output}-{_stem(options.data)}")
    with live(console) as show:
        scorer, result = _evaluate(subject, options, folder, show)
    Screen(quiet=not is_first()).print(table(scorer, result))
    console.print(f"{folder / RESULT} holds the scores, and predictions.jsonl beside it the answers", markup=False)
    return 0


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="llm-jepa evaluate",
        exit_on_error=False,
        allow_abbrev=False,
        description="Make and score answers. The same command continues an interrupted evaluation. "
        f"DATA is a task ({', '.join((*TASKS, NL_REGEX))}), a file, a folder or a Hugging Face data set.",
    )
    number = Count()
    parser.add_argument("model", metavar="MODEL", help="A run folder, a model folder, a Hugging Face name or a .gguf file.")
    parser.add_argument("data", metavar="DATA", help="A task, a file, a folder, or a Hugging Face data set.")
    parser.add_argument("--output", metavar="FOLDER", help="Where the results go; by default a folder named by the two.")
    parser.add_argument("--limit", type=number, metavar="N", help="Only N examples, a fixed draw from all over.")
    parser.add_argument("--split", metavar="S", help="The split of a task (then test) or of a Hugging Face data set.")
    parser.add_argument("--folder", metavar="DIR", help="Where the files of tasks lie; the run's, or data.")
    parser.add_argument("--max_new_tokens", type=number, metavar="N", help="Longest answer in tokens; the task's, or 128.")
    parser.add_argument("--batch_size", type=number, metavar="N", help="Answers made at a time; the run's, or 32.")
    parser.add_argument("--scorer", type=Scorer | None, help="What judges: one of the scorers instead of the task's own.")
    parser.add_argument("--backend", type=Backend, default=Backend.transformers, help="What generates.")
    add_trust(parser)
    return parser


def _subject(name: str, *, trusted: bool) -> Subject:
    """Return what `name` stands for; whether a model can be loaded from there shows later."""
    run = finished_run(name)
    if run is None:
        return Subject(
            model=ModelConfig(name=name),
            data=Data(train=NL_REGEX),
            evaluation=Evaluation(),
            output=f"evaluation-{_stem(name)}",
        )
    experiment = read_experiment(run.config, trusted=trusted)
    return Subject(
        model=exported(experiment.model, run),
        data=experiment.data,
        evaluation=experiment.evaluation,
        output=str(run.root / "evaluation"),
    )


def _stem(name: str) -> str:
    """Return what to call a model or data set in a folder's name."""
    path = Path(name)
    last = path.resolve().name
    if last.endswith(".gguf") or path.is_file():
        return Path(last.removesuffix(".gz")).stem
    return last


def _evaluate(subject: Subject, options: Namespace, folder: Path, show: Show) -> tuple[Scorer, Mapping[str, Any]]:
    """Answer and score what is not finished, and return the scores with what judged them."""
    show.say("reading the data")
    examples = _examples(subject.data, options)
    asking = _asking(subject, options, examples, show)
    scorer, limits = asking.scorer, asking.limits
    settings = {
        "model": options.model,
        "data": options.data,
        "weights": weights_fingerprint(asking.model),
        "data_fingerprint": fingerprint(examples),
        "answers": "chosen" if chooses(scorer) else "generated",
        "backend": options.backend.name,
        "max_new_tokens": limits.max_new_tokens,
        "stop_ids": list(limits.stop_ids),
    }
    first_decides(lambda: check_folder(folder, settings))
    if (before := first_decides(lambda: finished(folder, scorer=plain(scorer)))) is not None:
        show.say("this evaluation is finished; nothing is generated again")
        return scorer, before
    answering = _answering(asking, options.backend, examples)
    first_decides(lambda: begin_folder(folder, settings))
    predictions = _predict(asking, answering, folder, show)
    settings |= {"scorer": plain(scorer), "batch_size": limits.batch_size}
    result = first_decides(lambda: _judged(scorer, examples, predictions, settings, folder))
    for sentence in result.get("unknown", {}).values():
        show.say(sentence)
    return scorer, result


def _judged(
    scorer: Scorer, examples: Sequence[Example], predictions: Sequence[Prediction], settings: Mapping[str, Any], folder: Path
) -> dict[str, Any]:
    """Score the predictions, and write the scores last."""
    found = verdicts(scorer, examples, predictions)
    result = {**scores(scorer, found, predictions), **intervals(scorer, found), **settings}
    result["environment"] = environment({"evaluated": fingerprint(examples)})
    write_json(folder / RESULT, result)
    return result


def _asking(subject: Subject, options: Namespace, examples: Sequence[Example], show: Show) -> Asking:
    """Load the model, and settle how its answers are made and judged: by the command line, the run, or the task."""
    own = _own_settings(subject, options.data)
    scorer = options.scorer or scorer_of(options.data, own, folder=_data_folder(subject.data, options))
    show.say("loading the model")
    tokenizer = Tokenizer(load_tokenizer(subject.model), **subject.model.rendering)
    hub = tokenizer.tokenizer
    if hub.chat_template == plain_template(hub):
        show.say("there is no chat template: prompts are in the plain format")
    model = load_model(subject.model, hub, seed=0)
    limits = Limits(
        stop_ids=stops(model, tokenizer, tokenizer.samples(examples)),
        max_new_tokens=options.max_new_tokens or answer_limit(options.data, own),
        batch_size=options.batch_size or own.batch_size,
    )
    return Asking(source=subject.model, model=model, tokenizer=tokenizer, scorer=scorer, limits=limits)


def _data_folder(data: Data, options: Namespace) -> Path:
    return Path(options.folder or data.folder)


def _own_settings(subject: Subject, source: str) -> Evaluation:
    """Return the settings for a source: those of the run, but a task that the run does not know has its own."""
    known = {subject.data.train, subject.data.validation, subject.data.test}
    if source in known or (source != NL_REGEX and find_task(source) is None):
        return subject.evaluation
    return Evaluation(batch_size=subject.evaluation.batch_size)


def _examples(data: Data, options: Namespace) -> tuple[Example, ...]:
    """Return the examples to answer, and make sure that each can be answered and scored."""
    found = read_named(options.data, options.split, data=data, folder=_data_folder(data, options))
    examples = draw(found, options.limit)
    for example in examples:
        if not example.messages:
            raise UserError(f"{example.name}: a list of views has no prompt and no answer; give data with both")
    return examples


def _answering(
    asking: Asking, backend: Backend, examples: Sequence[Example]
) -> tuple[Answerer[Any], Sequence[EvaluationItem]]:
    """Return what answers the examples and what it asks, after making sure that it can; nothing is written yet."""
    known = input_embedding(asking.model).num_embeddings
    if max(max(asking.tokenizer.prompt_ids(example)) for example in examples) >= known:
        raise UserError(f"the tokenizer has tokens that the model lacks (it knows {known}); they do not belong together")
    answers = make_answerer(backend, asking, examples)
    items = answers.items(asking.tokenizer, examples)
    answers.check(items)
    return answers, items


def _predict(
    asking: Asking, answering: tuple[Answerer[Any], Sequence[EvaluationItem]], folder: Path, show: Show
) -> list[Prediction]:
    """Answer the examples; what is finished is kept in the folder."""
    answers, items = answering
    show.say(f"{'weighing' if chooses(asking.scorer) else 'generating'} {len(items)} answers")
    try:
        return predict(answers, items, folder=folder, progress=show.evaluate)
    except torch.OutOfMemoryError as error:
        many = f"{answers.batch_size} answers at a time"
        remedy = "give the same command with a smaller `--batch_size`; what is finished is kept"
        raise UserError(f"the memory of the device is too small for {many}; {remedy}") from error
