"""The model card: what a trained model is, in the form Hugging Face reads."""

from collections.abc import Mapping
from typing import Any

from llm_jepa.experiments.config import dump_experiment
from llm_jepa.experiments.experiment import Experiment


def model_card(experiment: Experiment, results: Mapping[str, Any]) -> str:
    """Return README.md for the exported folder: origin, JEPA settings, results, how to use it."""
    objective, layout = experiment.objective, experiment.layout
    origin = experiment.model.name or "random weights"
    measured = [
        f"| {name} | {value:.4g} |"
        for name, value in results.items()
        if name in ("examples", "exact", "prefix", "stop_rate", "cosine_gap", "retrieval_at_1", "effective_rank")
    ]
    table = "\n".join(["| measure | value |", "|---|---|", *measured]) if measured else "None were measured."
    return f"""---
library_name: transformers
pipeline_tag: text-generation
tags: [llm-jepa]
---

# Trained with LLM-JEPA from {origin}

Objective (LLM-JEPA, eq. 3): {objective.gamma:g} x next-token loss + {objective.weight:g} x {type(objective.distance).__name__}
distance between the predicted and the actual embedding of the other view; k = {layout.k} [PRED] tokens, direction
{layout.direction.name}, loss dropout {objective.dropout:g}, labels: {experiment.labels.name}, seed {experiment.seed}.

The [PRED] vectors are needed in training only and are not part of this folder: it is a plain transformers model.

## Results on held-out rows ({results.get("split", "none")})

{table}

## Use

```python
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("path/to/this/folder")
model = AutoModelForCausalLM.from_pretrained("path/to/this/folder")
prompt = tokenizer.apply_chat_template(
    [{{"role": "user", "content": "..."}}], add_generation_prompt=True, return_tensors="pt", return_dict=True
)
print(tokenizer.decode(model.generate(**prompt, max_new_tokens=64)[0]))
```

## Configuration

```yaml
{dump_experiment(experiment).strip()}
```
"""
