"""The model card: what a trained model is, in the form Hugging Face reads."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from llm_jepa.experiments.config import dump_experiment
from llm_jepa.experiments.experiment import Experiment
from llm_jepa.model.load import ModelConfig
from llm_jepa.views.chat import PINNED_ARGUMENTS

_SHOWN = ("examples", "exact", "prefix", "stop_rate", "cosine_gap", "retrieval_at_1", "effective_rank")


def model_card(experiment: Experiment, results: Mapping[str, Any], *, step: int | None = None) -> str:
    """Return README.md for the exported folder: origin, JEPA settings, results, how to use it.

    Args:
        experiment: the run.
        results: the figures of these very weights; empty when they were not scored.
        step: the optimizer step of a checkpoint; None for the end of the run.
    """
    return f"""---
library_name: transformers
pipeline_tag: text-generation
tags: [llm-jepa]
---

# Trained with LLM-JEPA from {experiment.model.name or "random weights"}

{_training(experiment, step)}
The [PRED] vectors are needed in training only and are not part of this folder: it is a plain transformers model.

{_results(results)}
## Use

```python
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("path/to/this/folder")
model = AutoModelForCausalLM.from_pretrained("path/to/this/folder")
{_prompt(experiment.model)}
print(tokenizer.decode(model.generate(**prompt, max_new_tokens=64)[0]))
```

{_configuration(experiment)}"""


def adapter_card(
    experiment: Experiment, results: Mapping[str, Any], *, stops: Collection[int], step: int | None = None
) -> str:
    """Return README.md for a folder with the LoRA adapter alone.

    Args:
        experiment: the run.
        results: the figures of these very weights; empty when they were not scored.
        stops: tokens that end a generation, which an adapter cannot tell the base model.
        step: the optimizer step of a checkpoint; None for the end of the run.
    """
    return f"""---
library_name: peft
pipeline_tag: text-generation
tags: [llm-jepa, lora]
---

# LoRA adapter trained with LLM-JEPA on {experiment.model.name or "random weights"}

{_training(experiment, step)}
The [PRED] vectors are needed in training only and are not part of this folder: it is a plain peft adapter.

{_results(results)}
## Use

```python
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("path/to/this/folder")
base = {_base(experiment.model)}
model = PeftModel.from_pretrained(base, "path/to/this/folder")
{_prompt(experiment.model)}
print(tokenizer.decode(model.generate(**prompt, max_new_tokens=64, eos_token_id={sorted(stops)})[0]))
```

{_configuration(experiment)}"""


def _training(experiment: Experiment, step: int | None) -> str:
    objective, layout = experiment.objective, experiment.layout
    where = "" if step is None else f"These are the weights of the checkpoint at optimizer step {step}.\n"
    return f"""\
Objective (LLM-JEPA, eq. 3): {objective.gamma:g} x next-token loss + {objective.weight:g} x distance between the predicted
and the actual embedding of the other view. Distance {type(objective.distance).__name__}, k = {layout.k} [PRED] tokens,
direction {layout.direction.name}, loss dropout {objective.dropout:g}, labels {experiment.labels.name},
seed {experiment.seed}.
{where}"""


def _results(results: Mapping[str, Any]) -> str:
    measured = [
        f"| {name} | {value:.4g} |"
        for name, value in results.items()
        if name in (*results.get("titles", {}), *_SHOWN) and isinstance(value, int | float)
    ]
    table = "\n".join(["| measure | value |", "|---|---|", *measured]) if measured else "None were measured."
    return f"## Results on held-out rows ({results.get('split', 'none')})\n\n{table}\n"


def _prompt(model: ModelConfig) -> str:
    arguments = {**PINNED_ARGUMENTS, **model.template_arguments}
    return f"""\
question = [{{"role": "user", "content": "..."}}]
arguments = {arguments}  # what the chat template was given in training
prompt = tokenizer.apply_chat_template(
    question, add_generation_prompt=True, return_tensors="pt", return_dict=True, **arguments
)"""


def _base(model: ModelConfig) -> str:
    if model.name is None:
        return "...  # the random weights that the configuration below describes"
    path = Path(model.name)
    if model.gguf is None and path.suffix == ".gguf":
        return f'AutoModelForCausalLM.from_pretrained("{path.parent}", gguf_file="{path.name}")'
    options = {"gguf_file": model.gguf, "revision": model.revision}
    given = "".join(f', {name}="{value}"' for name, value in options.items() if value is not None)
    return f'AutoModelForCausalLM.from_pretrained("{model.name}"{given})'


def _configuration(experiment: Experiment) -> str:
    return f"""\
## Configuration

```yaml
{dump_experiment(experiment).strip()}
```
"""
