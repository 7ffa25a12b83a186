"""Queries that try to write, to reach outside, to never end, to eat memory: each is wrong, in time, and changes nothing."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.scoring.sql_helpers import checksums, database, example, in_archive, in_folder, prediction

from llm_jepa.scoring import sql_worker
from llm_jepa.scoring.sql import SqlScorer
from llm_jepa.scoring.sql_databases import Databases
from llm_jepa.scoring.sql_execution import Executor, Limits, QueryError

EMPTY = (
    "SELECT name FROM singer WHERE age > 99"  # a query that fails must not equal its result, nor may one that returns rows
)
SECONDS = 0.3

WRITES = [
    "DELETE FROM singer",
    "INSERT INTO singer VALUES (9, 'x', 'y', 1)",
    "INSERT INTO singer SELECT * FROM singer",
    "REPLACE INTO singer VALUES (1, 'x', 'y', 1)",
    "UPDATE singer SET name = 'x'",
    "DELETE FROM singer RETURNING name",
    "WITH x AS (SELECT 1) DELETE FROM singer",
    "WITH x AS (SELECT 1) INSERT INTO singer SELECT 9, 'x', 'y', 1",
    "WITH x AS (SELECT 1) UPDATE singer SET name = 'x' RETURNING name",
    "DROP TABLE singer",
    "DROP VIEW french",
    "DROP INDEX by_age",
    "ALTER TABLE singer RENAME TO x",
    "ALTER TABLE singer ADD COLUMN x",
    "CREATE TABLE x (a)",
    "CREATE TABLE x AS SELECT * FROM singer",
    "CREATE TEMP TABLE x AS SELECT 1",
    "CREATE TEMP VIEW x AS SELECT 1",
    "CREATE VIEW x AS SELECT 1",
    "CREATE UNIQUE INDEX x ON singer(id)",
    "CREATE TRIGGER x AFTER INSERT ON singer BEGIN DELETE FROM singer; END",
    "CREATE VIRTUAL TABLE x USING fts5(a)",
    "CREATE VIRTUAL TABLE temp.x USING rtree(id, a, b)",
    "UPDATE sqlite_master SET sql = 'x'",
    "INSERT INTO sqlite_master VALUES ('table', 'x', 'x', 0, 'CREATE TABLE x (a)')",
    "DELETE FROM sqlite_schema",
    "UPDATE sqlite_dbpage SET data = x'00'",
    "REINDEX",
    "ANALYZE",
    "VACUUM",
]
STATE = [
    "PRAGMA writable_schema = ON",
    "PRAGMA journal_mode = DELETE",
    "PRAGMA query_only = OFF",
    "PRAGMA temp_store_directory = '/tmp'",
    "PRAGMA hard_heap_limit = 1",
    "PRAGMA table_info(singer)",
    "PRAGMA database_list",
    "PRAGMA user_version = 7",
    "SELECT name FROM pragma_table_info('singer')",
    "SELECT * FROM pragma_database_list",
    "SELECT name FROM pragma_function_list WHERE 0",
    "BEGIN",
    "BEGIN EXCLUSIVE",
    "COMMIT",
    "ROLLBACK",
    "SAVEPOINT x",
    "RELEASE x",
    "EXPLAIN SELECT 1",
    "EXPLAIN QUERY PLAN SELECT 1",
    "/* hm */ EXPLAIN DELETE FROM singer",
    "DETACH DATABASE main",
]
OUTSIDE = [
    "ATTACH DATABASE '{}' AS x",
    "ATTACH DATABASE ':memory:' AS x",
    "ATTACH 'file:{}?mode=rwc' AS x",
    "VACUUM INTO '{}'",
    "VACUUM main INTO 'file:{}?vfs=unix'",
    "SELECT load_extension('{}')",
    "SELECT load_extension('{}', 'main') FROM singer WHERE 0",
    "SELECT writefile('{}', 'x')",
    "SELECT readfile('/etc/passwd')",
    "SELECT edit('x', 'touch {}')",
    "SELECT fts3_tokenizer('simple')",
    "SELECT fts3_tokenizer('x', x'4141414141414141') FROM singer WHERE 0",
    "SELECT name FROM fsdir('/')",
    "SELECT name FROM zipfile('{}')",
    "CREATE VIRTUAL TABLE temp.x USING csv(filename='{}')",
    ".shell touch {}",
    ".open {}",
    "SELECT name FROM singer WHERE 0;\n.shell touch {}",
    "SELECT name FROM singer WHERE 0; ATTACH '{}' AS x",
    "$(touch {})",
    "'; import os; os.system('touch {}') #",
    '"}}\n{{"query": "SELECT 1", "size": 0}}\n',
]
BROKEN = [
    "",
    " \n\t",
    ";",
    ";;",
    "-- only a comment",
    "/* only a comment */",
    "/* open",
    f"; {EMPTY}",
    f"{EMPTY}; {EMPTY}",
    f"{EMPTY}; DROP TABLE singer",
    f"{EMPTY}; garbage",
    f"{EMPTY};;",
    f"{EMPTY} garbage garbage",
    f"{EMPTY}\0",
    f"\0{EMPTY}",
    "SELECT '\0'",
    "SELECT '\ud800' WHERE 0",
    "\udcff\udcfe",
    "SELECT 'open",
    "SELECT ?",
    "SELECT :name WHERE 0",
    "SELECT random() WHERE 0",
    "SELECT last_insert_rowid() WHERE 0",
    "SELECT name FROM nowhere",
    "SELECT nothing FROM singer WHERE 0",
    "SELECT name FROM singer WHERE name MATCH 'a'",
    "SELECT name FROM singer WHERE name REGEXP '(a+)+$'",
    "SELECT " + "(" * 4000 + "1" + ")" * 4000,
    "SELECT " + "(SELECT " * 200 + "1" + ")" * 200,
    "SELECT " + "NOT " * 2000 + "1",
    "SELECT " + "+".join(["1"] * 2000),
    " UNION ALL ".join(["SELECT 1"] * 400),
    "SELECT " + ", ".join(["name"] * 900) + " FROM singer",
    "SELECT '" + "a" * 1_000_000 + "'",
    "SELECT " * 1000,
    "SELECT abs(" + ", ".join(["1"] * 1000) + ")",
]
_ENDLESS = "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT"
_TEN = ", ".join(f"song s{number}" for number in range(10))
_SIXTY = ", ".join(f"song s{number}" for number in range(60))
BOMBS = [
    f"{_ENDLESS} max(n) FROM t",
    f"{_ENDLESS} n FROM t",
    f"{_ENDLESS} n FROM t WHERE n < 0",
    f"{_ENDLESS} n FROM t ORDER BY n DESC LIMIT 1",
    f"{_ENDLESS} n FROM t ORDER BY n DESC",
    f"{_ENDLESS} group_concat(n) FROM t",
    f"{_ENDLESS} json_group_array(n) FROM t",
    "WITH RECURSIVE t(n) AS (SELECT 1 UNION SELECT n + 1 FROM t) SELECT max(n) FROM t",
    "WITH RECURSIVE t(n) AS (SELECT 'a' UNION ALL SELECT n || n FROM t) SELECT n FROM t",
    "WITH RECURSIVE t(n) AS (SELECT printf('%090000d', 0) UNION ALL SELECT n || '' FROM t) SELECT n FROM t ORDER BY n DESC",
    "WITH RECURSIVE t(n, i) AS (SELECT printf('%090000d', 0), 0 UNION SELECT n, i + 1 FROM t) SELECT n FROM t",
    f"SELECT count(*) FROM {_SIXTY}",
    f"SELECT s0.title FROM {_SIXTY}",
    f"SELECT s0.title FROM {_SIXTY} ORDER BY s1.title, s2.title",
    f"SELECT DISTINCT s0.rowid, s1.rowid, s2.rowid, s3.rowid FROM {_SIXTY}",
    f"SELECT s0.title FROM {_SIXTY} WHERE s59.sales > 99",
    f"SELECT group_concat(s0.title || s1.title) FROM {_TEN}, singer a, singer b, singer c, singer d",
    "SELECT zeroblob(1000000000)",
    "SELECT randomblob(1000000000)",
    "SELECT printf('%.*c', 1000000000, 'x')",
    "SELECT hex(printf('%090000d', 0))",
    "SELECT replace(printf('%090000d', 0), '0', printf('%090000d', 0))",
    "SELECT " + ", ".join(["printf('%090000d', 0)"] * 190),
    "SELECT name FROM singer WHERE name LIKE '" + "%_" * 4000 + "'",
    "SELECT name FROM singer WHERE name GLOB '" + "*?" * 4000 + "'",
    "SELECT printf('%090000d', 0) LIKE '" + "%0" * 90 + "1'",
    "SELECT printf('%090000d', 0) GLOB '" + "*[0]" * 40 + "1'",
    "SELECT " + ", ".join(["instr(printf('%090000d', 0), printf('%045000d', 0) || 1)"] * 150),
]
HOSTILE = [*WRITES, *STATE, *OUTSIDE, *BROKEN, *BOMBS]


@pytest.fixture(scope="module", params=[in_archive, in_folder], ids=["archive", "folder"])
def scorer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqlScorer]:
    folder = tmp_path_factory.mktemp("data")
    request.param(folder, "concert", database())
    made = SqlScorer(databases=Databases(folder), executor=Executor(Limits(seconds=SECONDS)))
    assert made(example(EMPTY), prediction(EMPTY))["execution"] == 1
    yield made
    made.executor.close()


def test_there_are_many():
    assert len(set(HOSTILE)) == len(HOSTILE) >= 130


@pytest.mark.parametrize("query", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_query_is_wrong_in_time_and_leaves_everything_as_it_was(
    scorer: SqlScorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, query: str
):
    monkeypatch.chdir(tmp_path)
    folder = scorer.databases.folder
    before = checksums(folder)
    start = time.monotonic()
    verdicts = scorer(example(EMPTY), prediction(query.replace("{}", str(tmp_path / "made"))))
    assert time.monotonic() - start < SECONDS + 5  # a second until the child is killed, the rest for a busy machine
    assert verdicts == {"execution": 0, "exact_set": 0, "exact": 0, "stopped": 1}
    assert checksums(folder) == before
    assert list(tmp_path.iterdir()) == []


def test_after_all_of_them_the_database_answers_as_before(scorer: SqlScorer):
    gold = "SELECT name, age FROM singer ORDER BY id"
    assert scorer(example(gold), prediction("VALUES ('Ann', 30), ('Bob', 20), ('Cy', NULL)"))["execution"] == 1


@pytest.mark.parametrize("write", [*WRITES, "PRAGMA writable_schema = ON"])
def test_a_write_is_refused_before_it_runs_and_not_only_undone(scorer: SqlScorer, write: str):
    database = scorer.databases.read("concert")
    assert database is not None
    with pytest.raises(QueryError, match=r"not a query that reads|not authorized"):
        scorer.executor(database, write)


@pytest.mark.parametrize("query", [*WRITES, *STATE], ids=range(len(WRITES) + len(STATE)))
def test_sqlite_alone_refuses_what_does_not_read(monkeypatch: pytest.MonkeyPatch, query: str):
    monkeypatch.setattr(sql_worker, "READING", re.compile(""))
    answer = sql_worker.answer(database(), query=query, rows=1000, seconds=1.0)
    refusals = ("not authorized", "authorization denied", "no such table", "may not be modified")
    explains = "EXPLAIN SELECT" in query or "EXPLAIN QUERY" in query  # harmless, and only refused for what it is
    assert ("rows" in answer) if explains else any(each in answer["error"] for each in refusals)
