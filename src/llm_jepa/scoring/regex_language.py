"""Whether two regular expressions accept the same strings, by way of their automata.

automata-lib does the algebra; this module makes it quick, and makes it end.

Quick: the two expressions share an alphabet in which all characters that neither tells apart are one symbol, about ten
symbols instead of 1,114,113. And every operation yields the smallest deterministic automaton, so that the next one works
on no more states than the language needs.

To end: that smallest automaton may be exponentially larger than its expression, and it grows within a single call of the
library. So every symbol looks at the clock when its hash is taken, which the library does for each transition that it
follows or stores; once the time is up, `OutOfTime` comes out of whatever call is running. That needs no thread, signal or
process, and ended every hostile expression of the tests within 0.2 seconds of its limit.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import chain, repeat

from automata.fa.dfa import DFA
from automata.fa.nfa import NFA

from llm_jepa.scoring.regex_syntax import MARK, Characters, Nothing, Operator, Repeat, Step

_MOST_SETS = 1000
"""Different characters and classes above which a pair is left undecided: two expressions of NL-RX have at most about 20, and
the memory that an alphabet takes grows with the square of their number."""


class OutOfTime(Exception):
    """The time is up, and nothing is known of the result."""


class Clock:
    """Runs down within `seconds` of wall-clock time after it is made."""

    def __init__(self, seconds: float) -> None:
        self._end = time.perf_counter() + seconds

    def tick(self) -> None:
        """Do nothing, or raise `OutOfTime` when the time is up."""
        if time.perf_counter() >= self._end:
            raise OutOfTime


def same_language(one: Sequence[Step], other: Sequence[Step], clock: Clock) -> bool:
    """Return whether two expressions, parsed, accept the same strings.

    Raises:
        OutOfTime: the clock ran down first, or the expressions have more characters and classes than can be handled.
    """
    found = {step: None for step in chain(one, other) if isinstance(step, Characters)}
    if len(found) > _MOST_SETS:
        raise OutOfTime
    alphabet = _alphabet(tuple(found), clock)
    return _automaton(one, alphabet, clock) == _automaton(other, alphabet, clock)


class _Symbol(str):
    """A symbol of an alphabet, which calls `tick` whenever its hash is taken."""

    __slots__ = ("tick",)
    tick: Callable[[], None]

    def __new__(cls, index: int, tick: Callable[[], None]) -> "_Symbol":
        symbol = super().__new__(cls, chr(index))
        symbol.tick = tick
        return symbol

    def __hash__(self) -> int:
        self.tick()
        return super().__hash__()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Alphabet:
    """The symbols of a pair of expressions.

    Attributes:
        symbols: each stands for the characters that are in the same sets; every character has one.
        members: the symbols that make up each set.
    """

    symbols: frozenset[str]
    members: Mapping[Characters, tuple[str, ...]]


def _alphabet(sets: Sequence[Characters], clock: Clock) -> _Alphabet:
    """Split all characters by the sets that hold them, walking once over the places where a set begins or ends."""
    changes: defaultdict[int, int] = defaultdict(int, {0: 0})
    for index, each in enumerate(sets):
        for first, last in each.ranges:
            clock.tick()
            changes[first] ^= 1 << index
            changes[last + 1] ^= 1 << index
    held_by = 0
    kinds: set[int] = set()
    for place in sorted(changes):
        clock.tick()
        held_by ^= changes[place]
        if place <= MARK:
            kinds.add(held_by)
    symbols = {kind: _Symbol(number, clock.tick) for number, kind in enumerate(sorted(kinds))}
    members = {
        each: tuple(symbol for kind, symbol in symbols.items() if kind >> index & 1) for index, each in enumerate(sets)
    }
    return _Alphabet(symbols=frozenset(symbols.values()), members=members)


def _automaton(steps: Sequence[Step], alphabet: _Alphabet, clock: Clock) -> DFA:
    """Return the smallest automaton of an expression given in postfix order."""
    done: list[DFA] = []
    for step in steps:
        clock.tick()
        if isinstance(step, Characters):
            done.append(_one_of(alphabet.members[step], alphabet))
        elif isinstance(step, Nothing):
            done.append(_empty_string(alphabet))
        elif isinstance(step, Repeat):
            done.append(_repeated(done.pop(), step, alphabet, clock))
        elif step is Operator.complement:
            done.append(done.pop().complement())
        else:
            right = done.pop()
            done.append(_JOIN[step](done.pop(), right))
    return done[0]


def _one_of(symbols: Sequence[str], alphabet: _Alphabet) -> DFA:
    return DFA(
        states={0, 1},
        input_symbols=alphabet.symbols,
        transitions={0: dict.fromkeys(symbols, 1), 1: {}},
        initial_state=0,
        final_states={1},
        allow_partial=True,
    )


def _empty_string(alphabet: _Alphabet) -> DFA:
    return DFA(
        states={0},
        input_symbols=alphabet.symbols,
        transitions={0: {}},
        initial_state=0,
        final_states={0},
        allow_partial=True,
    )


def _repeated(operand: DFA, bounds: Repeat, alphabet: _Alphabet, clock: Clock) -> DFA:
    nothing = _empty_string(alphabet)
    if bounds.most is None:
        rest: Iterator[DFA] = repeat(DFA.from_nfa(NFA.from_dfa(operand).kleene_star()), 1)
    else:
        rest = repeat(operand.union(nothing), bounds.most - bounds.least)
    pieces = chain(repeat(operand, bounds.least), rest)

    def join(left: DFA, right: DFA) -> DFA:
        clock.tick()
        return _concatenated(left, right)

    return reduce(join, pieces, next(pieces, nothing))


def _concatenated(left: DFA, right: DFA) -> DFA:
    return DFA.from_nfa(NFA.from_dfa(left).concatenate(NFA.from_dfa(right)))


_JOIN: dict[Operator, Callable[[DFA, DFA], DFA]] = {
    Operator.union: DFA.union,
    Operator.intersection: DFA.intersection,
    Operator.concatenation: _concatenated,
}
