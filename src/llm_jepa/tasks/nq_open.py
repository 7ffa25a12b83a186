"""NQ-Open: questions typed into a search engine and their short answers, several of them joined by "; ".

The hub's columns are "question" and "answer", a list. Its train set has ten times the paper's rows, and its validation set
is the usual NQ-Open test; the paper's test is that of EfficientQA.
"""

from llm_jepa.errors import UserError
from llm_jepa.records import Example
from llm_jepa.scoring.references import AnyReference
from llm_jepa.tasks.official import chat, from_chat, official_file, text_column
from llm_jepa.tasks.task import TEST, TRAIN, Cut, HubSplit, Row, Split, Task

SYSTEM = "Answer the question below."
JOINT = "; "


def from_hub(row: Row, name: str) -> Example:
    """Return the example of a row with the columns "question" and "answer", a list of texts.

    Raises:
        UserError: a column is missing or not of its kind.
    """
    answers = row.get("answer")
    if not isinstance(answers, list | tuple) or not answers or not all(isinstance(answer, str) for answer in answers):
        raise UserError(f"{name}: 'answer' is no list of texts, as the data set on the hub has; read that data set")
    return from_chat(chat(SYSTEM, text_column(row, "question", name), JOINT.join(answers)), name)


def _public(split: str) -> HubSplit:
    return HubSplit(
        dataset="google-research-datasets/nq_open",
        config="nq_open",
        split=split,
        revision="5dd9790a83002ad084ddeb7c420dc716852c6f28",
    )


TASK = Task(
    name="nq_open",
    title="NQ-Open",
    source="Lee et al. 2019, arXiv:1906.00300; https://github.com/google-research-datasets/natural-questions",
    licence="CC BY-SA 3.0",
    splits={
        TRAIN: Split(
            files=("nq_open_train.jsonl",),
            download=official_file(
                "nq_open_train.jsonl", sha256="a95d112bfc9ba1cbca37511003ca3bc7c5623d4e3187591aeea20273a83a7d37"
            ),
        ),
        TEST: Split(
            files=("nq_open_test.jsonl",),
            download=official_file(
                "nq_open_test.jsonl", sha256="77812745a8650ccf2b23e52dee0e8066b32189e48aaaccde37d08e0bb4ad0e6b"
            ),
        ),
        "public_train": Split(hub=_public("train"), note="all of NQ-Open's train set, 87,925 rows"),
        "public_dev": Split(hub=_public("validation"), note="the test set that most papers report on, 3,610 rows"),
    },
    validation=Cut(size=500),
    from_file=from_chat,
    from_hub=from_hub,
    scorer=lambda _: AnyReference(),
    max_new_tokens=128,  # the longest list of answers has 98
    traps=(
        "The test set is that of EfficientQA (1,769 rows), not the usual NQ-Open test: figures of other papers do not "
        "compare.",
        "The official evaluation tests the wrong way round: an empty answer is right on every row, the letter e on 70 %.",
        "An answer is right if any of the references occurs in it, and a training target joins all references by '; '.",
    ),
)
