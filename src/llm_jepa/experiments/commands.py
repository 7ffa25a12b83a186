"""What the verbs of the command line share: parsing, help, paths."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from jsonargparse import ArgumentError, ArgumentParser, Namespace

from llm_jepa.errors import UserError
from llm_jepa.experiments.parser_errors import sentence


class Count:
    """Reads a whole number of at least 1 from the command line; its name stands in the help."""

    def __call__(self, given: str | int) -> int:
        """Return the number."""
        if not str(given).isdecimal() or int(given) < 1:
            raise argparse.ArgumentTypeError(f"'{given}' is no whole number of at least 1")
        return int(given)

    def __repr__(self) -> str:
        return "whole number"


def config_first(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with `--config` before a leading file name."""
    given = list(arguments)
    return ["--config", *given] if given and not given[0].startswith("-") else given


def asks_for_help(arguments: Sequence[str]) -> bool:
    """Return whether the arguments ask for help."""
    return any(argument in ("-h", "--help") for argument in arguments)


def parse(
    parser: ArgumentParser, arguments: Sequence[str], *, choices: Mapping[str, Sequence[str]] | None = None
) -> Namespace:
    """Parse the few options of a verb; what is wrong becomes one sentence.

    Args:
        parser: of the verb.
        arguments: the command line after it.
        choices: by the name of an option that takes a class, what there is to choose from.
    """
    try:
        return parser.parse_args(list(arguments))
    except (ArgumentError, OverflowError) as error:
        raise UserError(sentence(error, choices=choices or {})) from error


def add_trust(parser: ArgumentParser) -> None:
    """Add the option that lets a verb run the code that a run folder names; without it such a folder is refused."""
    what = "Run code that a run folder names: classes of other packages, and code that comes with its model. Read it first."
    parser.add_argument("--trust_code", action="store_true", help=what)


def existing_folder(name: str) -> Path:
    """Return the path of a folder that is there."""
    path = Path(name)
    if not path.is_dir():
        raise UserError(f"there is no folder '{name}'")
    return path


def split_options(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """Parse a verb's own options and return them with the rest, which are fields of the config.

    Args:
        parser: made with `exit_on_error=False` and `allow_abbrev=False`.
        arguments: the command line after the verb.

    Raises:
        UserError: an option of the verb has no value, or a wrong one.
    """
    try:
        return parser.parse_known_args(list(arguments))
    except argparse.ArgumentError as error:
        raise UserError(sentence(error)) from error
