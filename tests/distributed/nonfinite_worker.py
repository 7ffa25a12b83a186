"""What each rank of `test_nonfinite_ranks.py` runs: one sample, on one of the ranks, has no finite loss."""

import json
import logging
import math
import os
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

torch.set_num_threads(1)


def main(folder: Path, batch: int, policy: str) -> None:
    """Train the tiny model; the first rank writes `weights.safetensors`, `logs.json` and `told.json` into the folder."""
    from tests.helpers import packed_model, train, weights
    from tests.training.test_nonfinite import Poisoned, samples

    from llm_jepa.errors import UserError
    from llm_jepa.ranks import part
    from llm_jepa.training.nonfinite import OnNan

    told: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: told.append(record.getMessage())
    logging.getLogger("llm_jepa.training.nonfinite").addHandler(handler)
    model = packed_model("llama", k=2, dtype=torch.float64)
    options = {"batch": batch, "steps": 5, "seed": 82, "on_nan": OnNan[policy]}
    logs = []
    try:
        logs = train(model, samples(), Poisoned(weight=1.0, factor=math.nan), folder=folder / "trainer", **options)
    except UserError as error:
        told.append(str(error))
    if int(os.environ.get("RANK", "0")) == 0:
        save_file(weights(model), folder / "weights.safetensors")
        (folder / "logs.json").write_text(json.dumps(logs))
        (folder / "told.json").write_text(json.dumps(told))
    part()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
