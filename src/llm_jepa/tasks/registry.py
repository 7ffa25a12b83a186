"""The data sets of the paper by name. What is made and not loaded ("nl_regex") is not among them."""

from collections.abc import Mapping

from llm_jepa.tasks import gsm8k, hellaswag, nl_rx, nq_open, paraphrase, rotten_tomatoes, spider, yelp
from llm_jepa.tasks.task import Task

TASKS: Mapping[str, Task] = {
    task.name: task
    for task in (
        nl_rx.SYNTH,
        nl_rx.TURK,
        gsm8k.TASK,
        spider.TASK,
        nq_open.TASK,
        hellaswag.TASK,
        paraphrase.TASK,
        rotten_tomatoes.TASK,
        yelp.TASK,
    )
}


def find_task(name: str) -> Task | None:
    """Return the task of this name, None where there is none.

    Example:
        >>> find_task("gsm8k").title, find_task("mine.jsonl")
        ('GSM8K', None)
    """
    return TASKS.get(name)
