"""`llm-jepa export`: a run, or one checkpoint of it -> a plain Hugging Face folder, or with LoRA the adapter alone.

A finished run's model is copied. A checkpoint is read back as it was saved: all weights, or the base model that the run's
config names and the adapter. The predictor slots stay behind in every case.
"""

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from llm_jepa.errors import UserError
from llm_jepa.experiments.card import adapter_card, model_card
from llm_jepa.experiments.commands import add_trust, asks_for_help, existing_folder, parse
from llm_jepa.experiments.config import read_experiment
from llm_jepa.experiments.experiment import Experiment
from llm_jepa.experiments.files import RunFolder, write_json
from llm_jepa.experiments.json_files import read_object
from llm_jepa.experiments.quiet import quiet_libraries
from llm_jepa.experiments.results.run_records import read_results
from llm_jepa.experiments.screen import Screen
from llm_jepa.model.export import export as write_model
from llm_jepa.model.export import stop_ids, whole_folder
from llm_jepa.model.load import load_model, load_tokenizer
from llm_jepa.model.slots import NAME
from llm_jepa.records import ASSISTANT, SYSTEM, USER, Example, Message
from llm_jepa.training.checkpoints import damage
from llm_jepa.views.special import eos_id
from llm_jepa.views.tokenize import Tokenizer

ADAPTER, ADAPTER_CONFIG = "adapter_model.safetensors", "adapter_config.json"


@dataclass(frozen=True, slots=True)
class Source:
    """Where the weights come from.

    Attributes:
        folder: a checkpoint, or a finished run's model.
        step: the checkpoint's optimizer step; None for the model of a finished run.
        results: the figures of these weights, where they were scored.
    """

    folder: Path
    step: int | None
    results: Mapping[str, Any]


def export(arguments: Sequence[str]) -> int:
    """Run `llm-jepa export RUN FOLDER [--checkpoint N] [--overwrite] [--adapter]`."""
    parser = _parser()
    if asks_for_help(arguments):
        parser.print_help()
        return 0
    options = parse(parser, arguments)
    console = Screen(stderr=True)
    quiet_libraries(console)
    run = RunFolder(existing_folder(options.run))
    if not run.config.is_file():
        raise UserError(f"'{options.run}' holds no run (no config.yaml); give the folder that `llm-jepa train` wrote")
    experiment = read_experiment(run.config, trusted=options.trust_code)
    if options.adapter and experiment.model.lora is None:
        raise UserError(f"'{options.run}' trained all weights, so there is no adapter; leave `--adapter` out")
    target = _target(run, Path(options.folder), overwrite=options.overwrite)
    source = _source(run, experiment, options.checkpoint, adapter=options.adapter)
    if options.adapter:
        with whole_folder(target, overwrite=options.overwrite) as part:
            _write_adapter(experiment, source, part)
    elif source.step is None:
        _check_links(source.folder)
        with whole_folder(target, overwrite=options.overwrite) as part:
            shutil.copytree(source.folder, part, dirs_exist_ok=True)
    else:
        _write_checkpoint(experiment, source, target, overwrite=options.overwrite)
    what = "the adapter" if options.adapter else "the model"
    when = "at the end of the run" if source.step is None else f"at step {source.step}"
    console.print(f"{options.folder} holds {what} {when}", markup=False)
    return 0


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="llm-jepa export",
        exit_on_error=False,
        allow_abbrev=False,
        description="Write a trained run as a plain Hugging Face folder, which needs nothing of this package.",
    )
    parser.add_argument("run", metavar="RUN", help="The folder of a run, finished or not.")
    parser.add_argument("folder", metavar="FOLDER", help="Where the model goes.")
    parser.add_argument("--checkpoint", metavar="N", help="Take the checkpoint of this step; else the end or the latest.")
    parser.add_argument("--overwrite", action="store_true", help="Replace the model that FOLDER holds.")
    parser.add_argument("--adapter", action="store_true", help="Write the LoRA adapter alone, for use with peft.")
    add_trust(parser)
    return parser


def _target(run: RunFolder, folder: Path, *, overwrite: bool) -> Path:
    """Return the folder to write, after making sure that nothing but a model would be replaced."""
    target, root = folder.resolve(), run.root.resolve()
    own = (root / run.model.name, root / run.checkpoints.name)
    if root.is_relative_to(target) or any(map(target.is_relative_to, own)):
        raise UserError(f"'{folder}' is part of the run or holds it; give another folder")
    if not target.is_dir() or not any(target.iterdir()):
        return target
    if overwrite and not any((target / name).is_file() for name in ("config.json", ADAPTER_CONFIG)):
        raise UserError(f"'{folder}' holds something else than a model, which `--overwrite` does not remove; give another")
    return target


def _source(run: RunFolder, experiment: Experiment, step: str | None, *, adapter: bool) -> Source:
    """Return the weights that the options ask for."""
    results = read_results(run.results) if run.results.exists() else {}
    if step is None and results and not adapter and (run.model / "config.json").is_file():
        return Source(run.model, None, results)
    named = {path.name.rpartition("-")[2]: path for path in run.checkpoints.glob("checkpoint-[0-9]*")}
    there = {number: path for number, path in named.items() if number.isdecimal()}
    listed = ", ".join(sorted(there, key=int)) or "none"
    if step is not None:
        if step not in there:
            raise UserError(f"'{run.root}' has no whole checkpoint of step {step}; there are: {listed}")
        if problem := damage(there[step]):
            raise UserError(f"'{there[step]}' is damaged: {problem}; choose another one (there are: {listed})")
        return Source(there[step], int(step), {})
    latest = run.latest_checkpoint()
    if latest is None:
        raise UserError(f"'{run.root}' has no checkpoint yet; give its train command again")
    if not results:
        return Source(latest, int(latest.name.rpartition("-")[2]), {})
    final = _final_step(experiment, latest, results)
    if final not in there:
        raise UserError(
            f"'{run.root}' kept no checkpoint of its last step {final}; choose one with `--checkpoint` (there are: {listed})"
        )
    return Source(there[final], int(final), results)


def _check_links(folder: Path) -> None:
    """Refuse links: a model folder that is copied and published must not carry a file of this machine along."""
    found = next((path for path in folder.rglob("*") if path.is_symlink()), None)
    if found is not None:
        raise UserError(f"'{found}' is a link, and an exported folder holds its own files; put the file in its place")


def _final_step(experiment: Experiment, latest: Path, results: Mapping[str, Any]) -> str:
    """Return the step whose weights became the run's model."""
    if experiment.training.get("load_best_model_at_end"):
        return str(read_object(latest / "trainer_state.json").get("best_global_step"))
    return str(results.get("steps"))


def _write_checkpoint(experiment: Experiment, source: Source, target: Path, *, overwrite: bool) -> None:
    tokenizer = _tokenizer(experiment, source)
    if experiment.model.lora is None:
        saved = dict.fromkeys(("config", "gguf", "revision"))
        model: nn.Module = load_model(
            replace(experiment.model, name=str(source.folder), **saved), tokenizer, seed=experiment.seed
        )
        stops = stop_ids(tokenizer, model, _ends(experiment, tokenizer))
    else:
        base = load_model(replace(experiment.model, lora=None), tokenizer, seed=experiment.seed)  # never rounded to 4 bits
        stops = stop_ids(tokenizer, base, _ends(experiment, tokenizer))
        model = _adapted(base, source)
    card = model_card(experiment, source.results, step=source.step)
    write_model(model, tokenizer, target, stops=stops, card=card, overwrite=overwrite)


def _tokenizer(experiment: Experiment, source: Source) -> PreTrainedTokenizerBase:
    """Return the tokenizer that the checkpoint was saved with, its chat template included."""
    return load_tokenizer(replace(experiment.model, tokenizer=str(source.folder), revision=None, template=None))


def _ends(experiment: Experiment, tokenizer: PreTrainedTokenizerBase) -> set[int]:
    """Return the token that the chat template closes an answer with, and so every trained sequence ended."""
    turns = tuple(Message(role=role, content="a") for role in (SYSTEM, USER, ASSISTANT))
    rendering = Tokenizer(tokenizer, **experiment.model.rendering)
    sample = next(iter(rendering.samples([Example(name="an empty conversation", messages=turns)])))
    return {sample.sequences[0].stop}


def _adapted(base: PreTrainedModel, source: Source) -> nn.Module:
    """Return the base model with the checkpoint's adapter around it."""
    try:
        from peft import PeftModel
    except ImportError as error:
        raise UserError("a LoRA run needs the package peft: `pip install 'llm-jepa[lora]'`") from error
    with tempfile.TemporaryDirectory() as scratch:
        _write_plain_adapter(source.folder, Path(scratch), base=None, revision=None)
        return PeftModel.from_pretrained(base, scratch)


def _write_adapter(experiment: Experiment, source: Source, folder: Path) -> None:
    tokenizer = _tokenizer(experiment, source)
    model = experiment.model
    _write_plain_adapter(source.folder, folder, base=model.name, revision=model.revision)
    tokenizer.save_pretrained(folder)
    stops = {eos_id(tokenizer), *_ends(experiment, tokenizer)}
    card = adapter_card(experiment, source.results, stops=stops, step=source.step)
    (folder / "README.md").write_text(card, encoding="utf-8")


def _write_plain_adapter(checkpoint: Path, folder: Path, *, base: str | None, revision: str | None) -> None:
    """Write a checkpoint's adapter without the predictor slots, which a plain base model has no place for."""
    weights, config = checkpoint / ADAPTER, checkpoint / ADAPTER_CONFIG
    if not (weights.is_file() and config.is_file()):
        raise UserError(f"'{checkpoint}' holds no adapter as safetensors; choose another with `--checkpoint`")
    kept = {name: value for name, value in load_file(weights).items() if NAME not in name.split(".")}
    settings = read_object(config)
    others = [name for name in settings.get("modules_to_save") or () if name != NAME]
    settings |= {"modules_to_save": others or None, "base_model_name_or_path": base, "revision": revision}
    save_file(kept, folder / ADAPTER, metadata={"format": "pt"})
    write_json(folder / ADAPTER_CONFIG, settings)
