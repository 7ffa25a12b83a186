"""Logging and progress of the libraries underneath, set for the command line only; importing changes nothing."""

import logging
import warnings

import datasets
from rich.console import Console
from rich.logging import RichHandler
from transformers.utils import logging as transformers_logging


def quiet_libraries(console: Console) -> None:
    """Show this package's warnings, and of the libraries their errors only."""
    warnings.filterwarnings("ignore")
    handler = RichHandler(console=console, show_time=False, show_path=False, markup=False)
    logger = logging.getLogger("llm_jepa")
    logger.handlers = [handler]
    logger.propagate = False
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    datasets.disable_progress_bars()
