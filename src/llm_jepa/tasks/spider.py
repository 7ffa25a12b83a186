"""Spider: questions to a named database and their SQL. The official re-split is not Spider's own; both are here.

The hub's columns are "db_id", "question" and "query". Scoring runs the query on the database, which the folder
of data holds.
"""

import re
from dataclasses import replace

from llm_jepa.errors import UserError
from llm_jepa.records import Example
from llm_jepa.scoring.sql import SqlScorer
from llm_jepa.scoring.sql_databases import Databases
from llm_jepa.tasks.official import chat, from_chat, official_file, text_column
from llm_jepa.tasks.task import TEST, TRAIN, Cut, HubSplit, Row, Split, Task

SYSTEM = "Convert natural language to SQL."
QUESTION = re.compile(r"For db_id:\[([^\]]+)\]\n\n.*", re.DOTALL)
DATABASE = "db_id"


def from_file(row: Row, name: str) -> Example:
    """Return the example of an official row; `extra["db_id"]` is its database.

    Raises:
        UserError: the question names no database.
    """
    example = from_chat(row, name)
    match = QUESTION.fullmatch(example.views[0].content)
    if match is None:
        remedy = "give the official file"
        raise UserError(f"{name}: the question does not begin with 'For db_id:[...]' and a blank line; {remedy}")
    return replace(example, extra={**example.extra, DATABASE: match[1]})


def from_hub(row: Row, name: str) -> Example:
    """Return the example of a row with the columns "db_id", "question" and "query"."""
    database, question, query = (text_column(row, column, name) for column in (DATABASE, "question", "query"))
    return from_file(chat(SYSTEM, f"For db_id:[{database}]\n\n{question}", query), name)


def _original(split: str) -> HubSplit:
    return HubSplit(dataset="xlangai/spider", split=split, revision="0c350918f3f29ec754f1181c65cdce76cd6c133c")


TASK = Task(
    name="spider",
    title="Spider",
    source="Yu et al. 2018, arXiv:1809.08887; https://yale-lily.github.io/spider",
    licence="Apache-2.0 by the repository taoyds/spider; redistributions label the data CC BY-SA 4.0",
    splits={
        TRAIN: Split(
            files=("spider_train.jsonl",),
            download=official_file(
                "spider_train.jsonl", sha256="84e4b5f717100871e61ae38589e8f3d44dafab33b69c2d3b8e5ee38224070ba4"
            ),
        ),
        TEST: Split(
            files=("spider_test.jsonl",),
            download=official_file(
                "spider_test.jsonl", sha256="9462b996c4859bdd27836a46489f741a48f0e8100da1534542d7a44dbab78fe7"
            ),
        ),
        "original_train": Split(hub=_original("train"), note="Spider's own train set, 7,000 rows"),
        "original_dev": Split(hub=_original("validation"), note="Spider's own test: databases that its train set has not"),
    },
    validation=Cut(size=500),
    from_file=from_file,
    from_hub=from_hub,
    scorer=lambda folder: SqlScorer(databases=Databases(folder)),
    max_new_tokens=288,  # the longest query has 259
    traps=(
        "The split is by row: all 159 test databases are also in train, and the gold query of 1,041 of the 1,447 test rows "
        "(72 %) occurs verbatim in train. It measures generalisation inside known databases, not Spider's usual setting; "
        "`original_train` and `original_dev` are that one.",
        "29 test rows need the databases baseball_1 (16) or wta_1 (13), which the archive of the others lacks, and the gold "
        "query of test row 485 (document_management) fails in sqlite; score without them, and say so.",
        "63 gold test queries return no rows: any query that finds nothing matches them.",
    ),
)
