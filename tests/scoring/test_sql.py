import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.scoring.sql_helpers import checksums, database, example, in_archive, in_folder, prediction

from llm_jepa.scoring.scorer import Better
from llm_jepa.scoring.sql import SqlScorer
from llm_jepa.scoring.sql_databases import Databases
from llm_jepa.scoring.sql_execution import Executor, Limits


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    in_archive(folder, "concert", database())
    return folder


@pytest.fixture(scope="module")
def scorer(data: Path) -> Iterator[SqlScorer]:
    made = SqlScorer(databases=Databases(data), executor=Executor(Limits(seconds=1.0)))
    yield made
    made.executor.close()


ANY, NONE = "SELECT name FROM singer", "SELECT name FROM singer WHERE age > 99"
ORDERED = "SELECT name FROM singer ORDER BY age DESC"

# gold, generated, execution, exact_set, exact
CASES = [
    (ANY, ANY, 1, 1, 1),
    (ANY, " SELECT name FROM singer\n", 1, 1, 1),
    (ANY, "select  NAME from Singer;", 1, 1, 0),
    (ANY, "SELECT s.name FROM singer AS s", 1, 1, 0),
    (ANY, "SELECT name AS n FROM singer", 1, 1, 0),  # names of columns do not count
    (ANY, "SELECT name FROM singer ORDER BY name DESC", 1, 0, 0),  # the gold sets no order
    (ANY, "SELECT DISTINCT name FROM singer", 1, 0, 0),  # the same by chance of the data
    (ANY, "SELECT name FROM singer UNION ALL SELECT name FROM singer", 0, 0, 0),
    (ANY, "SELECT name FROM singer LIMIT 2", 0, 0, 0),
    (ANY, "SELECT title FROM song", 0, 0, 0),
    (ANY, "SELECT name, age FROM singer", 0, 0, 0),
    ("SELECT name, age FROM singer", "SELECT age, name FROM singer", 0, 1, 0),  # the order of columns counts
    ("SELECT country FROM singer", "SELECT DISTINCT country FROM singer", 0, 0, 0),  # rows are counted
    (ORDERED, "SELECT name FROM singer ORDER BY age DESC, name", 1, 0, 0),
    (ORDERED, ANY + " ORDER BY age", 0, 0, 0),  # the gold sets an order
    (ORDERED, "VALUES ('Ann'), ('Bob'), ('Cy')", 1, 0, 0),
    (ORDERED, "VALUES ('Bob'), ('Ann'), ('Cy')", 0, 0, 0),
    (
        "SELECT name FROM (SELECT name FROM singer ORDER BY age)",
        "VALUES ('Ann'), ('Bob'), ('Cy')",
        1,
        0,
        0,
    ),  # an inner order
    ("SELECT count(*) FROM singer", "SELECT 3", 1, 0, 0),  # what execution cannot see
    ("SELECT count(*) FROM singer", "SELECT 3.0", 1, 0, 0),
    ("SELECT count(*) FROM singer", "SELECT '3'", 0, 0, 0),
    ("SELECT sum(sales) FROM song WHERE singer_id = 1", "SELECT 0.3", 1, 0, 0),  # 0.30000000000000004
    ("SELECT sum(sales) FROM song WHERE singer_id = 1", "SELECT 0.3001", 0, 0, 0),
    ("SELECT age FROM singer WHERE name = 'Cy'", "SELECT NULL", 1, 0, 0),
    ("SELECT age FROM singer WHERE name = 'Cy'", "SELECT 0", 0, 0, 0),
    ("SELECT age FROM singer WHERE name = 'Cy'", "SELECT ''", 0, 0, 0),
    ("SELECT 'Ann'", "SELECT 'ann'", 0, 0, 0),
    (NONE, "SELECT name FROM singer WHERE age > 98", 1, 0, 0),  # two empty results, again by chance
    (NONE, "SELECT name, age FROM singer WHERE age > 99", 0, 0, 0),  # an empty result still has its columns
    (NONE, ANY, 0, 0, 0),
    (ANY, NONE, 0, 0, 0),
    ('SELECT age FROM singer WHERE name = "Ann"', "SELECT age FROM singer WHERE name = 'Ann'", 1, 1, 0),
    ("SELECT name FROM french", "SELECT name FROM singer WHERE country = 'France'", 1, 0, 0),
    (ANY + ";", ANY, 1, 1, 0),
    (ANY, f"```sql\n{ANY}\n```", 0, 0, 0),  # the text is judged as it is
    (ANY, f"{ANY} The names.", 0, 0, 0),
]


@pytest.mark.parametrize(("gold", "generated", "execution", "exact_set", "exact"), CASES)
def test_verdicts(scorer: SqlScorer, gold: str, generated: str, execution: int, exact_set: int, exact: int):
    assert scorer(example(gold), prediction(generated)) == {
        "execution": execution,
        "exact_set": exact_set,
        "exact": exact,
        "stopped": 1.0,
    }


def test_execution_comes_first_and_every_measure_is_better_when_higher(scorer: SqlScorer):
    assert [measure.name for measure in scorer.measures] == ["execution", "exact_set", "exact", "stopped"]
    assert {measure.better for measure in scorer.measures} == {Better.higher}


def test_an_answer_cut_by_the_limit_of_tokens_is_told_apart(scorer: SqlScorer):
    assert scorer(example(ANY), prediction(ANY, stopped=False)) == {"execution": 1, "exact_set": 1, "exact": 1, "stopped": 0}


UNKNOWN = ["other", "../concert", "/concert", "concert/../concert", "con\0cert", "", ".", "..", "a" * 300, "\ud800", None]


@pytest.mark.parametrize("db_id", UNKNOWN)
def test_an_example_without_its_database_is_left_out_of_execution_only(scorer: SqlScorer, db_id: str | None):
    verdicts = scorer(example(ANY, db_id=db_id), prediction(ANY))
    assert verdicts == {"execution": None, "exact_set": 1, "exact": 1, "stopped": 1}


@pytest.mark.parametrize("gold", ["SELECT nothing FROM singer", "SELECT", "", "DELETE FROM singer", "SELECT random()"])
def test_an_example_whose_gold_does_not_run_is_left_out_of_execution_only(scorer: SqlScorer, gold: str):
    verdicts = scorer(example(gold), prediction("SELECT name FROM singer, song"))
    assert verdicts == {"execution": None, "exact_set": 0, "exact": 0, "stopped": 1}


def test_a_file_that_is_no_database_leaves_its_examples_out(tmp_path: Path):
    in_folder(tmp_path, "concert", b"not a database" * 100)
    scorer = SqlScorer(databases=Databases(tmp_path))
    assert scorer(example(ANY), prediction(ANY))["execution"] is None


def test_no_databases_at_all_leave_execution_out_and_say_which_file_to_put_where(tmp_path: Path):
    scorer = SqlScorer(databases=Databases(tmp_path))
    assert scorer(example(ANY), prediction(ANY))["execution"] is None
    assert scorer.databases.advice == (
        f"{tmp_path}: there are no Spider databases, so the execution of queries is not measured; put spider_databases.zip "
        "there (with <db_id>/<db_id>.sqlite in it), or the folder 'database' of Spider"
    )


def test_a_gold_query_runs_once_however_many_predictions_it_judges(data: Path):
    queries: list[str] = []

    class Counting(Executor):
        def __call__(self, database: bytes, query: str, *, rows: int | None = None):
            queries.append(query)
            return super().__call__(database, query, rows=rows)

    scorer = SqlScorer(databases=Databases(data), executor=Counting())
    assert [scorer(example(ANY), prediction(f"SELECT {n}"))["execution"] for n in (1, 2)] == [0, 0]
    assert queries == [ANY, "SELECT 1", "SELECT 2"]


# The failures of the official evaluator, which runs the text in SQLite's shell and compares what that prints.


@pytest.mark.parametrize("generated", ["garbage", "", "SELECT name FROM singer WHERE age > 99"])
def test_without_the_database_nothing_is_right(data: Path, generated: str):
    """The shell makes an empty database at a wrong path: both queries fail, print nothing, and are "equal"."""
    scorer = SqlScorer(databases=Databases(data / "elsewhere"))
    assert scorer(example(NONE), prediction(generated))["execution"] is None
    assert not (data / "elsewhere").exists()


@pytest.mark.parametrize(
    "generated", ["", "garbage", "SELECT nothing FROM nowhere", "SELECT name FROM singer WHERE", "-- hm"]
)
def test_an_invalid_query_never_equals_an_empty_result(scorer: SqlScorer, generated: str):
    assert scorer(example(NONE), prediction(generated))["execution"] == 0


@pytest.mark.parametrize(
    "command", [".shell touch {}", ".system touch {}", ".output {}", ".import x {}", ".save {}", ".quit"]
)
@pytest.mark.parametrize("before", ["", "SELECT 1;\n"])
def test_a_command_of_the_shell_does_nothing(scorer: SqlScorer, tmp_path: Path, before: str, command: str):
    generated = before + command.format(tmp_path / "made")
    assert scorer(example(NONE), prediction(generated))["execution"] == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("write", ["DELETE FROM singer", "DROP TABLE singer", "UPDATE singer SET name = 'x'"])
def test_a_write_does_not_persist(scorer: SqlScorer, data: Path, write: str):
    before = checksums(data)
    assert scorer(example(NONE), prediction(write))["execution"] == 0
    assert checksums(data) == before
    assert scorer(example("SELECT count(*), max(name) FROM singer"), prediction("SELECT 3, 'Cy'"))["execution"] == 1


def test_the_order_of_rows_counts_only_where_the_gold_sets_one(scorer: SqlScorer):
    backwards = prediction("VALUES ('Cy'), ('Bob'), ('Ann')")
    golds = (ANY, ANY + " ORDER BY name", ANY + " ORDER BY name DESC")
    assert [scorer(example(gold), backwards)["execution"] for gold in golds] == [1, 0, 1]


def test_a_query_without_end_is_ended(data: Path):
    scorer = SqlScorer(databases=Databases(data), executor=Executor(Limits(seconds=0.2)))
    endless = "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n FROM t) SELECT max(n) FROM t"
    assert scorer(example(ANY), prediction(endless))["execution"] == 0
    assert scorer(example(ANY), prediction(ANY))["execution"] == 1


@pytest.mark.parametrize("seed", range(5))
def test_the_order_in_which_predictions_are_judged_does_not_matter(scorer: SqlScorer, seed: int):
    shuffled = random.Random(seed).sample(CASES, k=len(CASES))
    assert all(scorer(example(case[0]), prediction(case[1]))["execution"] == case[2] for case in shuffled)
