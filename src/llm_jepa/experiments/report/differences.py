"""Expected against generated text, side by side: what is wrong, extra or missing, and which examples are shown.

Models write anything, also what would break or fool a page: `visible` makes every character that cannot be seen, or
that turns the text around it, into an escape that can.
"""

import difflib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from llm_jepa.records import Prediction

SAME, WRONG, EXTRA, MISSING = "same", "wrong", "extra", "missing"

_MOST_CHARACTERS = 1_200


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A piece of text and what it is: "same", "wrong" (stands for something else), "extra" or "missing"."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """What one arm generated for an example.

    Attributes:
        arm: name of the arm.
        text: the generated text.
        spans: it against the expected text; missing pieces stand where they should have been.
        summary: the same in words.
    """

    arm: str
    text: str
    spans: tuple[Span, ...]
    summary: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One example with the outputs of all arms.

    Attributes:
        name: the example's name.
        prompt: what the models were given.
        expected: the reference answer.
        outputs: one for each arm.
    """

    name: str
    prompt: str
    expected: str
    outputs: tuple[Output, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Examples of one kind: how many there are, and the first few of them.

    Attributes:
        label: what they have in common.
        size: number of examples of this kind.
        samples: those that are shown.
    """

    label: str
    size: int
    samples: tuple[Sample, ...]


def visible(text: str) -> str:
    r"""Write characters that print nothing, or change their surroundings, as escapes; keep newlines and tabs.

    Example:
        >>> visible("a\x00b\u202ec")
        'a\\x00b\\u202ec'
    """
    return "".join(
        character if character.isprintable() or character in "\n\t" else character.encode("unicode_escape").decode()
        for character in text
    )


def spans(expected: str, generated: str) -> tuple[Span, ...]:
    """Align the words and signs of two texts (difflib's longest common blocks).

    Example:
        >>> [(span.kind, span.text) for span in spans("a b c", "a x c d")]
        [('same', 'a '), ('wrong', 'x'), ('same', ' c'), ('extra', ' d')]
    """
    wanted, given = (re.findall(r"\w+|\W", text) for text in (expected, generated))
    pieces = []
    for tag, i1, i2, j1, j2 in difflib.SequenceMatcher(None, wanted, given, autojunk=False).get_opcodes():
        # Of a replacement, as many pieces as both have are wrong; what one has beyond that is extra or missing.
        both = min(i2 - i1, j2 - j1)
        pieces.append((SAME if tag == "equal" else WRONG, given[j1 : j1 + both]))
        pieces.append((EXTRA, given[j1 + both : j2]))
        pieces.append((MISSING, wanted[i1 + both : i2]))
    return tuple(Span(kind=kind, text="".join(words)) for kind, words in pieces if words)


def groups(predictions: Mapping[str, Sequence[Prediction]], *, most: int = 12) -> tuple[Group, ...]:
    """Choose examples that every arm has, in the order of the files: half from those on which the arms differ.

    Examples are divided by whether an output is literally the expected text, white space around it aside; a task's
    scorer may be more lenient. Of `most` examples half show a disagreement, a third a common failure, the rest a common
    success; where a kind has too few, the others fill up.
    """
    by_arm = {arm: {item.name: item for item in items} for arm, items in predictions.items()}
    names = [name for name in next(iter(by_arm.values()), {}) if all(name in items for items in by_arm.values())]
    if not names:
        return ()
    kinds: dict[str, list[str]] = {"Arms differ": [], "No arm is right": [], "Every arm is right": []}
    for name in names:
        right = {_right(items[name]) for items in by_arm.values()}
        label = "Arms differ" if len(right) == 2 else "Every arm is right" if True in right else "No arm is right"
        kinds[label].append(name)
    shares = _shares({label: len(found) for label, found in kinds.items()}, most)
    return tuple(
        Group(
            label=label,
            size=len(found),
            samples=tuple(_sample({arm: items[name] for arm, items in by_arm.items()}) for name in found[: shares[label]]),
        )
        for label, found in kinds.items()
    )


def _shares(sizes: Mapping[str, int], most: int) -> dict[str, int]:
    wanted = dict(zip(sizes, (most // 2, most // 3, most - most // 2 - most // 3), strict=True))
    shares = {label: min(size, wanted[label]) for label, size in sizes.items()}
    for label, size in sizes.items():
        shares[label] += min(size - shares[label], most - sum(shares.values()))
    return shares


def _right(item: Prediction) -> bool:
    return item.generated.strip() == item.expected.strip()


def _sample(by_arm: Mapping[str, Prediction]) -> Sample:
    first = next(iter(by_arm.values()))
    expected = _cut(first.expected)
    return Sample(
        name=visible(first.name),
        prompt=visible(first.prompt),
        expected=expected,
        outputs=tuple(_output(arm, expected, item) for arm, item in by_arm.items()),
    )


def _output(arm: str, expected: str, item: Prediction) -> Output:
    text = _cut(item.generated)
    found = spans(expected, text)
    counts = Counter(span.kind for span in found)
    faults = [f"{counts[kind]} {kind}" for kind in (WRONG, EXTRA, MISSING) if counts[kind]]
    summary = ", ".join(faults) or "as expected"
    if not item.stopped:
        summary += f"; did not stop within {item.tokens} tokens"
    return Output(arm=arm, text=text, spans=found, summary=summary)


def _cut(text: str) -> str:
    """At most `_MOST_CHARACTERS`, with a note of how many were left out."""
    left_out = len(text) - _MOST_CHARACTERS
    shown = visible(text[:_MOST_CHARACTERS])
    return shown if left_out <= 0 else f"{shown} [… {left_out:,} more characters]"
