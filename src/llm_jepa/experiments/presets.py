"""Presets: named sets of options, as data. What a run gives itself wins over them, and its folder lists what came of it.

`correct` is the default of every field. `paper_code` repeats the arithmetic of the authors' repository on purpose, so that a
user can see how much of a gain is the method and how much the recipe. Each of its options has a row in docs/fidelity.md.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Any

from jsonargparse import Namespace

from llm_jepa.errors import UserError
from llm_jepa.model.families import Family, family_of
from llm_jepa.objective.jepa import Scope
from llm_jepa.views.predictor import Predictor
from llm_jepa.views.tokenize import Labels

LAST_TOKEN = "layout.last_token"


class Preset(Enum):
    """A named set of options.

    Members:
        correct: the defaults.
        paper_code: the arithmetic of the official code.
    """

    correct = "correct"
    paper_code = "paper_code"


OPTIONS: Mapping[Preset, dict[str, Any]] = {
    Preset.correct: {},
    Preset.paper_code: {
        "labels": Labels.official,
        "layout.shared": False,
        "layout.framed": True,
        "model.add_bos": True,
        "model.whole_rendering": True,
        "model.predictor": Predictor.vocabulary,
        "model.dtype": "bfloat16",
        "model.lora.dropout": 0.1,
        "objective.normalization": Scope.micro_batch,
        "objective.dropout_scope": Scope.micro_batch,
        "objective.all_ranks": False,
        "data.max_length": 512,
        "training.bf16": True,
        "training.per_device_train_batch_size": 4,
        "training.gradient_accumulation_steps": 4,
        "training.dataloader_drop_last": True,
    },
}
"""For every preset, the fields of an experiment that it sets. What `paper_code` sets by the family is below."""


def apply_preset(preset: Preset, parsed: Namespace, given: Namespace) -> None:
    """Set the preset's options where the user gave none.

    Args:
        preset: the set of options.
        parsed: all fields of the experiment; changed in place.
        given: the fields that the user gave, and no defaults.

    Raises:
        UserError: the preset needs a number that the model's name does not tell.
    """
    options = OPTIONS[preset] | (_of_family(parsed, given) if preset is Preset.paper_code else {})
    for path, value in options.items():
        group, _, field = path.rpartition(".")
        if group == "training":
            parsed.training.setdefault(field, value)
        elif _place(path) not in given and (not group or parsed[group] is not None):
            parsed[_place(path)] = value


def _place(path: str) -> str:
    """Return where the parser keeps a field: the objective is a class and its arguments to it."""
    group, _, field = path.rpartition(".")
    return f"objective.init_args.{field}" if group == "objective" else path


def _of_family(parsed: Namespace, given: Namespace) -> dict[str, Any]:
    """Return what the official code sets by the family: where it reads embeddings, and who puts the BOS."""
    family = _family(parsed)
    if family is None and LAST_TOKEN not in given:
        raise UserError(
            f"preset paper_code: the official code has no reading position for {parsed.model.name or 'this model'}; set "
            f"{LAST_TOKEN}, counted from the end of a view in the chat template, such as -2"
        )
    if family is None:
        return {}
    lent = family.template is not None and parsed.model.template is None  # it has the BOS that the tokenizer adds there
    return {LAST_TOKEN: family.last_token} | ({"model.add_bos": False} if lent else {})


def _family(parsed: Namespace) -> Family | None:
    named = (name for name in (parsed.model.name, parsed.model.tokenizer) if name is not None)
    return next(filter(None, map(family_of, named)), None)
