"""The studies and arms that recipes are made of. Every arm is named by what it is, so that recipes share runs."""

from collections.abc import Mapping, Sequence
from typing import Any

from llm_jepa.experiments.results.collected import JEPA, PLAIN, SHUFFLED
from llm_jepa.recipes.facts import LLAMA_1B, SYNTH, Model, Rows
from llm_jepa.recipes.recipe import ACCURACY, Claim, Gain, Reading, Stated, Study, Variant

EPOCHS = 4
"""Of every fine-tuning and pretraining (paper, section 4.1), unless a recipe says otherwise."""

LARGE = 7.0
"""Models of so many billions of parameters recompute activations, so that their states fit on one device."""


def plain(suffix: str = "", **changes: Any) -> Variant:
    """Return plain next-token prediction."""
    return Variant(name=f"plain{suffix}", kind=PLAIN, overrides={"objective.weight": 0.0, **_dotted(changes)})


def jepa(weight: float, k: int, suffix: str = "", **changes: Any) -> Variant:
    """Return LLM-JEPA with this weight (lambda) and k."""
    return Variant(name=_name("jepa", weight, k, suffix), kind=JEPA, overrides=_term(weight, k, changes))


def shuffled(weight: float, k: int, suffix: str = "", **changes: Any) -> Variant:
    """Return the control of `jepa`: every Text with another row's Code."""
    overrides = {**_term(weight, k, changes), "data.shuffle_pairs": True}
    return Variant(name=_name("shuffled", weight, k, suffix), kind=SHUFFLED, overrides=overrides)


def other(kind: str, weight: float, k: int, **changes: Any) -> Variant:
    """Return LLM-JEPA with another design, an arm of its own in reports."""
    return Variant(name=_name(kind, weight, k, ""), kind=kind, overrides=_term(weight, k, changes))


def _name(kind: str, weight: float, k: int, suffix: str) -> str:
    return f"{kind} k{k} weight {weight:g}{suffix}"


def _term(weight: float, k: int, changes: Mapping[str, Any]) -> dict[str, Any]:
    return {"objective.weight": weight, "layout.k": k, **_dotted(changes)}


def _dotted(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return changes by the config's dotted names: `objective__gamma` is objective.gamma."""
    return {name.replace("__", "."): value for name, value in changes.items()}


def study(model: Model, rows: Rows, rate: float, arms: Sequence[Variant], *, epochs: int = EPOCHS, **more: Any) -> Study:
    """Return a study.

    Args:
        model: which model.
        rows: which data.
        rate: learning rate of all arms.
        arms: what is trained.
        epochs: passes over the training rows; other than the usual, accuracy is measured after each.
        more: further fields of `Study`; `settings` go on top of those of the model and the data.
    """
    each_epoch = epochs != EPOCHS and more.get("pretrained") is None
    settings = {
        **model.settings,
        **rows.settings,
        "training.learning_rate": rate,
        "training.num_train_epochs": epochs,
        **({"evaluation.each_epoch": True} if each_epoch else {}),
        **({"training.gradient_checkpointing": True} if model.billions >= LARGE else {}),
        **more.pop("settings", {}),
    }
    suffix = f"-{epochs}-epochs" if epochs != EPOCHS else ""
    return Study(
        name=f"{model.key}-{rows.task}-{rate:.0e}{suffix}".replace("e-0", "e-"),
        title=f"{model.title} on {rows.title}{f', {epochs} epochs' if each_epoch else ''}",
        model=model,
        rows=rows,
        settings=settings,
        arms=tuple(arms),
        **more,
    )


def pair(  # noqa: PLR0913 - one row of a table of the paper
    model: Model,
    rows: Rows,
    rate: float,
    term: tuple[float, int],
    *,
    stated: tuple[str, str],
    p: str,
    reading: Reading = ACCURACY,
    note: str = "",
    **more: Any,
) -> Study:
    """Return a row of the paper's tables: plain training and LLM-JEPA, with the shuffled control beside them.

    Args:
        model: which model.
        rows: which data.
        rate: learning rate of both.
        term: weight (lambda) and k.
        stated: accuracy of plain training and of LLM-JEPA.
        p: the paper's p.
        reading: what the paper calls accuracy here.
        note: on both numbers.
        more: further arguments of `study`.
    """
    weight, k = term
    arms = (plain(), jepa(weight, k), shuffled(weight, k))
    named = (arms[0], "plain"), (arms[1], f"LLM-JEPA (λ = {weight:g}, k = {k})")
    claims = [
        Claim(setting=setting, arm=arm.name, paper=Stated(text), reading=reading, note=note)
        for (arm, setting), text in zip(named, stated, strict=True)
    ]
    control = Claim(setting="shuffled pairs, the control", arm=arms[2].name, reading=reading)
    gains = (
        Gain(treatment=arms[1].name, control=arms[0].name, p=p, reading=reading),
        Gain(treatment=arms[1].name, control=arms[2].name, reading=reading),
    )
    return study(model, rows, rate, arms, claims=(*claims, control), gains=gains, **more)


MAIN = (1.0, 1)
"""Weight and k of the paper's main setting: Llama 3.2 1B on NL-RX-SYNTH."""
MAIN_RATE = 2e-5


def main_pair() -> Study:
    """Return the paper's main setting, which many tables and figures share."""
    return pair(LLAMA_1B, SYNTH, MAIN_RATE, MAIN, stated=("57.29 ± 5.32", "71.46 ± 1.34"), p="1.0e-3")
