"""GSM8K: grade school word problems and worked solutions that end in "#### <number>". The hub holds the paper's rows."""

from llm_jepa.records import Example
from llm_jepa.scoring.numbers import FinalNumber
from llm_jepa.tasks.official import chat, from_chat, official_file, text_column
from llm_jepa.tasks.task import TEST, TRAIN, Cut, Download, HubSplit, Row, Split, Task

SYSTEM = "Answer the math question, show steps."


def from_hub(row: Row, name: str) -> Example:
    """Return the example of a row with the columns "question" and "answer"."""
    return from_chat(chat(SYSTEM, text_column(row, "question", name), text_column(row, "answer", name)), name)


def _split(name: str, download: Download) -> Split:
    hub = HubSplit(dataset="openai/gsm8k", config="main", split=name, revision="cc7b047b6e5bb11b4f1af84efc572db110a51b3c")
    return Split(files=(f"gsm8k_{name}.jsonl",), hub=hub, download=download)


TRAIN_FILE = official_file("gsm8k_train.jsonl", sha256="dc6ad3b51fade577f7e0eda77a72cd59173e5510c4fef6cd70722eea52f149e9")
TEST_FILE = official_file("gsm8k_test.jsonl", sha256="a5287ca8aa668fbf272df8b882dafbd41a93fc4710bf09c411ab482955353468")

TASK = Task(
    name="gsm8k",
    title="GSM8K",
    source="Cobbe et al. 2021, arXiv:2110.14168; https://huggingface.co/datasets/openai/gsm8k",
    licence="MIT, Copyright (c) 2021 OpenAI",
    splits={TRAIN: _split(TRAIN, TRAIN_FILE), TEST: _split(TEST, TEST_FILE)},
    validation=Cut(size=500),
    from_file=from_chat,
    from_hub=from_hub,
    scorer=lambda _: FinalNumber(),
    max_new_tokens=512,  # the longest solution has 464
    traps=(
        "A quarter of the gold solutions are longer than 128 tokens, where the official evaluation cuts the answer.",
        "Only the number behind #### is scored; a solution can be right by wrong steps.",
    ),
)
