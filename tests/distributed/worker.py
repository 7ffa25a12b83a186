"""What each process of the launch runs: every case, one after the other; the first process saves what came out."""

import json
import os
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

torch.set_num_threads(1)


def main(root: Path, checkpoints: Path) -> None:
    """Run the cases under all engines, and resume checkpoints of one process.

    Args:
        root: gets a folder for each engine and case.
        checkpoints: has a folder for each engine whose checkpoint of one process is resumed.
    """
    from tests.distributed.cases import CASES, ENGINES, RESUMED, Outcome, run
    from tests.distributed.runs import run_both

    from llm_jepa.ranks import part

    def save(outcome: Outcome, folder: Path) -> None:
        if os.environ["RANK"] == "0":
            save_file(outcome.weights, folder / "weights.safetensors")
            save_file(outcome.gradients, folder / "gradients.safetensors")
            (folder / "logs.json").write_text(json.dumps(outcome.logs))

    for engine in ("ddp", "fsdp2"):
        for name, case in CASES.items():
            folder = root / engine / name
            folder.mkdir(parents=True, exist_ok=True)
            save(run(case, folder / "trainer", engine=engine, ranks=2), folder)
    for engine in ENGINES:
        for name, resume in (("straight", None), ("resumed", checkpoints / engine / "checkpoint-3")):
            folder = root / engine / name
            folder.mkdir(parents=True, exist_ok=True)
            save(run(RESUMED, folder / "trainer", engine=engine, ranks=2, resume=resume), folder)
    run_both(root / "runs")
    part()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
