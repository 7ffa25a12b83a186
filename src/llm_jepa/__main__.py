"""`python -m llm_jepa` is `llm-jepa`, for launchers such as `accelerate launch -m llm_jepa train run.yaml`."""

import sys

from llm_jepa.cli import command

sys.exit(command())
