"""Spider: the database is named in the question and kept for the scorer."""

from pathlib import Path

import pytest
from tests.tasks.task_rows import all_rows, contents, same

from llm_jepa.errors import UserError
from llm_jepa.tasks.official import chat
from llm_jepa.tasks.spider import from_file, from_hub

HUB = {
    "db_id": "store_1",
    "query": "SELECT name FROM playlists;",
    "question": "What are the names of all the playlists?",
    "query_toks": ["SELECT", "name", "FROM", "playlists"],
    "question_toks": ["What", "are"],
}


def test_a_row_of_the_hub_gives_the_example_of_the_official_row(shared: Path) -> None:
    assert same(from_hub, HUB, from_file, all_rows(shared, "spider_train")[0])


def test_every_official_row_names_its_database(shared: Path) -> None:
    databases = set()
    for row in all_rows(shared, "spider_test"):
        question, query = contents(row)
        database, _, asked = question.removeprefix("For db_id:[").partition("]\n\n")
        assert same(from_hub, {"db_id": database, "question": asked, "query": query}, from_file, row)
        databases.add(from_file(row, "row:1").extra["db_id"])
    assert len(databases) == 159


@pytest.mark.parametrize("question", ["How many?", "For db_id:[]\n\nHow many?", "For db_id:[a] How many?"])
def test_a_question_without_a_database_is_one_sentence(question: str) -> None:
    with pytest.raises(UserError, match=r"^mine\.jsonl:7: the question does not begin with 'For db_id:\[\.\.\.\]'"):
        from_file(chat("s", question, "SELECT 1"), "mine.jsonl:7")
