"""The benchmark of streaming runs, and memory does not grow with the rows."""

from benchmarks.stream import measure
from tests.helpers import word_tokenizer

from llm_jepa.views.tokenize import Tokenizer


def test_memory_does_not_grow_with_the_rows():
    readings = list(measure(Tokenizer(word_tokenizer()), rows=16_000, buffer=1_000, readings=8))
    assert [reading.rows for reading in readings] == [index * 62 * 32 for index in range(1, 9)]
    # 8,000 rows held as objects would take 30 MiB and more.
    assert max(reading.memory for reading in readings[4:]) - readings[3].memory < 10
    assert all(reading.speed > 0 for reading in readings)
