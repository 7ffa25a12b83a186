"""What each rank of `test_ranks.py` runs: a few optimizer steps, then rank 0 saves the weights and the logs."""

import json
import os
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

torch.set_num_threads(1)


def main(folder: Path, kind: str, batch: int, accumulation: int) -> None:
    """Train the tiny model and write `weights.safetensors` and `logs.json` into the folder."""
    from tests.helpers import conversations, packed_model, train, weights

    from llm_jepa.objective.distances import Cosine, InfoNCE
    from llm_jepa.objective.jepa import JEPA, Scope

    objective = {
        "cosine": JEPA(weight=1.0, distance=Cosine()),
        "infonce": JEPA(weight=0.5, distance=InfoNCE()),
        "dropout": JEPA(weight=1.0, dropout=0.5),
        "micro-batches": JEPA(weight=1.0, normalization=Scope.micro_batch),
        "half micro-batches": JEPA(gamma=0.5, weight=0.5, normalization=Scope.micro_batch),
    }[kind]
    model = packed_model("llama", k=2, dtype=torch.float64)
    logs = train(
        model,
        conversations(32),
        objective,
        folder=folder / "trainer",
        batch=batch,
        accumulation=accumulation,
        steps=3,
        seed=82,
    )
    if int(os.environ.get("RANK", "0")) == 0:
        save_file(weights(model), folder / "weights.safetensors")
        (folder / "logs.json").write_text(json.dumps(logs))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
