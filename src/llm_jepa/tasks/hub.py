"""Read rows from the Hugging Face hub by `datasets`, which is noisy and fails in many ways: both are dealt with here."""

import logging
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import datasets
import huggingface_hub.utils
from datasets.exceptions import DatasetsError
from huggingface_hub.errors import HTTPError  # pyright: ignore[reportPrivateImportUsage]  (httpx's or httpx2's)

from llm_jepa.tasks.task import HubSplit

LIBRARY_ERRORS = (DatasetsError, HTTPError, OSError, ValueError, TypeError, RuntimeError, ImportError)
"""What `datasets` raises for data that is not there, cannot be reached or is broken."""


def hub_rows(source: HubSplit) -> Iterable[Any]:
    """Return the rows of a split at its pinned commit; its files stay in the user's own Hugging Face cache.

    The commit already fixes the contents. The counts that the data set's card states are not checked against them: a card
    may be older than the files (that of cestwc/paraphrase leaves a split out).

    Raises:
        One of LIBRARY_ERRORS: the split cannot be read.
    """
    with quiet_datasets():
        return datasets.load_dataset(
            source.dataset, source.config, split=source.split, revision=source.revision, verification_mode="no_checks"
        )


def reason(error: BaseException) -> str:
    """Return the first line of what a library says went wrong."""
    said = error.__cause__ or error
    return (str(said).strip() or type(said).__name__).splitlines()[0].rstrip(".")


@contextmanager
def quiet_datasets() -> Iterator[None]:
    """Keep `datasets` and the hub's library from showing progress, warnings and log lines, and restore them after."""
    logs = {log: log.level for log in map(logging.getLogger, ("datasets", "huggingface_hub"))}
    bars = [library for library in (datasets, huggingface_hub.utils) if not library.are_progress_bars_disabled()]
    with warnings.catch_warnings(action="ignore"):
        for log in logs:
            log.setLevel(logging.CRITICAL)
        for library in bars:
            library.disable_progress_bars()
        try:
            yield
        finally:
            for log, level in logs.items():
                log.setLevel(level)
            for library in bars:
                library.enable_progress_bars()
