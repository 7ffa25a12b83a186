"""Queries that are drawn: what exact set match and equal results must do whatever the query; no text breaks them."""

import random

from hypothesis import given
from hypothesis import strategies as st

from llm_jepa.scoring.sql_exact import exact_set_match
from llm_jepa.scoring.sql_execution import Result, same_result

names = st.sampled_from(["a", "b", "name", "age", "country"])
columns = st.lists(st.one_of(names, names.map(lambda name: f"count({name})")), min_size=1, max_size=4, unique=True)
values = st.one_of(st.integers(-99, 99).map(str), st.sampled_from(["'x'", "'New York'", "'it''s'"]))
conditions = st.lists(
    st.builds("{} {} {}".format, names, st.sampled_from(["=", "!=", "<", ">=", "LIKE"]), values), max_size=3, unique=True
)
ends = st.sampled_from(["", " ORDER BY a DESC", " GROUP BY b", " GROUP BY a, b HAVING count(*) > 2", " LIMIT 3"])


def query(columns: list[str], conditions: list[str], end: str, *, table: str = "t") -> str:
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    return f"SELECT {', '.join(columns)} FROM {table}{where}{end}"


@given(columns, conditions, ends, st.randoms(use_true_random=False))
def test_the_order_of_columns_and_conditions_does_not_count(chosen, where, end, draw: random.Random):
    others, elsewhere = draw.sample(chosen, len(chosen)), draw.sample(where, len(where))
    assert exact_set_match(query(chosen, where, end), query(others, elsewhere, end))


@given(columns, conditions, ends)
def test_case_white_space_and_a_semicolon_do_not_count(chosen, where, end):
    words = query(chosen, where, end)
    spaced = "\n  ".join(words.split(" ")) if "'" not in words else words
    assert exact_set_match(words, f"{spaced} ;")
    assert exact_set_match(words, words.replace("SELECT", "select").replace("FROM", "From").replace("WHERE", "where"))


@given(columns, conditions, ends, columns, conditions, ends)
def test_it_asks_both_ways_alike(chosen, where, end, others, elsewhere, other_end):
    one, two = query(chosen, where, end), query(others, elsewhere, other_end)
    assert exact_set_match(one, two) == exact_set_match(two, one)
    if set(chosen) != set(others):
        assert not exact_set_match(one, two)


@given(columns, conditions, ends)
def test_one_more_condition_is_another_query(chosen, where, end):
    assert not exact_set_match(query(chosen, where, end), query(chosen, [*where, "zip = 12345"], end))
    assert not exact_set_match(query(chosen, where, end), query(chosen, where, end, table="u"))


@given(st.text(max_size=60), st.text(alphabet="SELECT FROM wher()'\"`[],.;*=<>-/123", max_size=60))
def test_no_text_is_more_than_right_or_wrong(one, two):
    for text in (one, two, f"SELECT a FROM t WHERE {two}", f"SELECT {one}"):
        assert exact_set_match("SELECT a FROM t", text) in (True, False)
        assert exact_set_match(text, text) in (True, False)


cells = st.one_of(st.none(), st.integers(-5, 5), st.floats(-5, 5), st.text(max_size=3), st.binary(max_size=2))
tables = st.integers(1, 3).flatmap(
    lambda width: st.lists(st.tuples(*[cells] * width), max_size=6).map(lambda rows: Result(columns=width, rows=tuple(rows)))
)


@given(tables, st.randoms(use_true_random=False))
def test_a_result_equals_itself_and_its_rows_in_another_order(result: Result, draw: random.Random):
    moved = Result(columns=result.columns, rows=tuple(draw.sample(result.rows, len(result.rows))))
    assert same_result(result, result, ordered=True)
    assert same_result(result, moved, ordered=False)


@given(tables, cells)
def test_a_row_more_or_a_column_more_is_another_result(result: Result, cell):
    more = Result(columns=result.columns, rows=(*result.rows, (cell,) * result.columns))
    assert not same_result(result, more, ordered=False)
    wider = Result(columns=result.columns + 1, rows=tuple((*row, cell) for row in result.rows))
    assert not same_result(result, wider, ordered=False)
