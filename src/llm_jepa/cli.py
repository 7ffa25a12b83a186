"""The command line: thin verbs; whatever is heavy is imported inside the verb, so that `--help` is quick."""

import errno
import importlib
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from llm_jepa.errors import Terminated, UserError, nearest, terminate


@dataclass(frozen=True, slots=True)
class Verb:
    """One command.

    Attributes:
        place: the module and the function that run it, imported only then.
        what: its line in the help.
    """

    place: str
    what: str

    def __call__(self, arguments: list[str]) -> int:
        """Run the command and return its exit code."""
        module, _, function = self.place.partition(":")
        return getattr(importlib.import_module(f"llm_jepa.{module}"), function)(arguments)


VERBS = {
    "demo": Verb(
        "experiments.compare.demonstration:demo",
        "train plain, JEPA and shuffled-pairs arms on embedded data, and report what the numbers say",
    ),
    "train": Verb(
        "experiments.training:train",
        "train from a YAML file and overrides; the same command continues an interrupted run",
    ),
    "compare": Verb(
        "experiments.compare.comparing:compare",
        "train several arms of one config with several seeds, and test the differences",
    ),
    "sweep": Verb(
        "experiments.sweep.sweeping:sweep",
        "search learning rate, k and weight on validation rows, and compare what was chosen",
    ),
    "evaluate": Verb("experiments.evaluating:evaluate", "generate and score answers with a run or any model"),
    "inspect": Verb(
        "experiments.inspect.inspecting:inspect",
        "show which tokens of your data carry loss, and where the views are read",
    ),
    "preflight": Verb(
        "experiments.preflight.command:preflight",
        "tell in minutes what a run will cost, whether it fits, and whether its data and weight make sense",
    ),
    "analyze": Verb(
        "experiments.analyze.analyzing:analyze",
        "measure how the embeddings of Text and Code lie, and tell structure from collapse",
    ),
    "export": Verb("experiments.exporting:export", "write a trained run as a plain Hugging Face folder"),
    "report": Verb(
        "experiments.report.reporting:report",
        "write one page over any set of runs: verdict, tables, tests, figures, outputs",
    ),
    "reproduce": Verb(
        "recipes.reproducing:reproduce", "make a table or figure of the paper anew, and set its numbers beside the paper's"
    ),
    "data": Verb(
        "experiments.inspect.describing:data", "list the data sets of the paper; describe one of them, or your own"
    ),
}

_HELP = """usage: llm-jepa VERB ...

Train language models with next-token prediction and joint-embedding prediction in one packed forward (LLM-JEPA).

{verbs}

`llm-jepa VERB --help` explains each.
"""

OPTIONAL = ("matplotlib", "sklearn", "statsmodels", "gguf", "peft", "optuna")
"""Packages of the extras."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0, 2 for a mistake, 75 when the time was over, 128 + a signal's number."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] in ("-h", "--help"):
        sys.stdout.write(_HELP.format(verbs="\n".join(f"  {name:<10} {verb.what}" for name, verb in VERBS.items())))
        return 0 if given else 2
    if given[0] == "--version":
        return _version()
    if given[0] not in VERBS:
        return _fail(f"unknown command '{given[0]}'{nearest(given[0], VERBS)}; `llm-jepa --help` lists them")
    os.environ.setdefault("TQDM_DISABLE", "1")  # the bars of the libraries underneath; ours are rich
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it warns when it is imported, whether it is used or not
    return _guarded(VERBS[given[0]], given[1:])


def command() -> int:
    """Run the one command that this process was started for, and leave the group of processes that it joined for it."""
    code = main()
    ranks = sys.modules.get("llm_jepa.ranks")
    if code == 0 and ranks is not None:
        ranks.part()
    return code


def _guarded(verb: Callable[[list[str]], int], arguments: list[str]) -> int:
    """Run a verb; what a user can mend becomes one sentence."""
    before = signal.signal(signal.SIGTERM, terminate)
    try:
        return verb(arguments)
    except UserError as error:
        return _fail(str(error))
    except ModuleNotFoundError as error:
        if error.name not in OPTIONAL:
            raise
        return _fail(f"this needs the package {error.name}: `pip install 'llm-jepa[demo,lora,search]'` brings it")
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; the same command continues from the last checkpoint\n")
        return 128 + signal.SIGINT
    except Terminated:
        sys.stderr.write("terminated; the same command continues from what is saved\n")
        return 128 + signal.SIGTERM
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT):
            raise
        return _fail(
            f"cannot write '{error.filename or 'the output'}': {error.strerror}; free the way and give the same command"
        )
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


def _fail(sentence: str) -> int:
    """Print what is wrong; names and contents of files are the user's or a stranger's, and rule no terminal."""
    shown = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in sentence)
    sys.stderr.write(f"error: {shown}\n")
    return 2


def _version() -> int:
    from importlib.metadata import version

    sys.stdout.write(f"llm-jepa {version('llm-jepa')}\n")
    return 0


if __name__ == "__main__":
    sys.exit(command())
