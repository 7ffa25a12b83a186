"""The command line: thin verbs; whatever is heavy is imported inside the verb, so that `--help` is quick."""

import errno
import os
import signal
import sys
from collections.abc import Callable, Sequence

from llm_jepa.errors import UserError, nearest

HELP = """usage: llm-jepa VERB ...

Train language models with next-token prediction and joint-embedding prediction in one packed forward (LLM-JEPA).

  demo       train plain, JEPA and shuffled-pairs arms on embedded data, and report what the numbers say
  train      train from a YAML file and overrides; the same command continues an interrupted run
  evaluate   generate and score answers with a run or any model
  inspect    show which tokens of your data carry loss, and where the views are read
  export     write a trained run as a plain Hugging Face folder

`llm-jepa VERB --help` explains each.
"""


OPTIONAL = ("matplotlib", "sklearn", "statsmodels", "gguf", "peft")
"""Packages of the extras."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0, 2 for a user's mistake, 128 + signal for an interruption."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] in ("-h", "--help"):
        sys.stdout.write(HELP)
        return 0 if given else 2
    verbs: dict[str, Callable[[list[str]], int]] = {
        "demo": _demo,
        "train": _train,
        "evaluate": _evaluate,
        "inspect": _inspect,
        "export": _export,
    }
    if given[0] == "--version":
        return _version()
    if given[0] not in verbs:
        return _fail(f"unknown command '{given[0]}'{nearest(given[0], verbs)}; `llm-jepa --help` lists them")
    os.environ.setdefault("TQDM_DISABLE", "1")  # the bars of the libraries underneath; ours are rich
    return _guarded(verbs[given[0]], given[1:])


def _guarded(verb: Callable[[list[str]], int], arguments: list[str]) -> int:
    """Run a verb; what a user can mend becomes one sentence."""
    try:
        return verb(arguments)
    except UserError as error:
        return _fail(str(error))
    except ModuleNotFoundError as error:
        if error.name not in OPTIONAL:
            raise
        return _fail(f"this needs the package {error.name}: `pip install 'llm-jepa[demo,lora]'` brings it")
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; the same command continues from the last checkpoint\n")
        return 128 + signal.SIGINT
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT):
            raise
        return _fail(
            f"cannot write '{error.filename or 'the output'}': {error.strerror}; free the way and give the same command"
        )


def _fail(sentence: str) -> int:
    sys.stderr.write(f"error: {sentence}\n")
    return 2


def _version() -> int:
    from importlib.metadata import version

    sys.stdout.write(f"llm-jepa {version('llm-jepa')}\n")
    return 0


def _train(arguments: list[str]) -> int:
    from llm_jepa.experiments.training import train

    return train(arguments)


def _demo(arguments: list[str]) -> int:
    from llm_jepa.experiments.demonstration import demo

    return demo(arguments)


def _evaluate(arguments: list[str]) -> int:
    from llm_jepa.experiments.evaluating import evaluate

    return evaluate(arguments)


def _inspect(arguments: list[str]) -> int:
    from llm_jepa.experiments.inspecting import inspect

    return inspect(arguments)


def _export(arguments: list[str]) -> int:
    from llm_jepa.experiments.exporting import export

    return export(arguments)


if __name__ == "__main__":
    sys.exit(main())
