"""`llm-jepa sweep` with a stand-in for training, as a command that a test can start several times and kill."""

import sys

from tests.experiments.sweep.sweep_fakes import fake_run

from llm_jepa.errors import UserError
from llm_jepa.experiments.sweep.sweeping import sweep

if __name__ == "__main__":
    try:
        sys.exit(sweep(sys.argv[1:], run=fake_run))
    except UserError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(2)
