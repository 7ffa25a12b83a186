"""NL-RX: English descriptions of text patterns and their regular expressions, synthetic (SYNTH) and paraphrased (TURK).

The official 8,000/2,000 split is one permutation of the 10,000 original rows, the same for both: row i of SYNTH and row i of
TURK have the same expression.
"""

from llm_jepa.scoring.regex import RegexScorer
from llm_jepa.tasks.official import from_chat, official_file
from llm_jepa.tasks.task import TEST, TRAIN, Cut, Split, Task

SOURCE = "Locascio et al. 2016, arXiv:1608.03000; https://github.com/nicholaslocascio/deep-regex"
LICENCE = "MIT, Copyright (c) 2016 Nick Locascio"
MAX_NEW_TOKENS = 64  # the longest answer has 37
VALIDATION = Cut(size=500)

DIALECT = "The dialect has & (intersection) and ~(...) (complement): expressions are no Python `re`, and do not run there."
REGEXES = "111 of the 2,000 test expressions are the answer to some train row too."


def _split(variant: str, name: str, sha256: str) -> Split:
    official = f"{variant}_{name}.jsonl"
    return Split(files=(f"nl_rx_{official}", official), download=official_file(official, sha256=sha256))


SYNTH = Task(
    name="nl_rx_synth",
    title="NL-RX-SYNTH",
    source=SOURCE,
    licence=LICENCE,
    splits={
        TRAIN: _split("synth", TRAIN, "ca959f108fb5a9c363910bca46cd9de69ead3bac016ed2564c74be39ba634e46"),
        TEST: _split("synth", TEST, "acfce67c9284bb97dc0b89ad9412b00f6464faf2dfbd2581dd4930140716e45d"),
    },
    validation=VALIDATION,
    from_file=from_chat,
    scorer=lambda _: RegexScorer(),
    max_new_tokens=MAX_NEW_TOKENS,
    traps=("39 test rows (2.0 %) are exact copies of a train row, answer included.", REGEXES, DIALECT),
)

TURK = Task(
    name="nl_rx_turk",
    title="NL-RX-TURK",
    source=SOURCE,
    licence=LICENCE,
    splits={
        TRAIN: _split("turk", TRAIN, "61d5d6df65a7a899c6f45948a37729bb84b84b4943750f8fa38c1042250ec664"),
        TEST: _split("turk", TEST, "5cab7cfadd071a15e0956cc32e1d4d1bbe99750868b8f064d55cc569f5aefbd3"),
    },
    validation=VALIDATION,
    from_file=from_chat,
    scorer=lambda _: RegexScorer(),
    max_new_tokens=MAX_NEW_TOKENS,
    traps=(
        "Paraphrases lose meaning: 115 train texts have two or more expressions, and 68 test questions occur in train, "
        "always with another expression; no model can answer those reliably.",
        REGEXES,
        DIALECT,
    ),
)
