"""`analysis.json` of a run folder, as `llm-jepa analyze` leaves it there: what the report shows of the embeddings."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from llm_jepa.errors import UserError

ANALYSIS = "analysis.json"

Points: TypeAlias = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """What was measured on the embeddings of one model. None: not measured, or not finite.

    Attributes:
        singular_values: of Enc(Text) - Enc(Code), in descending order.
        mean_top_100: mean of the first hundred of them.
        linear_map_error: error of the best linear map from Text to Code embeddings (the paper's Table 14).
        unexplained: share of the Code embeddings' variance that the map leaves, on the pairs it was fitted to.
        unexplained_held_out: the same on other pairs.
        text: t-SNE coordinates of the Text embeddings; empty when not made.
        code: those of the Code embeddings.
    """

    singular_values: tuple[float, ...] = ()
    mean_top_100: float | None = None
    linear_map_error: float | None = None
    unexplained: float | None = None
    unexplained_held_out: float | None = None
    text: Points = ()
    code: Points = ()


def parse_analysis(row: Mapping[str, Any], path: Path) -> Analysis:
    """Return the analysis in a JSON object; what else it holds is left aside.

    Raises:
        UserError: a value is none of its kind; the sentence begins with the file.
    """
    numbers = ("mean_top_100", "linear_map_error", "unexplained", "unexplained_held_out")
    try:
        clouds = row.get("tsne") or {}
        return Analysis(
            singular_values=tuple(float(value) for value in row.get("singular_values") or ()),
            text=_points(clouds.get("text") or ()),
            code=_points(clouds.get("code") or ()),
            **{name: _number(row.get(name)) for name in numbers},
        )
    except (TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{path}: no analysis ({error}); make it again with `llm-jepa analyze`") from None


def _points(rows: Any) -> Points:
    return tuple((float(x), float(y)) for x, y in rows)


def _number(value: Any) -> float | None:
    return None if value is None or not math.isfinite(float(value)) else float(value)
