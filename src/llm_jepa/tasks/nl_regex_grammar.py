"""The grammar table of NL-RX: node kinds, which kinds a slot takes, and the clean-up of the sentences.

Data only; drawing and rejecting trees is `llm_jepa.tasks.nl_regex`. The facts are those of the generator behind NL-RX
(Locascio et al., 2016), nicholaslocascio/deep-regex @ 096490db, `data_generation/`, MIT license. Kinds that no slot can
produce there ("at most n", "one x", "between") are left out.
"""

from collections.abc import Mapping
from dataclasses import dataclass

ANY, NONLITERAL, SIMPLE, LITERAL = "any", "nonliteral", "simple", "literal"


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """One kind of tree node; equal only to itself.

    Attributes:
        name: the kind's name; the six n-or-more kinds share one.
        regex: template with one `%s` a child. The dialect is that of automata: `&` intersects, `~(...)` complements.
        english: template with one `%s` a child.
        slots: what each child may be: ANY, NONLITERAL, SIMPLE or LITERAL.
        negated: the English template below a not, if it differs; the regex is the same there.
    """

    name: str
    regex: str
    english: str
    slots: tuple[str, ...] = ()
    negated: str = ""


ROOT = Kind("lines", "%s", "lines %s", (NONLITERAL,))

WORD = Kind("word", "WORD", "the string 'WORD'")
CLASSES = (
    Kind("number", "[0-9]", "a number"),
    Kind("capital", "[A-Z]", "a capital letter"),
    Kind("lower", "[a-z]", "a lower-case letter"),
    Kind("letter", "[A-Za-z]", "a letter"),
    Kind("character", ".", "a character"),
    Kind("vowel", "[AEIOUaeiou]", "a vowel"),
)
FUNCTIONS = (
    Kind("contains", ".*%s.*", "containing %s", (ANY,)),
    Kind("words", r"\b%s\b", "words with %s", (NONLITERAL,)),
    Kind("starts", "(%s)(.*)", "starting with %s", (SIMPLE,)),
    Kind("ends", "(.*)(%s)", "ending with %s", (SIMPLE,)),
    Kind("followed-by", "%s.*%s.*", "%s followed by %s", (LITERAL, LITERAL)),
)
ONE_OR_MORE = Kind("one-or-more", "(%s)+", "%s at least once", (SIMPLE,))
ZERO_OR_MORE = Kind("zero-or-more", "(%s)*", "%s, zero or more times", (SIMPLE,))
N_OR_MORE = tuple(Kind("n-or-more", f"(%s){{{n},}}", f"%s, {n} or more times", (SIMPLE,)) for n in range(2, 8))
ONLY = Kind("only", "%s", "containing only %s", (LITERAL,))
OR = Kind("or", "(%s)|(%s)", "%s or %s", (ANY, ANY))
AND = Kind("and", "(%s)&(%s)", "%s and %s", (ANY, ANY), negated="%s and not %s")
NOT = Kind("not", "~(%s)", "not %s", (ANY,))
BEFORE = Kind("before", "(%s).*(%s).*", "%s before %s", (ANY, ANY))
AND3 = Kind(
    "and3",
    "(%s)&(%s)&(%s)",
    "<and3filler> %s, %s, and %s",
    (LITERAL, LITERAL, LITERAL),
    negated="%s, not %s, and not %s",
)
OR3 = Kind(
    "or3",
    "(%s)|(%s)|(%s)",
    "either %s, %s, or %s",
    (LITERAL, LITERAL, LITERAL),
    negated="%s, %s, or %s",
)

JOINS = (OR, AND, OR3, AND3)
"""On top of a tree, these may have no literal as a child."""


def _slot(*kinds: Kind) -> tuple[Kind, ...]:
    """Return each kind six times, so that the six n-or-more kinds together weigh as much as one other kind."""
    return kinds * 6


_LITERALS = (*CLASSES, WORD, WORD, WORD, WORD)
_FIXED = (ONE_OR_MORE, ZERO_OR_MORE, ONLY)
_COMPOSITIONS = (OR, NOT, AND, BEFORE, AND3, OR3)

# What a slot takes while the tree may still grow, and once it may not (NONLITERAL then takes nothing: the draw fails).
INNER: Mapping[str, tuple[Kind, ...]] = {
    ANY: (*_slot(*FUNCTIONS, *_FIXED, *_COMPOSITIONS, *_LITERALS), *N_OR_MORE),
    NONLITERAL: (*_slot(*FUNCTIONS, *_FIXED, *_COMPOSITIONS), *N_OR_MORE),
    SIMPLE: (*_slot(*FUNCTIONS, *_FIXED, OR, *_LITERALS), *N_OR_MORE),
    LITERAL: _LITERALS,
}
LEAVES: Mapping[str, tuple[Kind, ...]] = {ANY: _LITERALS, NONLITERAL: (), SIMPLE: _LITERALS, LITERAL: _LITERALS}

WORD_NAMES = ("dog", "truck", "ring", "lake")
"""What the first, second, third and fourth WORD of a sentence, and of its regex, become."""

CLEANUP = (
    ("having containing", "containing"),
    ("having before", "before"),
    ("lines a", "lines with a"),
    ("lines not the", "lines not having the"),
    ("lines the", "lines with the"),
    ("lines not a", "lines not having a"),
    ("lines words", "lines with words"),
    ("having containing", "containing"),
    ("having starting", "starting"),
    ("having ending", "ending"),
    ("having not", "not having"),
    ("containing not", "not containing"),
    ("containing having", "containing"),
    ("having having", "having"),
    ("with having", "with"),
    ("lines with words with not a", "lines with words that don't have a"),
    ("lines with words with not", "lines with words that don't"),
    ("not not", "not"),
    ("lines either", "lines having either"),
    ("lines <and3filler>", "lines having"),
    ("<and3filler> ", ""),
    ("words with containing", "words that contain"),
)
"""What a sentence's clumsy pieces become: each replaced everywhere, in this order."""

CLUMSY = (
    "letter before a letter",
    "starting with ending",
    "ending with starting",
    "starting with contains",
    "containing contains",
    "containing starting",
    "before starting",
    "starting with containing",
)
"""A cleaned sentence with one of these is not kept. The two with "contains" match none: no template prints the word."""
