r"""The regular expressions of NL-RX as text, read into a tree.

NL-RX (Locascio et al., 2016, "Neural Generation of Regular Expressions from Natural Language with Minimal Domain
Knowledge") writes in the syntax of dk.brics.automaton, by which its authors judged equality: `&` is intersection and
`~x` complement, which Python's `re` lacks, and an expression describes whole lines. From loose to tight:

    union         x|y
    intersection  x&y
    concatenation xy
    repetition    x*  x+  x?  x{n}  x{n,}  x{n,m}
    complement    ~x                so ~ab* is (~a)(b*), and ~a* is (~a)*
    one piece     (x)  ()  .  [a-z]  [^a-z]  \c  c

`.` is every character, the line break too, and `\c` is the character c, with one exception, `\b`. NL-RX means the edge of
a word by it; brics has no such thing and reads the letter b, so that there `\b` and `b` are the same and `[a-z]|\b` is
`[a-z]`. Here `\b` is a mark: one character of its own, which `.` and negated classes hold like any other and no letter,
class or range does. So two expressions that differ in their marks differ, as they did under brics; on 2,000 pairs of golds
both readings gave the same verdicts. To read it as a true edge would tell less apart: it holds at both ends of every line
that begins and ends in a letter, and `\b[a-z]\b` would be `[a-z]`.

Stricter than brics, because a model's slip should not become a language: an empty text, an empty side of `|` or `&`, a
repetition of nothing, `{5,2}` and `[z-a]` are errors (brics reads some as literal characters, some as the empty language).
Looser: `#`, `@`, `"` and `<`, which brics gives meanings that NL-RX never uses, stand for themselves.

The tree comes in postfix order, operands before their operator, and no function here calls itself: how deep a text is
nested does not matter.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

MARK = 0x110000
r"""What `\b` stands for: the number after the last code point."""

_BOUNDS = re.compile(r"\{([0-9]{1,10})(?:(,)([0-9]{1,10})?)?\}")


class SyntaxFault(ValueError):
    """The text is no expression of the dialect; the message says why and where (in characters from 0)."""


@dataclass(frozen=True, slots=True)
class Characters:
    """One character out of a set.

    Attributes:
        ranges: first and last code point of each run, ascending, with gaps between them; none at all for the empty set.
    """

    ranges: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """The operand before it, `least` to `most` times; without an end where `most` is None."""

    least: int
    most: int | None


class Operator(Enum):
    """What joins one or two operands; the values order them, a higher one binds tighter."""

    union = 1
    intersection = 2
    concatenation = 3
    complement = 4


@dataclass(frozen=True, slots=True)
class Nothing:
    """The empty string, written `()`."""


Step: TypeAlias = Characters | Nothing | Repeat | Operator
"""One node of the tree in postfix order."""

_ANY = Characters(((0, MARK),))
_STAR, _PLUS, _OPTIONAL = Repeat(0, None), Repeat(1, None), Repeat(0, 1)


def parse(text: str, *, tick: Callable[[], None] = lambda: None) -> tuple[Step, ...]:
    r"""Return the tree of an expression in postfix order.

    Args:
        text: the expression, without whitespace around it; whitespace inside stands for itself.
        tick: called for every piece of the text; what it raises ends the reading.

    Raises:
        SyntaxFault: the text is no expression of the dialect.

    Example:
        >>> parse("a|b")[-1]
        <Operator.union: 1>
        >>> parse("(a){2,}")[-1]
        Repeat(least=2, most=None)
    """
    reader = _Reader(text, tick)
    while reader.position < len(text):
        reader.read()
    return reader.finish()


class _Open:
    """An opening bracket that waits for its end."""


_OPEN = _Open()


class _Reader:
    """Dijkstra's shunting yard: operators wait on a stack until what binds less tightly comes.

    Attributes:
        position: index of the next character to read.
    """

    def __init__(self, text: str, tick: Callable[[], None]) -> None:
        self.position = 0
        self._text = text
        self._tick = tick
        self._output: list[Step] = []
        self._waiting: list[Operator | _Open] = []
        self._after_operand = False

    def read(self) -> None:
        """Read one piece of the text."""
        self._tick()
        action = _ACTIONS.get(self._text[self.position], _Reader._literal)
        action(self)

    def finish(self) -> tuple[Step, ...]:
        """Return all steps; nothing may be left open."""
        self._need_operand("the text ends")
        self._settle(Operator.union)
        if self._waiting:
            raise SyntaxFault("a bracket is never closed")
        return tuple(self._output)

    def _fault(self, what: str) -> SyntaxFault:
        return SyntaxFault(f"{what} at character {self.position}")

    def _need_operand(self, what: str) -> None:
        if not self._after_operand:
            raise self._fault(f"{what} where an expression must come")

    def _settle(self, weakest: Operator) -> None:
        """Move what waits on top of the last open bracket and binds at least as tightly to the output."""
        while self._waiting:
            top = self._waiting[-1]
            if isinstance(top, _Open) or top.value < weakest.value:
                return
            self._output.append(top)
            self._waiting.pop()

    def _start_operand(self) -> None:
        if self._after_operand:
            self._settle(Operator.concatenation)
            self._waiting.append(Operator.concatenation)
        self._after_operand = False

    def _end_operand(self) -> None:
        self._settle(Operator.complement)
        self._after_operand = True

    def _operand(self, step: Characters) -> None:
        self._start_operand()
        self._output.append(step)
        self._end_operand()

    def _open(self) -> None:
        self._start_operand()
        self._waiting.append(_OPEN)
        self.position += 1

    def _close(self) -> None:
        if self._text[self.position - 1 : self.position] == "(" and self._waiting and self._waiting[-1] is _OPEN:
            self._output.append(Nothing())
        else:
            self._need_operand("a closing bracket")
            self._settle(Operator.union)
        if not self._waiting:
            raise self._fault("a closing bracket that was never opened")
        self._waiting.pop()
        self._end_operand()
        self.position += 1

    def _complement(self) -> None:
        self._start_operand()
        self._waiting.append(Operator.complement)
        self.position += 1

    def _join(self, operator: Operator) -> None:
        self._need_operand("an operator")
        self._settle(operator)
        self._waiting.append(operator)
        self._after_operand = False
        self.position += 1

    def _repeat(self, repeat: Repeat, length: int = 1) -> None:
        self._need_operand("a repetition")
        self._output.append(repeat)
        self.position += length

    def _bounds(self) -> None:
        found = _BOUNDS.match(self._text, self.position)
        if found is None:
            raise self._fault("a brace without numbers")
        least = int(found[1])
        most = least if found[2] is None else None if found[3] is None else int(found[3])
        if most is not None and most < least:
            raise self._fault("a repetition with more at least than at most")
        self._repeat(Repeat(least, most), len(found[0]))

    def _any(self) -> None:
        self._operand(_ANY)
        self.position += 1

    def _literal(self) -> None:
        point = self._character()
        self._operand(Characters(((point, point),)))

    def _character(self) -> int:
        """Read one character, escaped or not, and return its code point."""
        escaped = self._text[self.position] == "\\"
        self.position += escaped
        if self.position >= len(self._text):
            raise self._fault("the text ends in the middle of a character or class")
        character = self._text[self.position]
        self.position += 1
        return MARK if escaped and character == "b" else ord(character)

    def _peek(self, character: str) -> bool:
        return self._text.startswith(character, self.position)

    def _class(self) -> None:
        self.position += 1
        negated = self._peek("^")
        self.position += negated
        ranges = [self._range()]
        while not self._peek("]"):
            ranges.append(self._range())
        self.position += 1
        found = _merged(ranges)
        self._operand(Characters(_rest(found) if negated else found))

    def _range(self) -> tuple[int, int]:
        self._tick()
        if self.position >= len(self._text):
            raise self._fault("a class is never closed")
        first = self._character()
        if not self._peek("-") or self._text.startswith("-]", self.position):
            return first, first
        self.position += 1
        if self.position >= len(self._text):
            raise self._fault("a class is never closed")
        last = self._character()
        if last < first:
            raise self._fault("a range that runs backwards")
        return first, last


_ACTIONS: dict[str, Callable[[_Reader], None]] = {
    "(": _Reader._open,
    ")": _Reader._close,
    "~": _Reader._complement,
    "|": lambda reader: reader._join(Operator.union),
    "&": lambda reader: reader._join(Operator.intersection),
    "*": lambda reader: reader._repeat(_STAR),
    "+": lambda reader: reader._repeat(_PLUS),
    "?": lambda reader: reader._repeat(_OPTIONAL),
    "{": _Reader._bounds,
    ".": _Reader._any,
    "[": _Reader._class,
}


def _merged(ranges: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Return the same characters as ascending ranges with gaps between them."""
    result: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if result and first <= result[-1][1] + 1:
            result[-1] = (result[-1][0], max(result[-1][1], last))
        else:
            result.append((first, last))
    return tuple(result)


def _rest(ranges: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
    """Return every character that the ranges leave out."""
    starts = [0, *(last + 1 for _, last in ranges)]
    ends = [*(first - 1 for first, _ in ranges), MARK]
    return tuple((start, end) for start, end in zip(starts, ends, strict=True) if start <= end)
