"""HellaSwag: a context and four endings, of which one is right; the answer is its letter, the views are context and ending.

The official rows have the question in "messages" and the views in "text" and "code". The hub's columns are "ctx", "endings"
and "label"; other copies have the context as "ctx_a" and "ctx_b" alone.
"""

import re
from collections.abc import Sequence
from dataclasses import replace

from llm_jepa.errors import UserError
from llm_jepa.records import ASSISTANT, USER, Example
from llm_jepa.scoring.choice import ChoiceScorer
from llm_jepa.tasks.official import chat, from_chat, label_column, official_file, text_column
from llm_jepa.tasks.task import TEST, TRAIN, Cut, HubSplit, Row, Split, Task

SYSTEM = "Which one of A), B), C), or D) is the best ending for the context? Answer A, B, C, or D."
LETTERS = "ABCD"
CONTEXT = "context"
FOUR_LINES = re.compile("".join(rf"\n{letter}\) (.*)" for letter in LETTERS), re.DOTALL)
ENDINGS = tuple(f"ending {letter}" for letter in LETTERS)


def from_file(row: Row, name: str) -> Example:
    """Return the example of an official row; `extra` holds its context and its four endings.

    Raises:
        UserError: the row is not of the official format, or the view "code" is not the ending that the letter names.
    """
    example = from_chat(row, name)
    context, right = (view.content for view in example.views)
    endings = _endings(example.prompt[-1].content, context, name)
    if dict(zip(LETTERS, endings, strict=True)).get(example.answer) != right:
        raise UserError(f"{name}: 'code' is not the ending that the answer '{example.answer}' names; give the official file")
    return replace(example, extra={CONTEXT: context, **dict(zip(ENDINGS, endings, strict=True))})


def from_hub(row: Row, name: str) -> Example:
    """Return the example of a row with the columns "ctx" (or "ctx_a" and "ctx_b"), "endings" and "label".

    Raises:
        UserError: a column is missing or not of its kind.
    """
    endings = _four_texts(row, name)
    letter = label_column(row, LETTERS, name)
    context = _context(row, name)
    official = {
        **chat(SYSTEM, _question(context, endings), letter),
        "text": [{"role": USER, "content": context}],
        "code": [{"role": ASSISTANT, "content": endings[LETTERS.index(letter)]}],
    }
    return from_file(official, name)


def _four_texts(row: Row, name: str) -> list[str]:
    value = row.get("endings")
    texts = [ending for ending in value if isinstance(ending, str)] if isinstance(value, list | tuple) else []
    if len(texts) != len(LETTERS):
        raise UserError(f"{name}: 'endings' is no list of four texts, as the data set on the hub has; read that data set")
    return texts


def _context(row: Row, name: str) -> str:
    if row.get("ctx") is not None:
        return text_column(row, "ctx", name)
    parts = (text_column(row, "ctx_a", name), text_column(row, "ctx_b", name))
    return " ".join(part for part in parts if part)


def _question(context: str, endings: Sequence[str]) -> str:
    return "\n".join([context, *(f"{letter}) {ending}" for letter, ending in zip(LETTERS, endings, strict=True))])


def _endings(question: str, context: str, name: str) -> tuple[str, ...]:
    """Return the four endings of an official question."""
    rest = question.removeprefix(context)
    match = FOUR_LINES.fullmatch(rest)
    if match is None or any(rest.count(f"\n{letter}) ") != 1 for letter in LETTERS):  # else it could be read in two ways
        remedy = "give the official file"
        raise UserError(f"{name}: the question is not its context and four endings A) to D), a line each; {remedy}")
    return match.groups()


def _public(split: str) -> HubSplit:
    return HubSplit(dataset="Rowan/hellaswag", split=split, revision="218ec52e09a7e7462a5400043bb9a69a41d06b76")


TASK = Task(
    name="hellaswag",
    title="HellaSwag",
    source="Zellers et al. 2019, arXiv:1905.07830; https://huggingface.co/datasets/Rowan/hellaswag",
    licence="MIT, Copyright (c) 2019 Rowan Zellers",
    splits={
        TRAIN: Split(files=("hellaswag_train.jsonl",), hub=_public("train")),
        TEST: Split(
            files=("hellaswag_test.jsonl",),
            download=official_file(
                "hellaswag_test.jsonl", sha256="07835fa76c8bf513b5651cab8ee18f814331d49f9e6c6a63039be129c598c095"
            ),
        ),
        "public_validation": Split(
            hub=_public("validation"), note="all 10,042 validation rows, of which the paper's test has 2,000"
        ),
        "validation_extra": Split(
            files=("hellaswag_val_extra.jsonl",),
            note="801 validation rows that the paper's test has not, shorter and of another mixture: no test set",
        ),
    },
    validation=Cut(size=500),
    from_file=from_file,
    from_hub=from_hub,
    scorer=lambda _: ChoiceScorer(),
    max_new_tokens=8,
    traps=(
        "The test rows are 2,000 rows of HellaSwag's validation set, 68 % WikiHow: figures on all of it do not compare.",
        "From the hub train has 39,905 rows, all of HellaSwag's; the official hellaswag_train.jsonl (a public copy has "
        "about 8,000 rows) is read where it lies in the folder of data.",
        "The answer is one letter; the views are the context and the right ending, neither of which the model learns to "
        "write.",
        "The official evaluation cuts prompts to 128 tokens, which hits 98 % of the rows.",
    ),
)
