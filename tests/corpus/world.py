"""The folder of good input that every mistake begins with: rows, a config, a model, finished runs."""

import json
from pathlib import Path

from llm_jepa.cli import main
from tests.experiments.sample_runs import write_sweep
from tests.experiments.small_runs import restored_logging, write_base, write_rows

MODEL = (
    "{model_type: llama, hidden_size: 32, intermediate_size: 48, num_hidden_layers: 2, num_attention_heads: 2, "
    "max_position_embeddings: 64}"
)
CONFIG = f"""\
output: out
model:
  config: {MODEL}
  vocabulary: 300
data: {{train: good.jsonl, test: good.jsonl}}
training: {{max_steps: 1, use_cpu: true}}
evaluation: {{max_new_tokens: 2}}
"""
TUNED = """\
output: run
model: {name: model}
data: {train: rows.jsonl, test: rows.jsonl}
training: {max_steps: 2, save_strategy: steps, save_steps: 1, save_total_limit: 5, use_cpu: true}
evaluation: {max_new_tokens: 2}
"""


def write_world(here: Path) -> None:
    """Make it: `good.jsonl` and `rows.jsonl`, `mine.yaml` and `tuned.yaml`, `model/`, the finished run `run/`, `runs/`."""
    rows = [{"text": f"line {index}", "code": f"[{index}]"} for index in range(4)]
    (here / "good.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (here / "mine.yaml").write_text(CONFIG)
    (here / "tuned.yaml").write_text(TUNED)
    write_rows(here / "rows.jsonl")
    write_base(here / "model")
    write_sweep(here / "runs", arms=("plain", "jepa"), seeds=(4, 23))
    with restored_logging():
        assert main(["train", "tuned.yaml"]) == 0
