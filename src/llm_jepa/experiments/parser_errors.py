"""What a command-line parser says to a mistake, in the words of a user: one sentence, and the nearest known name."""

import re
from collections.abc import Mapping, Sequence

from llm_jepa.errors import nearest, shown

LONGEST = 400
"""Characters of a parser's own words that are shown."""

_UNKNOWN = re.compile(
    r"(?:Option|Key|Subkey) '([\w.]+)' is not|[Uu]nrecognized arguments: --([\w.]+)|does not accept option '([\w.]+)'"
)
_MISSING = re.compile(r"the following arguments are required: (.+)")
_UNION = re.compile(
    r"Does not validate against any of the Union subtypes.*? Errors: - (.+?)(?: - Expected a <class .+)?"
    r" Given value type: .+"
)
_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "a text",
    "dict": "fields with values",
    "collections.abc.Mapping": "fields with values",
}
_WORDS = (
    (re.compile(r"Problem with given class_path '[\w.]+': ?"), ""),
    (re.compile(r'Parser key "([\w.]+)":'), r"\1:"),
    (re.compile(r"Expected a <class '([\w.]+)'>"), lambda found: f"expected {_KINDS.get(found[1], found[1])}"),
    (
        re.compile(r"Expected a member of <enum '\w+'>: \{([\w,]+)\}"),
        lambda found: f"it is one of {found[1].replace(',', ', ')}",
    ),
    (re.compile(r"\. Got value: "), ", got: "),
    (re.compile(r"Expected a dot import path string: (\S+)"), r"there is no '\1'"),
    (re.compile(r"Import path (\S+) does not correspond to a subclass of (\w+)"), r"'\1' is no \2"),
    (re.compile(r"Key must be a string, got: (.+?)\."), r"a field's name is \1; write a text"),
    (re.compile(r"Unable to load config '(.+?)' - .+"), r"expected fields with values, got: \1"),
    (
        re.compile(r"maximum recursion depth exceeded.*"),
        "a class's name has too many parts, or a value too many levels; correct it",
    ),
    (re.compile(r"invalid int value"), "no whole number"),
    (re.compile(r"int too large to convert to float"), "a number has more digits than any field takes; write a smaller one"),
    (re.compile(r"invalid float value"), "no number"),
)


def sentence(error: Exception, *, known: Sequence[str] = (), choices: Mapping[str, Sequence[str]] | None = None) -> str:
    """Return an error as one sentence without the parser's own terms.

    Args:
        error: what argparse or jsonargparse raised.
        known: the names of all fields; the nearest is proposed for an unknown one.
        choices: for a field that takes a class, by the last part of its name, what there is to choose from.
    """
    text = " ".join(line.strip() for line in str(error).splitlines() if line.strip())
    if known and (found := _UNKNOWN.search(text)) is not None:
        name = next(filter(None, found.groups()))
        by_end = {full.rpartition(".")[2]: full for full in known}
        return f"there is no field '{shown(name)}'{nearest(name, known) or nearest(name.rpartition('.')[2], by_end)}"
    if (found := _MISSING.search(text)) is not None:
        several = "," in found[1]
        return f"{found[1]} {'are missing; give them' if several else 'is missing; give it'}, `--help` says more"
    while (found := _UNION.search(text)) is not None:  # a choice within a choice
        text = f"{text[: found.start()]}{found[1]}"
    for pattern, plain in _WORDS:
        text = pattern.sub(plain, text)
    return f"{text[:LONGEST]}{_choices(text, choices or {})}"


def _choices(text: str, choices: Mapping[str, Sequence[str]]) -> str:
    return next((f"; the {name}s are {', '.join(known)}" for name, known in choices.items() if f"{name}:" in text), "")
