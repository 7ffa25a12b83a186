r"""Final answers of worked solutions, compared as numbers.

In GSM8K (Cobbe et al., 2021) a solution ends in a line `#### 18`. The final answer is what follows the first `####` that
is followed by a number, up to the end of its line; where there is no such number, what follows the first `####`. The first
and not the last, because a solution ends there: a model that never stops goes on with other solutions, which must not
count. A `####` without a number is passed over because chat models write headings that way. A right number without any
`####` is no final answer, nor is a `\boxed{}` alone: the prompt asks for steps, and any rule for finding a number among
steps would find wrong ones too.

As in the field's own readers, what follows the number is left out: units, words, and the further text of a model that does
not stop.

- `1,000`, `1 000`, `1{,}000` and `1000` are one number, as are `18`, `+18`, `18.0` and `18.`; `-` and the signs U+2212 and
  U+2013 are one minus; other groups of digits, such as `1,00`, are no number.
- Currency signs are left out, and `%`: no answer in GSM8K has either.
- Markup around the number is left out: `**18**`, `_18_`, `` `18` ``, `$18$`, `(18)`, `\boxed{18}`, `\text{18}`.
- A number that goes on is not read by halves: `1/2`, `3:30`, `2 + 2`, `1e3`, `1 1/2`, `10 million`, `10k` are no numbers
  here, and are compared as text.

Only the digits 0 to 9 are read.
"""

import re
from dataclasses import dataclass
from decimal import Decimal

from llm_jepa.records import Example, Prediction
from llm_jepa.scoring.scorer import Measure, Scorer, Verdicts
from llm_jepa.scoring.text import EXACT, STOPPED, exact_verdict

MARK = "####"

FINAL_NUMBER = Measure(
    name="final_number",
    title="final answer",
    what="the number after `####` is the right one, however it is written; an output without one is wrong, an example "
    "without one is left out",
)

_CURRENCY = re.compile(r"\\?[$€£¥₹]")
_MINUS = str.maketrans("−–", "--")
# Possessive quantifiers keep the time linear in the length of an output that repeats itself.
_OPENING = r"(?:\\(?:boxed|text|textbf|mathbf)\b|\\[(\[]|[\s*_`{(\[])*+"
_SEPARATOR = r"(?:,|\{,\}|\\,|[ \u00a0\u2009\u202f])"
_WHOLE = rf"[0-9]{{1,3}}(?P<separator>{_SEPARATOR})[0-9]{{3}}(?:(?P=separator)[0-9]{{3}})*(?![0-9])|[0-9]+"
_NUMBER = re.compile(rf"{_OPENING}(?P<sign>[-+]?)\s*(?=\.?[0-9])(?P<whole>{_WHOLE}|)(?P<part>\.[0-9]+|)")
_GOES_ON = re.compile(
    r"[,.:][0-9]"  # 1,00 and 3:30
    r"|[\s)}*_`]*+[-+/^×·÷=][\s({*]*+[0-9]|[\s)}_`]*+\*[\s({*]*+[0-9]"  # 1/2, 2 + 2 and 2 * 9
    r"|\s++[0-9]++\s*+/\s*+[0-9]|\s*+[¼½¾²³]"  # 1 1/2 and 1½
    r"|\s*+\\[dt]?(?:frac|times|cdot|div)"
    r"|[eE][-+]?[0-9]"
    r"|\s*+(?:k|dozen|hundred|thousand|million|billion|trillion)\b",
    re.IGNORECASE,
)


def final_answer(text: str) -> str | None:
    r"""Return what stands after the mark that the module describes, without white space around; None without an answer.

    Example:
        >>> final_answer("#### Steps\n9 * 2 = 18\n#### $18 a day\n#### 7")
        '$18 a day'
    """
    found = [_first_line(piece) for piece in text.split(MARK)[1:]]
    return next((line for line in found if read_number(line) is not None), found[0] if found else None) or None


def read_number(text: str) -> Decimal | None:
    r"""Return the number that the text begins with, exactly, or None when it begins with none; see the module.

    Example:
        >>> read_number("**$1,000.50** a day")
        Decimal('1000.50')
        >>> read_number("1/2") is None
        True
    """
    plain = _CURRENCY.sub("", text).translate(_MINUS)
    match = _NUMBER.match(plain)
    if match is None or _GOES_ON.match(plain, match.end()):
        return None
    digits = re.sub(r"[^0-9]", "", match["whole"])
    return Decimal(f"{match['sign']}{digits or '0'}{match['part']}")


def _first_line(piece: str) -> str:
    """Return what a mark is followed by, less the white space and the hashes of a longer mark."""
    return (piece.lstrip("# \t\r\n").splitlines() or [""])[0].strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalNumber(Scorer):
    """Compares final answers: as numbers where both are, else as text without white space around, as they are written.

    An output without a final answer is wrong. An example whose answer has none is left out of `final_number`, so "none"
    never equals "none".
    """

    @property
    def measures(self) -> tuple[Measure, ...]:
        """The final answer, the whole solution and the stop rate."""
        return FINAL_NUMBER, EXACT, STOPPED

    def __call__(self, example: Example, prediction: Prediction) -> Verdicts:
        """Return the three values; see the measures for what they leave out."""
        return {
            "final_number": _same_answer(example.answer, prediction.generated),
            "exact": exact_verdict(example, prediction),
            "stopped": float(prediction.stopped),
        }


def _same_answer(expected: str, generated: str) -> float | None:
    """Return whether both texts have the same final answer; None when the expected one has none."""
    right, given = final_answer(expected), final_answer(generated)
    if right is None:
        return None
    if given is None:
        return 0.0
    number = read_number(right)
    return float(right == given if number is None else number == read_number(given))
