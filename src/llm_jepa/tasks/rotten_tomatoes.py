"""Rotten Tomatoes: one sentence of a film review, Good or Bad. The hub holds the paper's rows ("text", "label" 0 or 1)."""

from llm_jepa.records import Example
from llm_jepa.scoring.labels import LabelPrefix
from llm_jepa.tasks.official import chat, from_chat, label_column, official_file, text_column
from llm_jepa.tasks.task import TEST, TRAIN, Cut, Download, HubSplit, Row, Split, Task

SYSTEM = "Determine whether the comment is positive or negative"
LABELS = ("Bad", "Good")
"""What the hub's labels 0 and 1 are called."""


def from_hub(row: Row, name: str) -> Example:
    """Return the example of a row with the columns "text" and "label"."""
    return from_chat(chat(SYSTEM, text_column(row, "text", name), label_column(row, LABELS, name)), name)


def _split(name: str, download: Download) -> Split:
    hub = HubSplit(
        dataset="cornell-movie-review-data/rotten_tomatoes",
        split=name,
        revision="aa13bc287fa6fcab6daf52f0dfb9994269ffea28",
    )
    return Split(files=(f"rotten_tomatoes_{name}.jsonl",), hub=hub, download=download)


TRAIN_FILE = official_file(
    "rotten_tomatoes_train.jsonl", sha256="83cc99291f73fc059bca0b9b2562747a690c462a3a374681870ba5ac8bc6cde4"
)
TEST_FILE = official_file(
    "rotten_tomatoes_test.jsonl", sha256="adb522ad74f15238ac334274324deacebffbdd0266d892dac85a31bc51f12336"
)

TASK = Task(
    name="rotten_tomatoes",
    title="Rotten Tomatoes",
    source="Pang and Lee 2005; https://huggingface.co/datasets/cornell-movie-review-data/rotten_tomatoes",
    licence="not stated",
    splits={TRAIN: _split(TRAIN, TRAIN_FILE), TEST: _split(TEST, TEST_FILE)},
    validation=Cut(size=500),
    from_file=from_chat,
    from_hub=from_hub,
    scorer=lambda _: LabelPrefix(labels=LABELS),
    max_new_tokens=8,
    traps=(
        "The rows are ordered, all Good and then all Bad, in train and in test: never take the first rows, and shuffle.",
        "The hub has a validation split of 1,066 rows, which the paper did not use; here validation is cut from train.",
    ),
)
