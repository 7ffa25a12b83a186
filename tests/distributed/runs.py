"""Whole runs and evaluations that two processes must do as one does: the folders are compared."""

import os
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from tests.distributed.cases import ENGINES
from tests.distributed.cpu_shards import shards_on_cpus
from tests.distributed.launch_environment import launched_by
from tests.experiments.small_runs import ROWS, experiment, restored_logging, run_in_pieces, write_base, write_rows

from llm_jepa.experiments.evaluating import evaluate
from llm_jepa.experiments.experiment import Experiment
from llm_jepa.experiments.files import RunFolder
from llm_jepa.experiments.run import run_experiment
from llm_jepa.model.load import ModelConfig
from llm_jepa.model.lora import LoRA
from llm_jepa.objective.jepa import JEPA

COMPILED = "fsdp2-compiled"
KINDS = {"ddp": ("ddp", None), "fsdp2": ("fsdp2", None), "fsdp2-lora": ("fsdp2", LoRA(rank=4)), COMPILED: ("fsdp2", None)}
"""Engine and adapters of each run; the base model ties its output layer to its embedding. One process never compiles."""

ROW_COUNT, TOGETHER = 7, 4


def write_inputs(root: Path) -> None:
    """Write data and base model, before any process is launched."""
    rows = [{"text": f"{row['text']} or {word}", "code": row["code"]} for row in ROWS for word in ("dog", "a number")]
    write_rows(root / "rows.jsonl", rows[:ROW_COUNT])
    write_rows(root / "stream.jsonl", rows)
    write_base(root / "base", tied=True)


def described(root: Path, kind: str, *, ranks: int) -> Experiment:
    """Return a run of two epochs that is scored after each, on rows that two processes cannot divide evenly."""
    engine, lora = KINDS[kind]
    compiled = {"torch_compile": True, "torch_compile_backend": "eager"} if kind == COMPILED else {}
    made = experiment(
        root / f"{kind}-{ranks}",
        root / "rows.jsonl",
        ModelConfig(name=str(root / "base"), lora=lora, dtype="float64"),
        max_steps=-1,
        num_train_epochs=2,
        save_strategy="no",
        logging_steps=1,
        per_device_train_batch_size=TOGETHER // ranks,
        per_device_eval_batch_size=TOGETHER // ranks,
        **(ENGINES[engine] | compiled if ranks > 1 else {}),
    )
    return replace(made, evaluation=replace(made.evaluation, max_new_tokens=6, batch_size=2, each_epoch=True))


def run(root: Path, kind: str, *, ranks: int) -> RunFolder:
    """Do one run as one of so many processes."""
    sharding = ranks > 1 and KINDS[kind][0] != "ddp"
    with shards_on_cpus() if sharding else nullcontext():
        return run_experiment(described(root, kind, ranks=ranks))


def run_in_bfloat16(root: Path) -> None:
    """Do a run as `configs/accelerate/fsdp2.yaml` has it: in one go, and stopped after every step and every answer."""
    made = described(root, "fsdp2", ranks=2)
    settings = {name: value for name, value in made.training.items() if not name.startswith("fsdp")}
    settings |= {"save_strategy": "steps", "save_steps": 2}
    made = replace(made, model=replace(made.model, dtype="float32"), training=settings)
    with launched_by("fsdp2"), shards_on_cpus():
        run_experiment(replace(made, output=str(root / "bf16")))
    with launched_by("fsdp2"), shards_on_cpus():
        _, interruptions = run_in_pieces(replace(made, output=str(root / "bf16-pieces")))
    (root / "bf16-interruptions").write_text(str(interruptions))


def run_streamed(root: Path, *, ranks: int) -> RunFolder:
    """Train over a stream, of which the processes take turns, past its end and with a checkpoint in between."""
    made = described(root, "ddp", ranks=ranks)
    settings = dict(made.training) | {"max_steps": 6, "save_strategy": "steps", "save_steps": 2}
    del settings["num_train_epochs"]
    return run_experiment(
        replace(
            made,
            output=str(root / f"stream-{ranks}"),
            data=replace(made.data, train=str(root / "stream.jsonl"), stream=True, buffer=2 * TOGETHER),
            objective=JEPA(weight=0.5, dropout=0.5),
            evaluation=replace(made.evaluation, each_epoch=False),
            training=settings,
        )
    )


def run_evaluation(root: Path, *, ranks: int) -> Path:
    """Evaluate the base model as one of so many processes, and return the folder."""
    folder = root / f"evaluation-{ranks}"
    options = ["--output", str(folder), "--max_new_tokens", "6", "--batch_size", "2"]
    with restored_logging():
        assert evaluate([str(root / "base"), str(root / "rows.jsonl"), *options]) == 0
    return folder


def run_both(root: Path) -> None:
    """Do all of it as one of two processes."""
    for kind in KINDS:
        run(root, kind, ranks=int(os.environ["WORLD_SIZE"]))
    run_in_bfloat16(root)
    run_evaluation(root, ranks=int(os.environ["WORLD_SIZE"]))
    run_streamed(root, ranks=int(os.environ["WORLD_SIZE"]))
