"""Whether two queries are written alike: clause by clause, without a database and without a schema.

The idea is the exact set match of Spider (Yu et al. 2018, section 6), which compares the parts of a query as sets; how it
is done here is our own, and numbers of the two are not to be mixed. Two queries match when they are equal after this:

- White space, comments, a `;` at the end, and the case of words do not count; the values in quotes keep their case, and
  single and double quotes are the same. Values count, unlike in Spider's own match.
- SELECT items, tables with the way they are joined, ON conditions, conditions under AND or OR, and GROUP BY items are
  multisets; so are the two sides of `=` and `!=`, and `a > b` is `b < a`. DISTINCT counts.
- An alias of a table stands for the table, and that of a SELECT item for its expression in GROUP BY, HAVING and ORDER BY.
  A table that occurs twice is told apart by the order of its occurrences. With one table, its columns need no qualifier.
- The items of ORDER BY, the operands of UNION, INTERSECT and EXCEPT, and the arguments of functions keep their order;
  ASC says nothing.

Different texts that say the same stay different where a schema or algebra would be needed: a column with its table's name
and without it in a join, ON against WHERE, a join against a subquery, BETWEEN against two comparisons, `IN (1, 2)` against
`IN (2, 1)`, a column's number for its name, a column in double quotes.
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias, cast

from llm_jepa.scoring.sql_tokens import Tree, Unreadable, nest, tokens

Names: TypeAlias = Mapping[str, str]
"""Alias or name of a table -> what stands for it; a `^` before it for each query further out."""

SET_OPERATORS = frozenset({"union", "intersect", "except"})
BY = ("group", "order")  # begin a clause together with BY
CLAUSES = ("with", "select", "from", "where", *BY, "having", "limit", "offset")
JOINS = frozenset({"natural", "left", "right", "full", "inner", "outer", "cross", "join", ","})
UNMARKED = frozenset({"inner", "outer", "cross", "join", ","})  # words of a join that do not change it
COMPARISONS = frozenset({"=", "!=", "<", ">", "<=", ">="})
MIRRORED = {">": "<", ">=": "<="}
BEFORE_OPERAND = frozenset(
    {"all", "not", "is", "and", "or", "in", "like", "glob", "between", "when", "then", "else", "case", "escape", "collate"}
)
NO_ALIAS = frozenset({"end", "null"})


@dataclass(slots=True)
class _Source:
    """A table of FROM while it is being read: the words of its join that matter, itself, its alias, its condition."""

    kind: tuple[str, ...] = ()
    table: Tree = field(default_factory=list["str | Tree"])
    alias: str = ""
    joined: bool = False  # whether its condition has begun
    condition: Tree = field(default_factory=list["str | Tree"])


def exact_set_match(expected: str, generated: str) -> bool:
    """Return whether two queries are written alike; see the module for what that leaves out.

    Example:
        >>> exact_set_match("SELECT a, b FROM t AS T1 WHERE T1.x = 1 AND y > 2", "select b, a from t where 2 < y and x = 1")
        True
        >>> exact_set_match("SELECT a FROM t WHERE x = 'A'", "SELECT a FROM t WHERE x = 'B'")
        False
    """
    try:
        one, two = tokens(expected), tokens(generated)
        if one == two:
            return bool(one)
        return _query(nest(one), {}) == _query(nest(two), {})
    except Unreadable:
        return False


def _query(tree: Tree, outer: Names) -> Hashable:
    """Return a query of any kind: its SELECTs and what stands between them, in order."""
    parts: list[Hashable] = []
    operators = [at for at, token in enumerate(tree) if isinstance(token, str) and token in SET_OPERATORS]
    start = 0
    for at in operators:
        after = at + 2 if tree[at + 1 : at + 2] == ["all"] else at + 1
        parts += [_select(tree[start:at], outer), _expression(tree[at:after], {})]
        start = after
    return (*parts, _select(tree[start:], outer))


def _select(tree: Tree, outer: Names) -> Hashable:
    """Return one SELECT with its clauses."""
    clauses = _clauses(tree)
    sources = _sources(clauses["from"])
    names = {**outer, **_names(sources)}
    distinct = clauses["select"][:1] == ["distinct"]
    items = [_without_alias(item) for item in _split(clauses["select"][distinct:], ",")]
    aliases = {alias: item for item, alias in items if alias}
    group, having, order = (_replaced(clauses[clause], aliases) for clause in ("group", "having", "order"))
    return (
        distinct,
        _bag(_expression(item, names) for item, _ in items),
        _bag((source.kind, _expression(source.table, outer)) for source in sources),
        _bag(_condition(part, names) for source in sources for part in _split_and(source.condition)),
        _condition(clauses["where"], names),
        _bag(_expression(item, names) for item in _split(group, ",")),
        _condition(having, names),
        tuple(_expression([token for token in item if token != "asc"], names) for item in _split(order, ",")),
        *(_expression(clauses[clause], names) for clause in ("with", "limit", "offset")),
    )


def _clauses(tree: Tree) -> dict[str, Tree]:
    """Cut a SELECT at its keywords; clauses it does not have are empty."""
    found: dict[str, Tree] = {}
    current: Tree | None = None
    for at, token in enumerate(tree):
        if token == "by" and at and tree[at - 1] in BY:
            continue
        if isinstance(token, str) and token in CLAUSES and (token not in BY or tree[at + 1 : at + 2] == ["by"]):
            if token in found:
                raise Unreadable(f"two {token} clauses")
            current = found[token] = []
        elif current is None:
            raise Unreadable("does not begin like a query")
        else:
            current.append(token)
    if not found.get("select"):
        raise Unreadable("selects nothing")
    return {clause: found.get(clause, []) for clause in CLAUSES}


def _sources(tree: Tree) -> list[_Source]:
    """Cut FROM into its tables."""
    found = [_Source()] if tree else []
    for token in tree:
        if isinstance(token, str) and token in JOINS:
            if found[-1].table:
                found.append(_Source())
            if token not in UNMARKED:
                found[-1].kind += (token,)
        elif token == "on":
            found[-1].joined = True
        elif token == "using" or found[-1].joined:
            found[-1].joined = True
            found[-1].condition.append(token)
        else:
            found[-1].table.append(token)
    for source in found:
        source.table, source.alias = _without_alias(source.table)
    return found


def _names(sources: Sequence[_Source]) -> Names:
    """Return what the aliases and names of tables stand for, with "" for the table whose columns need no qualifier."""
    names: dict[str, str] = {}
    seen: Counter[str] = Counter()
    label = ""
    for source in sources:
        name = source.table[0] if len(source.table) == 1 and isinstance(source.table[0], str) else ""
        seen[name] += 1
        label = name if name and seen[name] == 1 else f"{name}#{seen[name]}"
        for known in (source.alias, name):
            if known:
                names.setdefault(known, label)
    return {**names, "": label if len(sources) == 1 else ""}


def _condition(tree: Tree, names: Names) -> Hashable:
    """Return a condition with AND and OR as multisets."""
    if len(tree) == 1 and isinstance(tree[0], list) and not _is_query(tree[0]):
        return _condition(tree[0], names)
    for word, parts in (("or", _split(tree, "or")), ("and", _split_and(tree))):
        if len(parts) > 1:
            return word, _bag(_condition(part, names) for part in parts)
    at = [at for at, token in enumerate(tree) if isinstance(token, str) and token in COMPARISONS]
    if len(at) != 1:
        return _expression(tree, names)
    operator = cast("str", tree[at[0]])
    left, right = _expression(tree[: at[0]], names), _expression(tree[at[0] + 1 :], names)
    if operator in ("=", "!="):
        return operator, _bag((left, right))
    return (MIRRORED[operator], right, left) if operator in MIRRORED else (operator, left, right)


def _expression(tree: Tree, names: Names) -> Hashable:
    """Return the tokens with names of tables for their aliases, and the queries in them as queries."""
    deeper = {known: f"^{label}" for known, label in names.items() if known}
    found: list[Hashable] = []
    for token in tree:
        if isinstance(token, str):
            found.append(_resolved(token, names))
        elif _is_query(token):
            found.append(("query", _query(token, deeper)))
        else:
            found.append(("()", *(_expression(part, names) for part in _split(token, ","))))
    return tuple(found)


def _is_query(tree: Tree) -> bool:
    return tree[:1] in (["select"], ["with"])


def _resolved(token: str, names: Names) -> str:
    """Return a qualified column under its table's own name, or bare when that is the only table."""
    table, dot, column = token.partition(".")
    if not dot or token[0] == "'" or table not in names:
        return token
    return column if names[table] == names.get("") else f"{names[table]}.{column}"


def _without_alias(tree: Tree) -> tuple[Tree, str]:
    """Return a table or SELECT item and its alias, which is empty when it has none."""
    last = tree[-1] if len(tree) > 1 else None
    if not isinstance(last, str) or not (last[0].isalpha() or last[0] in "_'") or last in NO_ALIAS:
        return tree, ""
    if tree[-2] == "as":
        return tree[:-2], last.removeprefix("'").lower()
    before = tree[-2]
    ends = isinstance(before, list) or ((before[0].isalnum() or before[0] in "_'") and before not in BEFORE_OPERAND)
    return (tree[:-1], last.removeprefix("'").lower()) if ends else (tree, "")


def _replaced(tree: Tree, aliases: Mapping[str, Tree]) -> Tree:
    """Return the tokens with SELECT items for their aliases."""
    found: Tree = []
    for token in tree:
        found += aliases.get(token, [token]) if isinstance(token, str) else [token]
    return found


def _split(tree: Tree, separator: str) -> list[Tree]:
    """Cut the tokens at a separator; nothing gives no parts."""
    parts: list[Tree] = [[]] if tree else []
    for token in tree:
        if token == separator:
            parts.append([])
        else:
            parts[-1].append(token)
    return parts


def _split_and(tree: Tree) -> list[Tree]:
    """Cut the tokens at AND, but not at the one that belongs to BETWEEN."""
    parts: list[Tree] = [[]] if tree else []
    between = False
    for token in tree:
        if token == "and" and not between:
            parts.append([])
        else:
            between = (between or token == "between") and token != "and"
            parts[-1].append(token)
    return parts


def _bag(items: Iterable[Hashable]) -> Hashable:
    """Return a multiset that can be compared and can be an item of another."""
    return frozenset(Counter(items).items())
