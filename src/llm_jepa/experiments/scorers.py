"""The scorers that a config can name: `evaluation.scorer: {class_path: FinalNumber}`.

A class name alone resolves once the class is imported, so they are all imported here; any other subclass of `Scorer` is
named by its full path.
"""

from llm_jepa.scoring.choice import ChoiceScorer
from llm_jepa.scoring.labels import LabelPrefix
from llm_jepa.scoring.numbers import FinalNumber
from llm_jepa.scoring.references import AnyReference
from llm_jepa.scoring.regex import RegexScorer
from llm_jepa.scoring.scorer import Scorer
from llm_jepa.scoring.sql import SqlScorer
from llm_jepa.scoring.text import TextScorer

SCORERS: tuple[type[Scorer], ...] = (
    TextScorer,
    RegexScorer,
    FinalNumber,
    AnyReference,
    LabelPrefix,
    SqlScorer,
    ChoiceScorer,
)
