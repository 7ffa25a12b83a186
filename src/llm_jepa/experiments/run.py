"""One experiment -> one run folder: train, score, save; the same call continues what was interrupted."""

import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from accelerate import PartialState
from torch import nn
from transformers import PreTrainedModel, ProgressCallback
from transformers.trainer_callback import PrinterCallback

from llm_jepa.errors import UserError
from llm_jepa.evaluation.evaluate import EvaluationItem, evaluate
from llm_jepa.experiments.card import model_card
from llm_jepa.experiments.config import dump_experiment
from llm_jepa.experiments.experiment import Experiment
from llm_jepa.experiments.files import RunFolder, begin_run, check_run, environment, full_disk_explained, write_json
from llm_jepa.experiments.material import Material, prepare_material
from llm_jepa.model.export import export, stop_ids
from llm_jepa.model.load import load_model, prepare
from llm_jepa.model.parts import context_limit, core, input_embedding
from llm_jepa.packing.collate import OverLength, within_length
from llm_jepa.records import Example
from llm_jepa.scoring.text import summarize
from llm_jepa.training.callbacks import CleanStop, CollapseWarning, MetricsFile, Progress
from llm_jepa.training.trainer import JEPATrainer, Samples
from llm_jepa.views.special import pad_id
from llm_jepa.views.tokenize import Sample, Tokenizer

logger = logging.getLogger(__name__)


class Interrupted(Exception):
    """A signal stopped the run; its folder continues with the same command.

    Attributes:
        signal: the signal's number.
        step: optimizer steps that are saved.
    """

    def __init__(self, signal: int, step: int) -> None:
        super().__init__(f"stopped by signal {signal} after step {step}")
        self.signal, self.step = signal, step


def _nothing(*told: object) -> None:
    del told


@dataclass(frozen=True, slots=True, kw_only=True)
class Show:
    """How a run tells its progress.

    Attributes:
        say: called with a line of text when a stage begins.
        train: called with (step, steps in all, latest log).
        evaluate: called with (finished examples, all examples).
    """

    say: Callable[[str], None] = _nothing
    train: Callable[[int, int, dict[str, Any]], None] = _nothing
    evaluate: Callable[[int, int], None] = _nothing


QUIET = Show()


def arm_name(experiment: Experiment) -> str:
    """Return which arm of a comparison a run is: "plain", "jepa", or "shuffled"."""
    if not experiment.objective.trains_views:
        return "plain"
    return "shuffled" if experiment.data.shuffle_pairs else "jepa"


def run_experiment(
    experiment: Experiment, *, arm: str | None = None, overwrite: bool = False, show: Show = QUIET
) -> RunFolder:
    """Train and score one experiment in its run folder; a finished run is left as it is.

    Args:
        experiment: the run.
        arm: the name of the arm in comparisons; None: by the objective.
        overwrite: begin anew in a folder that holds another run.
        show: how progress is told.

    Raises:
        UserError: something the user gave is wrong.
        Interrupted: a signal stopped it.
    """
    experiment.training_arguments(experiment.output)  # refuses bad values before anything is written
    run, config = RunFolder(Path(experiment.output)), dump_experiment(experiment)
    check_run(run, config, overwrite=overwrite)
    if run.results.exists() and not overwrite:
        show.say(f"'{run.root}' is finished; `--overwrite` would begin anew")
        return run
    show.say("reading data and tokenizer")
    material = prepare_material(experiment)
    show.say("loading the model")
    model = load_model(experiment.model, material.tokenizer.tokenizer, seed=experiment.seed)
    processes = PartialState()
    if processes.is_main_process:
        begin_run(run, config, overwrite=overwrite)
        write_json(run.environment, environment(material.examples.fingerprints()))
    processes.wait_for_everyone()
    trainer, stop = make_trainer(experiment, material, model, run, show)
    checkpoint = run.latest_checkpoint()
    if checkpoint is not None:
        show.say(f"continuing from {checkpoint.name}")
    with full_disk_explained(run.root):
        trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
        if stop.signal is not None:
            raise Interrupted(stop.signal, trainer.state.global_step)
        _finish(experiment, material, trainer, run, show, arm=arm or arm_name(experiment))
    processes.wait_for_everyone()
    return run


def make_trainer(
    experiment: Experiment, material: Material, model: PreTrainedModel, run: RunFolder, show: Show
) -> tuple[JEPATrainer, CleanStop]:
    """Prepare the model, check that it can be packed, and return its trainer.

    Raises:
        UserError: samples are too long, the architecture cannot be packed, or an argument is refused.
    """
    tokenizer = material.tokenizer.tokenizer
    if len(tokenizer) > input_embedding(model).num_embeddings:
        raise UserError(f"the tokenizer has {len(tokenizer)} tokens, more than the model's embedding; give the model's own")
    limit = max_length(experiment, model)
    samples, dropped = within_length(material.train, experiment.layout, limit=limit, policy=experiment.data.over_length)
    if dropped:
        logger.warning("%d of %d samples are longer than %d tokens and left out", len(dropped), len(material.train), limit)
    ready = prepare(
        model,
        k=experiment.layout.k,
        seed=experiment.seed,
        one_forward=experiment.packing.one_forward,
        lora=experiment.model.lora,
    )
    stop = CleanStop()
    trainer = JEPATrainer(
        model=ready,
        args=experiment.training_arguments(str(run.checkpoints)),
        objective=experiment.objective,
        layout=experiment.layout,
        samples=samples,
        eval_samples=material.validation or None,
        samples_per_row=experiment.packing.samples_per_row,
        one_forward=experiment.packing.one_forward,
        processing_class=tokenizer,
        callbacks=[MetricsFile(run.metrics), CollapseWarning(), Progress(show.train), stop],
    )
    for noisy in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(noisy)
    return trainer, stop


def max_length(experiment: Experiment, model: PreTrainedModel) -> int:
    """Return the longest sample in tokens of context: what the config says, at most what the model allows."""
    limits = [limit for limit in (experiment.data.max_length, context_limit(model)) if limit is not None]
    return min(limits, default=sys.maxsize)


def items(tokenizer: Tokenizer, examples: Sequence[Example]) -> list[EvaluationItem]:
    """Return what is to be generated for examples."""
    return [
        EvaluationItem(
            name=example.name,
            prompt=tokenizer.prompt_text(example),
            prompt_ids=tuple(tokenizer.prompt_ids(example)),
            expected=example.answer,
        )
        for example in examples
    ]


def score(
    experiment: Experiment,
    model: nn.Module,
    tokenizer: Tokenizer,
    examples: Sequence[Example],
    samples: Sequence[Sample],
    folder: Path,
    show: Show,
) -> dict[str, Any]:
    """Generate and score answers; predictions go to the folder as they are made."""
    hub = tokenizer.tokenizer
    inner = core(model)
    predictions = evaluate(
        inner,
        items(tokenizer, examples),
        decode=lambda ids: str(hub.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)),
        stop_ids=stop_ids(hub, inner, {sample.sequences[-1].ids[-1] for sample in samples}),
        pad_id=pad_id(hub),
        max_new_tokens=experiment.evaluation.max_new_tokens,
        batch_size=experiment.evaluation.batch_size,
        folder=folder,
        progress=show.evaluate,
    )
    return asdict(summarize(predictions))


def _finish(
    experiment: Experiment,
    material: Material,
    trainer: JEPATrainer,
    run: RunFolder,
    show: Show,
    *,
    arm: str,
) -> None:
    """Score the trained model, save it, and write the results last."""
    results: dict[str, Any] = {"arm": arm, "seed": experiment.seed}
    sources = (
        ("validation", material.validation, material.examples.validation),
        ("test", material.test, material.examples.test),
    )
    for split, tokenised, examples in sources:
        if not examples:
            continue
        limit = max_length(experiment, core(trainer.trained))
        samples, _ = within_length(tokenised, experiment.layout, limit=limit, policy=OverLength.drop)
        show.say(f"scoring {len(examples)} {split} examples")
        last = split == ("test" if material.test else "validation")
        folder = run.root if last else run.root / split
        aligned = trainer.evaluate(Samples(samples), metric_key_prefix=split)  # pyright: ignore[reportArgumentType]
        scored: dict[str, Any] = {}
        if trainer.is_world_process_zero() and examples[0].messages:
            scored = score(experiment, trainer.trained, material.tokenizer, examples, samples, folder, show)
        scored |= _alignment(aligned, split)
        results |= {"split": split, **scored} if last else {split: scored}
    totals = trainer.totals()
    if not trainer.is_world_process_zero():
        return
    results |= {
        "weight": experiment.objective.weight,
        "k": experiment.layout.k,
        "steps": trainer.state.global_step,
        "flops": trainer.state.total_flos,
        **totals,
    }
    show.say("saving the model")
    hub, trained = material.tokenizer.tokenizer, trainer.trained
    ends = {sample.sequences[-1].ids[-1] for sample in material.train[:100]}
    stops = stop_ids(hub, core(trained), ends)
    card = model_card(experiment, results)
    export(trained, hub, run.model, stops=stops, card=card, overwrite=True)
    write_json(run.results, results)


def _alignment(metrics: dict[str, float], split: str) -> dict[str, float]:
    names = (
        "loss",
        "next_token",
        "jepa",
        "cosine_matched",
        "cosine_shuffled",
        "cosine_gap",
        "retrieval_at_1",
        "effective_rank",
    )
    found = {name: metrics[f"{split}_{name}"] for name in names if f"{split}_{name}" in metrics}
    if f"{split}_pairs" in metrics:
        found["retrieval_candidates"] = metrics[f"{split}_pairs"]
    return found
