"""What a second process gains: the same steps by one process and by two, data parallel: `python -m benchmarks.scaling`.

The model has random weights and the samples random tokens; only times are read. CPU seconds tell the work, which other
programs on the machine do not lengthen as they do the wall time.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SAMPLES, STEPS, WARM = 16, 12, 2
"""Samples of an optimizer step over all processes, steps, and how many of them come before the measurement."""


def work(folder: Path) -> None:
    """Train as one of the launched processes; write seconds of wall time and of CPU for each sample."""
    import torch

    torch.set_num_threads(1)
    from tests.helpers import conversations
    from transformers import LlamaConfig, LlamaForCausalLM, TrainerCallback, TrainingArguments

    from llm_jepa.model.load import prepare
    from llm_jepa.objective.jepa import JEPA
    from llm_jepa.packing.layout import Layout
    from llm_jepa.training.trainer import JEPATrainer

    rank, ranks = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    shape = LlamaConfig(vocab_size=1024, hidden_size=256, intermediate_size=768, num_hidden_layers=6, num_attention_heads=4)
    marks: dict[int, tuple[float, float]] = {}

    class Clock(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            del args, control, kwargs
            marks[state.global_step] = (time.monotonic(), time.process_time())

    trainer = JEPATrainer(
        model=prepare(LlamaForCausalLM(shape), k=1),
        args=TrainingArguments(
            str(folder / "trainer"),
            per_device_train_batch_size=SAMPLES // ranks,
            max_steps=STEPS,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            use_cpu=True,
        ),
        objective=JEPA(weight=1.0),
        layout=Layout(k=1),
        samples=conversations(256, longest=60),
        callbacks=[Clock()],
    )
    trainer.train()
    wall, cpu = (marks[STEPS][i] - marks[WARM][i] for i in (0, 1))
    (folder / f"{rank}").write_text(f"{wall / (STEPS - WARM) / SAMPLES} {cpu / (STEPS - WARM) / SAMPLES}")


def measured(ranks: int) -> tuple[float, float]:
    """Return milliseconds of wall time, and of CPU over all processes, for a sample."""
    with tempfile.TemporaryDirectory() as folder:
        launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={ranks}"]
        command = [sys.executable, "-W", "ignore", *launcher, "-m", "benchmarks.scaling", "--work", folder]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        subprocess.run(command, env=environment, check=True, capture_output=True)
        found = [tuple(map(float, (Path(folder) / str(rank)).read_text().split())) for rank in range(ranks)]
    return 1000 * max(wall for wall, _ in found), 1000 * sum(cpu for _, cpu in found)


def main(arguments: Sequence[str]) -> None:
    """Measure in turns, and print the least of the rounds."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="measurements of each; the least counts")
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.work is not None:
        work(options.work)
        return
    rounds = [{ranks: measured(ranks) for ranks in (1, 2)} for _ in range(options.rounds)]
    best = {ranks: [min(each[ranks][kind] for each in rounds) for kind in (0, 1)] for ranks in (1, 2)}
    print("| processes | wall time, ms a sample | CPU time of all, ms a sample |\n|---|---|---|")
    for ranks, (wall, cpu) in best.items():
        print(f"| {ranks} | {wall:.2f} | {cpu:.2f} |")
    print(f"\nspeed-up {best[1][0] / best[2][0]:.2f}; CPU time {best[2][1] / best[1][1]:.2f} times")
    print(f"peak memory of a process: {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main(sys.argv[1:])
