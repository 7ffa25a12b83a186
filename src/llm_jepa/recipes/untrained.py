"""The model that a run started from, for `llm-jepa analyze` to read: its name, or a folder with random weights."""

from pathlib import Path

from llm_jepa.experiments.answers import stops
from llm_jepa.experiments.experiment import Experiment
from llm_jepa.experiments.material import prepare_material
from llm_jepa.model.export import export
from llm_jepa.model.load import load_model

CARD = "# Untrained\n\nRandom weights, as a run started from them; written to be analysed beside trained ones.\n"


def untrained(experiment: Experiment, folder: Path) -> str:
    """Return what names the model before training.

    Args:
        experiment: of a run.
        folder: where random weights are written, if the run had some; kept if it is there.
    """
    if experiment.model.name is not None:
        return experiment.model.name
    if not (folder / "config.json").is_file():
        material = prepare_material(experiment)
        hub = material.tokenizer.tokenizer
        model = load_model(experiment.model, hub, seed=experiment.seed)
        export(model, hub, folder, stops=stops(model, material.tokenizer, material.train[:100]), card=CARD, overwrite=True)
    return str(folder)
