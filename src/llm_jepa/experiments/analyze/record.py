"""`analysis.json`, of a run and of a comparison: what is written, key by key (docs/analysis.md)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from llm_jepa.analysis.geometry import LinearMap
from llm_jepa.analysis.retrieval import Retrieval
from llm_jepa.analysis.structure import Relation, Spread, Structure
from llm_jepa.analysis.tsne import Points
from llm_jepa.experiments.subjects import Subject

FORMAT = 1
"""Version of the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alike:
    """Linear centred kernel alignment with the first model's embeddings of the same view, in [0, 1]."""

    text: float
    code: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysed:
    """One model of a comparison.

    Attributes:
        subject: the model, and how it was read.
        weights: checksum of its weights.
        structure: what was measured on its embeddings.
        alike: CKA with the first model; None for the first itself.
        clouds: t-SNE coordinates of Text and Code; None where they were not made.
    """

    subject: Subject
    weights: str
    structure: Structure
    alike: Alike | None = None
    clouds: tuple[Points, Points] | None = None

    @property
    def label(self) -> str:
        """What tables and figures call it."""
        return self.subject.label


def record(item: Analysed) -> dict[str, Any]:
    """Return what is written about one model."""
    found = item.structure
    predicted = found.predicted
    return {
        "model": item.subject.name,
        "weights": item.weights,
        "k": item.subject.experiment.layout.k,
        "pairs": found.pairs,
        "hidden": found.hidden,
        "collapsed": found.trained.collapsed,
        **_relation(found.encoded, "text", "code"),
        "predicted": None if predicted is None else _relation(predicted, "prediction", "target"),
        "views": {
            "text": _spread(found.text),
            "code": _spread(found.code),
            "prediction": None if found.prediction is None else _spread(found.prediction),
        },
        "tsne": None if item.clouds is None else dict(zip(("text", "code"), map(_points, item.clouds), strict=True)),
    }


def compared(item: Analysed, sentence: str) -> dict[str, Any]:
    """Return what is written about one model of a comparison."""
    alike = None if item.alike is None else {"text": _short(item.alike.text), "code": _short(item.alike.code)}
    return {"label": item.label, "sentence": sentence, **record(item), "cka": alike}


def _relation(relation: Relation, first: str, second: str) -> dict[str, Any]:
    return {
        "singular_values": _all_short(relation.singular_values),
        "relative_singular_values": _all_short(relation.relative_singular_values),
        "mean_top_100": _short(relation.mean_top_100),
        "relative_mean_top_100": _short(relation.relative_mean_top_100),
        **_linear(relation.linear),
        "relative_linear_map_error": _short(relation.relative_error),
        "cosine_matched": _short(relation.cosine_matched),
        "cosine_shuffled": _short(relation.cosine_shuffled),
        "cosine_gap": _short(relation.cosine_gap),
        "retrieval": {
            f"{first}_to_{second}": _retrieval(relation.forward),
            f"{second}_to_{first}": _retrieval(relation.backward),
        },
    }


def _linear(found: LinearMap) -> dict[str, Any]:
    held_out = found.unexplained_held_out
    return {
        "linear_map_error": _short(found.error),
        "linear_map_fits_anything": found.fits_anything,
        "unexplained": _short(found.unexplained),
        "unexplained_held_out": None if held_out is None else _short(held_out),
    }


def _retrieval(found: Retrieval) -> dict[str, Any]:
    shares = {f"at_{k}": _short(share) for k, share in found.at.items()}
    return {**shares, "mean_reciprocal_rank": _short(found.mean_reciprocal_rank), "candidates": found.candidates}


def _spread(found: Spread) -> dict[str, float]:
    return {
        "effective_rank": _short(found.effective_rank),
        "effective_rank_centred": _short(found.effective_rank_centred),
        "anisotropy": _short(found.anisotropy),
        "mean_length": _short(found.mean_length),
        "spread": _short(found.spread),
    }


def _points(points: Points) -> list[list[float]]:
    return [[round(x, 3), round(y, 3)] for x, y in points]


def _short(value: float) -> float:
    """Return a number to eight digits: what lies beyond differs between machines."""
    return float(f"{value:.8g}")


def _all_short(values: Sequence[float]) -> list[float]:
    return [_short(value) for value in values]
