"""The scorer of Spider: does the generated query return what the gold query returns, and is it written alike.

The official code judges Spider by execution too; it is not followed where it makes wrong answers right (`docs/fidelity.md`).
A query that fails, is too slow or too large is wrong and never equals an empty result. What execution
cannot see: another query may return the same on the data at hand by chance, most of all when the gold returns nothing.
"""

from dataclasses import dataclass, field

from llm_jepa.records import Example, Prediction
from llm_jepa.scoring.scorer import Measure, Scorer, Verdicts
from llm_jepa.scoring.sql_databases import Databases
from llm_jepa.scoring.sql_exact import exact_set_match
from llm_jepa.scoring.sql_execution import Executor, QueryError, Result, same_result
from llm_jepa.scoring.sql_tokens import is_ordered
from llm_jepa.scoring.text import exact_match

DATABASE = "db_id"
"""The entry of `Example.extra` that names the database."""

MEASURES = (
    Measure(
        name="execution",
        title="execution match",
        what=(
            "The query returns the gold's rows: as a multiset, or in order when the gold has ORDER BY; columns in order. "
            "Left out: examples whose database is missing or whose gold does not run."
        ),
    ),
    Measure(
        name="exact_set",
        title="exact set match",
        what="The query is written like the gold, clause by clause, values included; order and aliases do not count.",
    ),
    Measure(name="exact", title="exact match", what="The text is the gold's, but for white space at its ends."),
    Measure(name="stopped", title="stopped", what="A stop token ended the text, and not the limit of tokens."),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlScorer(Scorer):
    """Judges SQL by running it. The child process it starts for that ends with the scorer.

    Attributes:
        databases: where the databases are. Without any, `execution` is None throughout; `databases.advice` says why.
        executor: runs the queries, with its limits.
    """

    databases: Databases
    executor: Executor = field(default_factory=Executor)
    _golds: dict[tuple[str, str], Result | None] = field(
        default_factory=dict[tuple[str, str], Result | None], init=False, repr=False, compare=False
    )

    @property
    def measures(self) -> tuple[Measure, ...]:
        """Execution, and beside it how alike the texts are."""
        return MEASURES

    def __call__(self, example: Example, prediction: Prediction) -> Verdicts:
        """Return 1 or 0 for each measure; None for `execution` where the gold has no result."""
        gold, generated = example.answer, prediction.generated
        return {
            "execution": self._execution(example.extra.get(DATABASE, ""), gold, generated),
            "exact_set": float(exact_set_match(gold, generated)),
            "exact": float(exact_match(gold, generated)),
            "stopped": float(prediction.stopped),
        }

    def _execution(self, name: str, gold: str, generated: str) -> float | None:
        database = self.databases.read(name)
        if database is None:
            return None
        expected = self._gold(name, database, gold)
        if expected is None:
            return None
        try:
            found = self.executor(database, generated, rows=len(expected.rows))
        except QueryError:
            return 0.0
        return float(same_result(expected, found, ordered=is_ordered(gold)))

    def _gold(self, name: str, database: bytes, gold: str) -> Result | None:
        """Return the gold's result, computed once; None when it has none."""
        key = name, gold
        if key not in self._golds:
            try:
                self._golds[key] = self.executor(database, gold)
            except QueryError:
                self._golds[key] = None
        return self._golds[key]
