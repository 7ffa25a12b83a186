import pytest

from llm_jepa.scoring.sql_exact import exact_set_match
from llm_jepa.scoring.sql_tokens import Unreadable, is_ordered, nest, tokens

T = "SELECT a FROM t"
J = "SELECT T1.a, T2.b FROM one AS T1 JOIN two AS T2 ON T1.id = T2.id"

SAME = [
    (T, "select  A\nfrom T ;"),
    (T, "SELECT a -- of t\nFROM /* the */ t"),
    (T, "SELECT `a` FROM [t]"),
    (T, "SELECT t.a FROM t"),
    (T, "SELECT x.a FROM t AS x"),
    (T, "SELECT x.a FROM t x"),
    (T, 'SELECT "x"."a" FROM t AS x'),
    (T, "SELECT a AS b FROM t"),
    (T, "SELECT a 'b' FROM t"),
    ("SELECT a, b FROM t", "SELECT b, a FROM t"),
    ("SELECT count ( * ) FROM t", "SELECT COUNT(*) FROM t"),
    (f"{T} WHERE x = 'A'", f'{T} WHERE x = "A"'),
    (f"{T} WHERE x = 'it''s'", f'{T} WHERE x = "it\'s"'),
    (f"{T} WHERE x = 1", f"{T} WHERE 1 == x"),
    (f"{T} WHERE x <> 1.50", f"{T} WHERE x != 01.5"),
    (f"{T} WHERE x > 1", f"{T} WHERE 1 < x"),
    (f"{T} WHERE x >= 1", f"{T} WHERE (1 <= x)"),
    (f"{T} WHERE x = 1 AND y = 2", f"{T} WHERE y = 2 AND x = 1"),
    (f"{T} WHERE x = 1 OR y = 2", f"{T} WHERE y = 2 OR x = 1"),
    (f"{T} WHERE x = 1 AND (y = 2 OR z = 3)", f"{T} WHERE ((z = 3 OR y = 2)) AND x = 1"),
    (f"{T} WHERE x BETWEEN 1 AND 2 AND y = 3", f"{T} WHERE y = 3 AND x BETWEEN 1 AND 2"),
    (
        f"{T} WHERE x IN (SELECT b FROM u WHERE p = 1 AND q = 2)",
        f"{T} WHERE x IN (SELECT v.b FROM u v WHERE q = 2 AND p = 1)",
    ),
    (f"{T} GROUP BY x, y HAVING count(*) > 2", f"{T} GROUP BY y, x HAVING 2 < count(*)"),
    (f"{T} ORDER BY a, b DESC LIMIT 3", f"{T} ORDER BY a ASC, b DESC LIMIT 3"),
    ("SELECT a, count(*) FROM t GROUP BY a ORDER BY count(*)", "SELECT a, count(*) AS n FROM t GROUP BY a ORDER BY n ASC"),
    (J, "SELECT y.b, x.a FROM two y JOIN one x ON y.id = x.id"),
    (J, "SELECT one.a, two.b FROM one INNER JOIN two ON one.id = two.id"),
    (f"{T} UNION SELECT b FROM u", f"{T} AS x UNION SELECT u.b FROM u"),
    (f"{T} WHERE x > (SELECT avg(x) FROM t)", f"{T} WHERE (SELECT avg(t.x) FROM t) < x"),
    ("SELECT a FROM (SELECT a, b FROM t) AS s", "SELECT s2.a FROM (SELECT b, a FROM t) s2"),
    (f"WITH w AS ({T}) SELECT a FROM w", f"WITH w AS ({T} AS x) SELECT a FROM w"),
]


@pytest.mark.parametrize(("one", "two"), SAME)
def test_queries_written_alike_match_both_ways(one: str, two: str):
    assert exact_set_match(one, two)
    assert exact_set_match(two, one)


DIFFERENT = [
    (T, "SELECT b FROM t"),
    (T, "SELECT a FROM u"),
    (T, "SELECT a, a FROM t"),
    (T, "SELECT DISTINCT a FROM t"),
    ("SELECT count(a) FROM t", "SELECT count(DISTINCT a) FROM t"),
    (T, f"{T} WHERE x = 1"),
    (T, f"{T} LIMIT 1"),
    (f"{T} WHERE x = 'A'", f"{T} WHERE x = 'a'"),  # values keep their case
    (f"{T} WHERE x = 'A'", f"{T} WHERE x = 'B'"),
    (f"{T} WHERE x = 'A'", f"{T} WHERE x = A"),
    (f"{T} WHERE x = 1", f"{T} WHERE x = '1'"),
    (f"{T} WHERE x = 10", f"{T} WHERE x = 1"),
    (f"{T} WHERE x > 1", f"{T} WHERE x < 1"),
    (f"{T} WHERE x > 1", f"{T} WHERE x >= 1"),
    (f"{T} WHERE x = 1 AND y = 2", f"{T} WHERE x = 1 OR y = 2"),
    (f"{T} WHERE x = 1 AND y = 2", f"{T} WHERE x = 2 AND y = 1"),
    (f"{T} WHERE (x = 1 OR y = 2) AND z = 3", f"{T} WHERE x = 1 OR (y = 2 AND z = 3)"),
    (f"{T} WHERE x = 1 AND x = 1", f"{T} WHERE x = 1"),
    (f"{T} WHERE x LIKE 'a'", f"{T} WHERE x NOT LIKE 'a'"),
    (f"{T} WHERE x BETWEEN 1 AND 2", f"{T} WHERE x BETWEEN 2 AND 1"),
    (f"{T} WHERE x = 1 GROUP BY a", f"{T} GROUP BY a HAVING x = 1"),
    (f"{T} GROUP BY x", f"{T} ORDER BY x"),
    (f"{T} ORDER BY a, b", f"{T} ORDER BY b, a"),
    (f"{T} ORDER BY a", f"{T} ORDER BY a DESC"),
    (f"{T} ORDER BY a LIMIT 1", f"{T} ORDER BY a LIMIT 2"),
    (f"{T} LIMIT 1 OFFSET 2", f"{T} LIMIT 1"),
    ("SELECT max(a, b) FROM t", "SELECT max(b, a) FROM t"),
    (J, J.replace("JOIN", "LEFT JOIN")),
    (J, J.replace("T1.id = T2.id", "T1.id = T2.key")),
    (J, J.replace("T1.a, T2.b", "T1.b, T2.a")),
    ("SELECT x.a FROM t x JOIN t y ON x.i = y.i", "SELECT y.a FROM t x JOIN t y ON x.i = y.i"),  # one table twice
    (f"{T} x WHERE EXISTS (SELECT 1 FROM t y WHERE y.i = x.j)", f"{T} x WHERE EXISTS (SELECT 1 FROM t y WHERE y.i = y.j)"),
    (f"{T} UNION SELECT a FROM u", f"{T} UNION ALL SELECT a FROM u"),
    (f"{T} EXCEPT SELECT a FROM u", "SELECT a FROM u EXCEPT SELECT a FROM t"),
    (f"{T} EXCEPT SELECT a FROM u", f"{T} INTERSECT SELECT a FROM u"),
]


@pytest.mark.parametrize(("one", "two"), DIFFERENT)
def test_queries_that_differ_do_not_match(one: str, two: str):
    assert not exact_set_match(one, two)
    assert not exact_set_match(two, one)


BROKEN = [
    "",
    ";",
    "-- hm",
    "garbage",
    "SELECT",
    "FROM t SELECT",
    "SELECT a FROM t)",
    "SELECT a FROM (t",
    "SELECT a FROM t WHERE x = 'A",
    "SELECT a FROM t WHERE x = 1 WHERE x = 1",
    "SELECT a FROM t UNION",
    "(" * 5000,
    "SELECT " + "(" * 100 + "a" + ")" * 100,
    "SELECT a FROM t WHERE x = '" + "a" * 1_000_000 + "'",
    "'" * 9_999,
    "[" * 9_999,
    "/*" * 4_999,
    "SELECT\0a FROM t",
    "\ud800",
]


@pytest.mark.parametrize("broken", BROKEN, ids=range(len(BROKEN)))
def test_a_broken_text_matches_no_query(broken: str):
    assert not exact_set_match(T, broken)
    assert not exact_set_match("", broken)


def test_a_gold_that_is_no_sound_query_still_matches_its_own_text():
    gold = "SELECT a FROM t ORDER BY a LIMIT 3 INTERSECT SELECT a FROM u ORDER BY a LIMIT 3 ORDER BY a"
    assert exact_set_match(gold, gold.lower())


@pytest.mark.parametrize("brackets", ["(", ")", ")(", "(()", "(" * 51 + ")" * 51])
def test_brackets_must_match_and_not_go_too_deep(brackets: str):
    with pytest.raises(Unreadable):
        nest(tokens(brackets))


ORDERED = [
    (f"{T} ORDER BY a", True),
    (f"{T} order  by a LIMIT 1", True),
    (f"{T} UNION SELECT a FROM u ORDER BY a", True),
    (T, False),
    ("SELECT a FROM (SELECT a FROM t ORDER BY a)", False),
    (f"{T} WHERE x IN (SELECT x FROM t ORDER BY x LIMIT 1)", False),
    ("SELECT rank() OVER (ORDER BY a) FROM t", False),
    (f"{T} WHERE x = 'ORDER BY'", False),
    (f"{T} -- ORDER BY a", False),
    ("SELECT `order` FROM t", False),
    ("SELECT a FROM (t ORDER BY a", False),
]


@pytest.mark.parametrize(("query", "ordered"), ORDERED)
def test_only_the_outermost_order_by_orders_a_result(query: str, ordered: bool):
    assert is_ordered(query) is ordered
