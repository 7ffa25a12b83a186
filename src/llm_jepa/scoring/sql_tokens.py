"""SQL as tokens and brackets, without a grammar: what must be known of a query's text and not of its database."""

import re
from collections.abc import Sequence
from typing import TypeAlias

Tree: TypeAlias = "list[str | Tree]"
"""Tokens; a pair of brackets is a tree of its own."""

DEEPEST = 50
"""Brackets within brackets; a query with more is not read."""

LONGEST = 10_000
"""Characters of a query, as for its execution; the longest gold query of Spider's test split has 523."""

_TOKEN = re.compile(
    r"""(?P<skip>\s+|--[^\n]*|/\*.*?(?:\*/|\Z))
    |(?P<text>'(?:[^']|'')*'|"(?:[^"]|"")*")
    |(?P<quoted>`[^`]*`|\[[^\]]*\])
    |(?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)
    |(?P<word>[^\W\d][\w$]*)
    |(?P<other><=|>=|<>|!=|==|\|\||->>|->|<<|>>|.)""",
    re.VERBOSE | re.DOTALL,
)
_SAME = {"<>": "!=", "==": "="}


class Unreadable(ValueError):
    """The text does not have the outline of a query: its brackets, quotes or clauses do not add up."""


def tokens(query: str) -> list[str]:
    r"""Return the tokens of a query in one spelling; comments and a `;` at the end are left out.

    Words become lower case, and a qualified name is one token. A text in single or double quotes keeps its case and
    becomes `'text`, whatever its quotes (most gold queries of Spider put values in double quotes); names in backticks or
    square brackets become words, and so do double-quoted ones beside a dot. Numbers lose zeros that say nothing.

    Raises:
        Unreadable: the query is longer than `LONGEST`.

    Example:
        >>> tokens('SELECT  T1.Name FROM `City` AS T1 WHERE State <> "Ohio" AND x>1.50;')
        ['select', 't1.name', 'from', 'city', 'as', 't1', 'where', 'state', '!=', "'Ohio", 'and', 'x', '>', '1.5']
    """
    if len(query) > LONGEST:
        raise Unreadable("too long")
    found = [_spelled(match) for match in _TOKEN.finditer(query) if match.lastgroup != "skip"]
    if found and found[-1] == ";":
        found.pop()
    return _qualified(found)


def _spelled(match: re.Match[str]) -> str:
    text = match.group()
    match match.lastgroup:
        case "text":
            return "'" + text[1:-1].replace(text[0] * 2, text[0])
        case "quoted":
            return text[1:-1].lower() or text  # no token is empty
        case "number" if "e" not in text.lower():
            whole, _, rest = text.partition(".")
            rest = rest.rstrip("0")
            return (whole.lstrip("0") or "0") + ("." + rest if rest else "")
        case _:
            return _SAME.get(text, text.lower())


def _qualified(found: Sequence[str]) -> list[str]:
    """Join `a . b` to one token."""
    joined: list[str] = []
    for token in found:
        if len(joined) > 1 and joined[-1] == ".":
            joined.pop()
            joined[-1] = ".".join(part.removeprefix("'").lower() for part in (joined[-1], token))
        else:
            joined.append(token)
    return joined


def nest(found: Sequence[str]) -> Tree:
    """Return the tokens with each pair of brackets made a tree.

    Raises:
        Unreadable: the brackets do not match or go too deep.

    Example:
        >>> nest(["count", "(", "*", ")"])
        ['count', ['*']]
    """
    open_: list[Tree] = [[]]
    for token in found:
        if token == "(":
            inner: Tree = []
            open_[-1].append(inner)
            open_.append(inner)
        elif token == ")":
            open_.pop()
        else:
            open_[-1].append(token)
        if not 0 < len(open_) <= DEEPEST:
            raise Unreadable("brackets do not match or go too deep")
    if len(open_) != 1:
        raise Unreadable("a bracket is not closed")
    return open_[0]


def is_ordered(query: str) -> bool:
    """Return whether the outermost query has ORDER BY; those of subqueries and windows stand in brackets.

    Example:
        >>> is_ordered("SELECT a FROM t ORDER BY a"), is_ordered("SELECT a FROM (SELECT a FROM t ORDER BY a)")
        (True, False)
    """
    try:
        tree = nest(tokens(query))
    except Unreadable:
        return False
    return any(tree[at : at + 2] == ["order", "by"] for at in range(len(tree)))
