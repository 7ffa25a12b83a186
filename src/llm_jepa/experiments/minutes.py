"""`--max_minutes` of the verbs that train: a time budget, counted from the start of the process."""

import argparse

from llm_jepa.errors import UserError
from llm_jepa.training.deadline import NEVER, UNFINISHED, Deadline, minutes_from_start


def add_minutes(parser: argparse.ArgumentParser) -> None:
    """Add `--max_minutes` to a verb's own options."""
    parser.add_argument(
        "--max_minutes",
        type=float,
        metavar="N",
        help=f"end in N minutes from now with all work saved, and exit code {UNFINISHED}; the same command continues",
    )


def deadline(options: argparse.Namespace) -> Deadline:
    """Return by when to end, as the options say.

    Raises:
        UserError: the number of minutes is not positive.
    """
    if options.max_minutes is None:
        return NEVER
    if not options.max_minutes > 0:
        raise UserError(f"--max_minutes is {options.max_minutes:g}, but it is a number of minutes above 0")
    return minutes_from_start(options.max_minutes)
