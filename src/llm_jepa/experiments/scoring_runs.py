"""A trained run on its held-out examples: answers and their scores, the objective, and the alignment of the views."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torch import nn
from transformers import PreTrainedModel

from llm_jepa.errors import UserError
from llm_jepa.evaluation.answerer import Answerer
from llm_jepa.evaluation.evaluate import evaluate
from llm_jepa.experiments.answers import Limits, answer_limit, answerer, scorer_of, stops
from llm_jepa.experiments.experiment import Experiment
from llm_jepa.experiments.files import RunFolder
from llm_jepa.experiments.interruption import Stoppable
from llm_jepa.experiments.material import Material, max_length, source_of
from llm_jepa.experiments.scores import scores, verdicts
from llm_jepa.experiments.show import Show
from llm_jepa.experiments.verdict_file import write_verdicts
from llm_jepa.model.parts import core
from llm_jepa.packing.collate import OverLength, within_length
from llm_jepa.ranks import first_decides
from llm_jepa.records import Example
from llm_jepa.scoring.scorer import Scorer
from llm_jepa.tasks.task import TEST, VALIDATION
from llm_jepa.training.callbacks import CleanStop
from llm_jepa.training.trainer import JEPATrainer, Samples
from llm_jepa.views.tokenize import Sample

CLOSING = (f"{VALIDATION}_", f"{TEST}_")
"""What the names of logs begin with that are made when a trained run is scored."""

_ALIGNMENT = (
    "loss",
    "next_token",
    "jepa",
    "cosine_matched",
    "cosine_shuffled",
    "cosine_gap",
    "retrieval_at_1",
    "effective_rank",
)


def score_run(
    experiment: Experiment, material: Material, trainer: JEPATrainer, run: RunFolder, show: Show, stop: CleanStop
) -> dict[str, Any]:
    """Score the trained model on validation and test; the last of them, as "split", on the top level.

    Every process takes part; the first alone writes and judges.

    Raises:
        UserError: an example cannot be answered.
        Interrupted: the time was over; what is answered is kept.
    """
    results: dict[str, Any] = {}
    sources = (
        (VALIDATION, material.validation, material.examples.validation),
        (TEST, material.test, material.examples.test),
    )
    for split, tokenised, examples in sources:
        if not examples:
            continue
        limit = max_length(experiment, core(trainer.trained))
        samples, _ = within_length(tokenised, experiment.layout, limit=limit, policy=OverLength.drop)
        show.say(f"scoring {len(examples)} {split} examples")
        last = split == (TEST if material.test else VALIDATION)
        aligned = trainer.evaluate(Samples(samples), metric_key_prefix=split)  # pyright: ignore[reportArgumentType]
        scored: dict[str, Any] = {}
        if examples[0].messages:
            folder = run.root if last else run.root / split
            progress = Stoppable(show.evaluate, stop, trainer.state.global_step)
            scored = answer_split(experiment, material, trainer, split, folder, progress)
        for sentence in scored.get("unknown", {}).values():
            show.say(sentence)
        scored |= _alignment(aligned, split)
        results |= {"split": split, **scored} if last else {split: scored}
    return results


def epoch_split(material: Material) -> str:
    """Return the split that is scored after every epoch: validation, or test where there is none.

    Raises:
        UserError: no held-out row can be answered.
    """
    for split in (VALIDATION, TEST):
        examples, _ = _part(material, split)
        if examples and examples[0].messages:
            return split
    raise UserError("evaluation.each_epoch needs held-out rows with answers; set data.validation, or leave it out")


def answer_split(
    experiment: Experiment,
    material: Material,
    trainer: JEPATrainer,
    split: str,
    folder: Path,
    progress: Callable[[int, int], None],
) -> dict[str, Any]:
    """Answer and score a split; predictions go to the folder as they are made. Every process takes part.

    Args:
        experiment: how answers are made and judged.
        material: the examples.
        trainer: its model answers, with the weights that it has.
        split: validation or test.
        folder: holds the predictions; what is there is kept.
        progress: called with (finished examples, all examples).

    Raises:
        UserError: an example cannot be answered.
    """
    examples, _ = _part(material, split)
    scorer, answers = _asking(experiment, material, core(trainer.trained), split, caller=trainer.trained)
    items = answers.items(material.tokenizer, examples)
    predictions = evaluate(answers, items, folder=folder, progress=progress, together=trainer.sharded)

    def judged() -> dict[str, Any]:
        found = verdicts(scorer, examples, predictions)
        write_verdicts(folder, predictions, found)
        return scores(scorer, found, predictions)

    return first_decides(judged)


def check_answers(experiment: Experiment, material: Material, model: PreTrainedModel) -> None:
    """Refuse held-out rows that cannot be answered now, and not after the training is paid for.

    Raises:
        UserError: a prompt is empty, or leaves no room for an answer.
    """
    for split in (VALIDATION, TEST):
        examples, _ = _part(material, split)
        if examples and examples[0].messages:
            _, answers = _asking(experiment, material, model, split, caller=model)
            answers.check(answers.items(material.tokenizer, examples))


def _asking(
    experiment: Experiment, material: Material, model: PreTrainedModel, split: str, *, caller: nn.Module
) -> tuple[Scorer, Answerer[Any]]:
    """Return what judges the answers to a split, and what makes them: `caller`, the model with whatever is around it."""
    source = source_of(experiment.data, split) or experiment.data.train
    scorer = scorer_of(source, experiment.evaluation, folder=Path(experiment.data.folder))
    limits = Limits(
        stop_ids=stops(model, material.tokenizer, _part(material, split)[1]),
        max_new_tokens=answer_limit(source, experiment.evaluation),
        batch_size=experiment.evaluation.batch_size,
    )
    return scorer, answerer(caller, material.tokenizer, scorer, limits)


def _part(material: Material, split: str) -> tuple[Sequence[Example], Sequence[Sample]]:
    if split == TEST:
        return material.examples.test, material.test
    return material.examples.validation, material.validation


def _alignment(metrics: dict[str, float], split: str) -> dict[str, float]:
    found = {name: metrics[f"{split}_{name}"] for name in _ALIGNMENT if f"{split}_{name}" in metrics}
    if f"{split}_pairs" in metrics:
        found["retrieval_candidates"] = metrics[f"{split}_pairs"]
    return found
