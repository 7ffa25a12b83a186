r"""Yelp reviews and their stars as five words. The hub's columns are "text" and "label" 0 to 4.

The hub and the official files keep the texts of the original CSV: most newlines are the two characters `\n`, most quotes
are `\"`.
"""

from llm_jepa.records import Example
from llm_jepa.scoring.labels import LabelPrefix
from llm_jepa.tasks.official import chat, from_chat, label_column, official_file, text_column
from llm_jepa.tasks.task import TEST, TRAIN, Cut, HubSplit, Row, Split, Task

SYSTEM = "Determine whether the comment is positive or negative"
LABELS = ("Very Bad", "Bad", "Mediocre", "Good", "Very Good")
"""What the hub's labels 0 to 4 (one star to five) are called."""


def from_hub(row: Row, name: str) -> Example:
    """Return the example of a row with the columns "text" and "label"."""
    return from_chat(chat(SYSTEM, text_column(row, "text", name), label_column(row, LABELS, name)), name)


def _public(split: str) -> HubSplit:
    return HubSplit(dataset="Yelp/yelp_review_full", split=split, revision="c1f9ee939b7d05667af864ee1cb066393154bf85")


TASK = Task(
    name="yelp",
    title="Yelp",
    source="Zhang, Zhao and LeCun 2015, arXiv:1509.01626; https://huggingface.co/datasets/Yelp/yelp_review_full",
    licence="terms of the Yelp Dataset Challenge 2015",
    splits={
        TRAIN: Split(files=("yelp_train.jsonl",), hub=_public("train")),
        TEST: Split(
            files=("yelp_test.jsonl",),
            download=official_file(
                "yelp_test.jsonl", sha256="a848b39ad7361a10d08740a8191c2e17f168b158c6b83730e704d521837f420b"
            ),
        ),
        "public_test": Split(hub=_public("test"), note="all 50,000 test rows, of which the paper's test has 2,000"),
    },
    validation=Cut(size=1000),
    from_file=from_chat,
    from_hub=from_hub,
    scorer=lambda _: LabelPrefix(labels=LABELS),
    max_new_tokens=8,
    traps=(
        "From the hub train has all 650,000 rows; the official yelp_train.jsonl (a public copy has about 8,000 rows) is "
        "read where it lies in the folder of data.",
        "Very Good and Very Bad share their first word: the first token alone does not tell them apart.",
        "The instruction asks for positive or negative, and five answers are trained.",
    ),
)
