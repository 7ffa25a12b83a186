"""One experiment -> one run folder: train, score, save; the same call continues what was interrupted."""

import errno
import logging
import os
from collections.abc import Callable
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from torch import nn
from transformers import PreTrainedModel, ProgressCallback
from transformers.trainer_callback import PrinterCallback

from llm_jepa.errors import UserError
from llm_jepa.experiments.answers import stops
from llm_jepa.experiments.card import model_card
from llm_jepa.experiments.config import dump_experiment
from llm_jepa.experiments.epochs import EpochScores
from llm_jepa.experiments.experiment import Experiment
from llm_jepa.experiments.files import FORMAT, RunFolder, begin_run, check_run, environment, write_json
from llm_jepa.experiments.interruption import Interrupted
from llm_jepa.experiments.material import Material, max_length, prepare_material, stream_source
from llm_jepa.experiments.obstacles import memory_explained, writing_explained
from llm_jepa.experiments.planning import end_training
from llm_jepa.experiments.scoring_runs import CLOSING, answer_split, check_answers, epoch_split, score_run
from llm_jepa.experiments.show import QUIET, Show
from llm_jepa.model.export import export, full_precision
from llm_jepa.model.load import load_model, prepare
from llm_jepa.model.parts import core, input_embedding
from llm_jepa.model.slots import save_slots
from llm_jepa.packing.collate import within_length
from llm_jepa.training.callbacks import CleanStop, CollapseWarning, MetricsFile, Progress
from llm_jepa.training.checkpoints import recover
from llm_jepa.training.deadline import NEVER, Deadline
from llm_jepa.training.trainer import JEPATrainer

logger = logging.getLogger(__name__)


def arm_name(experiment: Experiment) -> str:
    """Return which arm of a comparison a run is: "plain", "jepa", or "shuffled"."""
    if not experiment.objective.trains_views:
        return "plain"
    return "shuffled" if experiment.data.shuffle_pairs else "jepa"


def run_experiment(
    experiment: Experiment,
    *,
    arm: str | None = None,
    overwrite: bool = False,
    show: Show = QUIET,
    deadline: Deadline = NEVER,
) -> RunFolder:
    """Train and score one experiment in its run folder; a finished run is left as it is.

    Args:
        experiment: the run.
        arm: the name of the arm in comparisons; None: by the objective.
        overwrite: begin anew in a folder that holds another run.
        show: how progress is told.
        deadline: by when to end; the same call continues.

    Raises:
        UserError: something the user gave is wrong.
        Interrupted: a signal stopped it, or the time was over.
    """
    experiment.training_arguments(experiment.output)  # refuses bad values before anything is written
    run, config = RunFolder(Path(experiment.output)), dump_experiment(experiment)
    check_run(run, config, overwrite=overwrite)
    if run.results.exists() and not overwrite:
        show.say(f"'{run.root}' is finished; `--overwrite` would begin anew")
        return run
    show.say("reading data and tokenizer")
    material = prepare_material(experiment, show=show)
    if experiment.evaluation.each_epoch:
        epoch_split(material)  # refuses before anything is written
    show.say("loading the model")
    model = load_model(experiment.model, material.tokenizer.tokenizer, seed=experiment.seed)
    check_answers(experiment, material, model)
    processes = PartialState()
    if processes.is_main_process:
        begin_run(run, config, overwrite=overwrite)
        write_json(run.environment, environment(material.examples.fingerprints()))
    processes.wait_for_everyone()
    trainer, stop = make_trainer(experiment, material, model, run, show, deadline)
    with writing_explained(run.root):
        with memory_explained(experiment, material, trainer.trained, answering=False):
            _train(experiment, material, trainer, run, show, stop)
        results = {"format": FORMAT, "arm": arm or arm_name(experiment), "seed": experiment.seed}
        with memory_explained(experiment, material, trainer.trained, answering=True):
            results |= _score(experiment, material, trainer, run, show, stop)
        _finish(experiment, material, trainer, run, show, results)
    processes.wait_for_everyone()
    return run


def _train(
    experiment: Experiment, material: Material, trainer: JEPATrainer, run: RunFolder, show: Show, stop: CleanStop
) -> None:
    """Train to the end, from the latest checkpoint if there is one."""
    checkpoint = _latest_checkpoint(run)
    if checkpoint is not None:
        show.say(f"continuing from {checkpoint.name}")
    limit = experiment.max_flops
    end_training(trainer, experiment.objective, seed=experiment.seed, max_flops=limit, checkpoint=checkpoint)
    if experiment.evaluation.each_epoch:
        split = epoch_split(material)

        def score(folder: Path, progress: Callable[[int, int], None]) -> dict[str, Any]:
            return answer_split(experiment, material, trainer, split, folder, progress)

        trainer.add_callback(EpochScores(trainer, score, run, stop, show))
    try:
        trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    except UnpicklingError as error:  # Trainer reads its states as plain tensors only, and runs nothing that they name
        raise UserError(
            f"'{checkpoint}' holds a state that is no plain one, but would run code when it is read; remove the "
            "checkpoint, and the same command continues from the one before"
        ) from error
    if stop.stopped:
        raise Interrupted(stop.signal, trainer.state.global_step)


def _score(
    experiment: Experiment, material: Material, trainer: JEPATrainer, run: RunFolder, show: Show, stop: CleanStop
) -> dict[str, Any]:
    """Score the trained model; if that does not end, the weights are saved, also of a training without checkpoints."""
    _check_there(run)
    try:
        with stop.listening():
            return score_run(experiment, material, trainer, run, show, stop)
    except (Interrupted, RuntimeError, MemoryError):
        trainer.save_once()
        raise


def _check_there(run: RunFolder) -> None:
    """Make sure that the folder was not removed, before something makes it anew without what was in it.

    Raises:
        FileNotFoundError: it was.
    """
    if PartialState().is_main_process and not run.config.is_file():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(run.root))


def _latest_checkpoint(run: RunFolder) -> Path | None:
    """Return where all processes continue: what the first one finds, after it has tidied up behind a kill."""
    found = [None]
    if PartialState().is_main_process:
        recover(run.checkpoints)
        found = [run.latest_checkpoint()]
    return broadcast_object_list(found)[0]


def make_trainer(
    experiment: Experiment,
    material: Material,
    model: PreTrainedModel,
    run: RunFolder,
    show: Show,
    deadline: Deadline = NEVER,
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
    ready = _ready(experiment, model)
    stop = CleanStop(deadline)
    trainer = JEPATrainer(
        model=ready,
        args=experiment.training_arguments(str(run.checkpoints)),
        objective=experiment.objective,
        layout=experiment.layout,
        samples=samples,
        eval_samples=material.validation or None,
        stream=stream_source(experiment, material.tokenizer, limit=limit),
        samples_per_row=experiment.packing.samples_per_row,
        one_forward=experiment.packing.one_forward,
        on_nan=experiment.on_nan,
        processing_class=tokenizer,
        callbacks=[MetricsFile(run.metrics, closing=CLOSING), CollapseWarning(), Progress(show.train), stop],
    )
    for noisy in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(noisy)
    return trainer, stop


def _ready(experiment: Experiment, model: PreTrainedModel) -> nn.Module:
    """Return a model with the slots and adapters of the experiment."""
    return prepare(
        model,
        k=experiment.model.slots(experiment.layout.k),
        seed=experiment.seed,
        one_forward=experiment.packing.one_forward,
        lora=experiment.model.lora,
    )


def _finish(
    experiment: Experiment, material: Material, trainer: JEPATrainer, run: RunFolder, show: Show, results: dict[str, Any]
) -> None:
    """Save the trained model, and write the results last."""
    totals, hub = trainer.totals(), material.tokenizer.tokenizer
    trained = trainer.whole(lambda: _ready(experiment, load_model(experiment.model, hub, seed=experiment.seed)))
    if not trainer.is_world_process_zero():
        return
    _check_there(run)
    results |= {
        "weight": experiment.objective.weight,
        "effective_weight": experiment.objective.effective_weight,
        "k": experiment.layout.k,
        "steps": trainer.state.global_step,
        "left_out": trainer.left_out,
        **totals,
    }
    if experiment.evaluation.each_epoch:
        results["epoch_split"] = epoch_split(material)
    show.say("saving the model")
    save_slots(trained, run.predictor)
    ends = stops(core(trained), material.tokenizer, material.train[:100])
    card = model_card(experiment, results)
    whole = full_precision(trained, experiment.model, hub, seed=experiment.seed)
    export(whole, hub, run.model, stops=ends, card=card, overwrite=True)
    write_json(run.results, results)
