"""LLM-JEPA: next-token prediction and joint-embedding prediction in one exact, packed forward.

The public names below are loaded when first used (PEP 562), so that `llm-jepa --help` stays quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llm_jepa.errors import UserError as UserError
    from llm_jepa.experiments.experiment import Experiment as Experiment
    from llm_jepa.experiments.run import run_experiment as run_experiment
    from llm_jepa.model.export import export as export
    from llm_jepa.model.load import LoRA as LoRA
    from llm_jepa.model.load import ModelConfig as ModelConfig
    from llm_jepa.model.load import load_model as load_model
    from llm_jepa.model.load import load_tokenizer as load_tokenizer
    from llm_jepa.model.load import prepare as prepare
    from llm_jepa.objective.distances import L2 as L2
    from llm_jepa.objective.distances import Cosine as Cosine
    from llm_jepa.objective.distances import InfoNCE as InfoNCE
    from llm_jepa.objective.distances import MeanSquaredError as MeanSquaredError
    from llm_jepa.objective.jepa import JEPA as JEPA
    from llm_jepa.packing.layout import Layout as Layout
    from llm_jepa.records import Example as Example
    from llm_jepa.records import Message as Message
    from llm_jepa.records import View as View
    from llm_jepa.tasks.columns import Columns as Columns
    from llm_jepa.tasks.files import read_examples as read_examples
    from llm_jepa.training.trainer import JEPATrainer as JEPATrainer
    from llm_jepa.views.pairs import Direction as Direction
    from llm_jepa.views.tokenize import Labels as Labels
    from llm_jepa.views.tokenize import Tokenizer as Tokenizer

_HOMES = {
    "errors": ("UserError",),
    "experiments.experiment": ("Experiment",),
    "experiments.run": ("run_experiment",),
    "model.export": ("export",),
    "model.load": ("LoRA", "ModelConfig", "load_model", "load_tokenizer", "prepare"),
    "objective.distances": ("L2", "Cosine", "InfoNCE", "MeanSquaredError"),
    "objective.jepa": ("JEPA",),
    "packing.layout": ("Layout",),
    "records": ("Example", "Message", "View"),
    "tasks.columns": ("Columns",),
    "tasks.files": ("read_examples",),
    "training.trainer": ("JEPATrainer",),
    "views.pairs": ("Direction",),
    "views.tokenize": ("Labels", "Tokenizer"),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [*_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'llm_jepa' has no attribute '{name}'")
    return vars(import_module(f"llm_jepa.{_HOME[name]}"))[name]
