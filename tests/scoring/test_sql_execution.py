import gc
import math
import threading
from collections.abc import Iterator

import pytest
from tests.scoring.sql_helpers import database

from llm_jepa.errors import UserError
from llm_jepa.scoring import sql_execution
from llm_jepa.scoring.sql_execution import Executor, Limits, QueryError, Result, Row, same_result


@pytest.fixture(scope="module")
def executor() -> Iterator[Executor]:
    made = Executor(Limits(seconds=1.0, rows=100))
    yield made
    made.close()


def result(*rows: Row) -> Result:
    return Result(columns=len(rows[0]) if rows else 1, rows=rows)


# one, two, equal as multisets, equal in order
RESULTS = [
    (result((1,), (2,)), result((1,), (2,)), True, True),
    (result((1,), (2,)), result((2,), (1,)), True, False),
    (result((1,), (1,), (2,)), result((1,), (2,), (2,)), False, False),
    (result((1,), (1,)), result((1,)), False, False),
    (result(), result(), True, True),
    (Result(columns=1, rows=()), Result(columns=2, rows=()), False, False),
    (result((1, 2)), result((2, 1)), False, False),
    (result((1,)), result((1.0,)), True, True),
    (result((1,)), result(("1",)), False, False),
    (result(("a",)), result(("A",)), False, False),
    (result(("a",)), result((b"a",)), False, False),
    (result((None,)), result((None,)), True, True),
    (result((None,)), result((0,)), False, False),
    (result((None,)), result(("",)), False, False),
    (result((0.1 + 0.2,)), result((0.3,)), True, True),
    (result((1e-17,)), result((0,)), True, True),
    (result((1e15,)), result((1e15 + 1,)), True, True),
    (result((0.3333,)), result((1 / 3,)), False, False),
    (result((1.000001,)), result((1,)), False, False),
    (result((10**15,)), result((10**15 + 1,)), False, False),  # whole numbers, such as keys, are exact
    (result((math.inf,)), result((math.inf,)), True, True),
    (result((math.inf,)), result((-math.inf,)), False, False),
    (result((math.inf,)), result((1.7e308,)), False, False),
    # numbers that are almost equal may sort their rows differently
    (result((0.1 + 0.2, "a"), (0.3, "b")), result((0.3, "a"), (0.1 + 0.2, "b")), True, True),
    (result((0.1 + 0.2, "a"), (0.3, "b")), result((0.1 + 0.2, "b"), (0.3, "a")), True, False),
    (result((None, 1), ("a", b"x")), result(("a", b"x"), (None, 1.0)), True, False),
]


@pytest.mark.parametrize(("one", "two", "unordered", "ordered"), RESULTS)
def test_comparison_of_results_is_symmetric(one: Result, two: Result, unordered: bool, ordered: bool):
    assert [same_result(one, two, ordered=False), same_result(two, one, ordered=False)] == [unordered, unordered]
    assert [same_result(one, two, ordered=True), same_result(two, one, ordered=True)] == [ordered, ordered]


def test_values_of_every_type_come_through(executor: Executor):
    query = "SELECT 9223372036854775807, 0.1, 'é', x'00ff', NULL, 1e999, '', cast(x'61ff62' AS TEXT)"
    values = (2**63 - 1, 0.1, "é", b"\x00\xff", None, math.inf, "", "ab")  # bytes that are no UTF-8 are left out of a text
    assert executor(database(), query) == Result(columns=8, rows=(values,))


def test_the_rows_keep_their_order(executor: Executor):
    assert executor(database(), "SELECT name FROM singer ORDER BY name DESC").rows == (("Cy",), ("Bob",), ("Ann",))


def test_an_empty_result_is_a_result(executor: Executor):
    assert executor(database(), "SELECT id, name FROM singer WHERE 0") == Result(columns=2, rows=())


@pytest.mark.parametrize(
    "text", ["SELECT 1", "  select 1;  ", "-- one\nSELECT 1; -- two", "/* a */ WITH t AS (SELECT 1) SELECT * FROM t"]
)
def test_one_statement_runs_with_comments_and_a_semicolon(executor: Executor, text: str):
    assert executor(database(), text).rows == ((1,),)


@pytest.mark.parametrize(("rows", "enough"), [(None, True), (3, True), (2, False), (0, False), (1000, True)])
def test_more_rows_than_allowed_are_an_error(executor: Executor, rows: int | None, enough: bool):
    if enough:
        assert len(executor(database(), "SELECT id FROM singer", rows=rows).rows) == 3
    else:
        with pytest.raises(QueryError, match="larger than allowed"):
            executor(database(), "SELECT id FROM singer", rows=rows)


def test_the_limit_of_rows_holds_whatever_the_call_asks_for(executor: Executor):
    with pytest.raises(QueryError, match="larger than allowed"):
        executor(database(), "SELECT 1 FROM song a, song b, song c, song d, song e", rows=1000)


def test_a_database_in_write_ahead_mode_is_read(executor: Executor):
    data = bytearray(database())
    data[18:20] = b"\x02\x02"
    assert executor(bytes(data), "SELECT count(*) FROM singer").rows == ((3,),)


@pytest.mark.parametrize("data", [b"garbage" * 1000, b"SQLite format 3\0", database()[:5000], b""])
def test_what_is_no_database_has_no_tables(executor: Executor, data: bytes):
    with pytest.raises(QueryError):
        executor(data, "SELECT name FROM singer")


def test_a_child_that_died_is_replaced(executor: Executor):
    executor(database(), "SELECT 1")
    process = executor._process
    assert process is not None
    process.kill()
    process.wait()
    assert executor(database(), "SELECT 2").rows == ((2,),)


LONG_INSTRUCTIONS = "SELECT " + ", ".join(["instr(printf('%090000d', 0), printf('%045000d', 0) || 1)"] * 150)


def test_a_query_that_hears_no_deadline_is_killed_and_the_next_one_runs(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sql_execution, "_GRACE", 0.1)
    executor = Executor(Limits(seconds=0.1))
    with pytest.raises(QueryError, match="killed"):
        executor(database(), LONG_INSTRUCTIONS)
    assert executor(database(), "SELECT 1").rows == ((1,),)
    executor.close()


def test_a_query_that_eats_memory_is_stopped_by_the_heap_and_not_by_the_clock():
    executor = Executor(Limits(seconds=20.0))
    endless = "WITH RECURSIVE t(n) AS (SELECT printf('%090000d', 0) UNION ALL SELECT n || '' FROM t)"
    with pytest.raises(QueryError, match="MemoryError"):
        executor(database(), f"{endless} SELECT n FROM t ORDER BY n DESC")
    assert executor(database(), "SELECT 1").rows == ((1,),)
    executor.close()


def test_a_child_that_does_not_start_is_an_error_and_no_verdict(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sql_execution.sys, "executable", "/bin/false")
    with pytest.raises(UserError, match="does not start under /bin/false"):
        Executor()(database(), "SELECT 1")


def test_the_child_ends_with_its_executor():
    executor = Executor()
    executor(database(), "SELECT 1")
    process = executor._process
    assert process is not None
    del executor
    gc.collect()
    assert process.returncode is not None


def test_threads_get_the_answers_to_their_own_queries(executor: Executor):
    found: dict[int, tuple[Row, ...]] = {}
    data = database()
    work = [threading.Thread(target=lambda n=n: found.update({n: executor(data, f"SELECT {n}").rows})) for n in range(20)]
    for thread in work:
        thread.start()
    for thread in work:
        thread.join()
    assert found == {n: ((n,),) for n in range(20)}


@pytest.mark.parametrize(
    "limits", [{"seconds": 0}, {"seconds": -1}, {"seconds": math.nan}, {"seconds": math.inf}, {"rows": 0}]
)
def test_limits_that_limit_nothing_are_refused(limits: dict[str, float]):
    with pytest.raises(UserError, match=rf"limits\.{next(iter(limits))} is"):
        Limits(**limits)  # type: ignore[arg-type]
