"""Tiny files of tasks in their official formats, for the tests of data that are named by their task."""

import json
from pathlib import Path
from typing import Any

LETTERS = "ABCD"


def write_lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Write a JSON Lines file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def conversation(system: str, user: str, assistant: str) -> list[dict[str, str]]:
    """Return the three messages of an official row."""
    return [
        {"role": role, "content": content}
        for role, content in (("system", system), ("user", user), ("assistant", assistant))
    ]


def sum_row(number: int) -> dict[str, Any]:
    """Return a row of GSM8K whose answer is its number."""
    return {"messages": conversation("Answer", f"a number {number}", f"lines dog\n#### {number}")}


def ending_row(number: int, *, words: int = 3) -> dict[str, Any]:
    """Return a row of HellaSwag; the answers go round, and a context has four words times `words`."""
    context = f"{number} " + " ".join(["lines", "with", "a", "vowel"] * words)
    endings = ["dog", "a number or the word dog", "every vowel", "lines"]
    letter = LETTERS[number % 4]
    listed = "".join(f"\n{name}) {ending}" for name, ending in zip(LETTERS, endings, strict=True))
    return {
        "messages": conversation("Which ?", context + listed, letter),
        "text": [{"role": "user", "content": context}],
        "code": [{"role": "assistant", "content": endings[number % 4]}],
    }


def write_tasks(folder: Path) -> Path:
    """Write GSM8K (505 and 7 rows), HellaSwag's test (6 rows) and NL-RX-TURK's test (3 rows)."""
    write_lines(folder / "gsm8k_train.jsonl", [sum_row(number) for number in range(505)])
    write_lines(folder / "gsm8k_test.jsonl", [sum_row(number) for number in range(1000, 1007)])
    write_lines(folder / "hellaswag_test.jsonl", [ending_row(number, words=number + 1) for number in range(6)])
    regexes = [conversation("Convert", "lines with a dog", regex) for regex in (".*dog.*", "dog", "~(dog)")]
    write_lines(folder / "nl_rx_turk_test.jsonl", [{"messages": row} for row in regexes])
    return folder
