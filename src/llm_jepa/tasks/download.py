"""Fetch one file of a fixed public commit, once: what comes is checked by its SHA-256 before anything reads it."""

import hashlib
import os
import tempfile
import urllib.request
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from urllib.error import URLError
from urllib.parse import urlsplit

from huggingface_hub import constants

from llm_jepa.tasks.task import Download

TIMEOUT = 30.0
"""Seconds without an answer."""

LARGEST = 64 * 2**20
"""Bytes; every file of the paper's data is smaller."""


class DownloadError(Exception):
    """The file cannot be had; the message says why, as part of a sentence."""


def fetch(source: Download, *, cache: Path | None = None) -> Path:
    """Return the path of the file in the cache, downloaded if it is not there.

    Args:
        source: where, and what it must be.
        cache: a folder; by default "llm-jepa" in the Hugging Face cache (`HF_HOME`).

    Raises:
        DownloadError: offline mode is on (`HF_HUB_OFFLINE`), the file cannot be reached, or it is another file.
    """
    root = Path(constants.HF_HOME) / "llm-jepa" if cache is None else cache
    path = root / source.sha256[:16] / PurePosixPath(urlsplit(source.url).path).name
    if path.is_file() and _is(path.read_bytes(), source):
        return path
    if constants.HF_HUB_OFFLINE:
        raise DownloadError("HF_HUB_OFFLINE is set")
    data = _download(source.url)
    if not _is(data, source):
        raise DownloadError(f"{source.url} has another SHA-256 than {source.sha256}")
    try:
        _write(path, data)
    except OSError as error:
        raise DownloadError(f"the cache {path.parent} cannot be written: {error.strerror or error}") from error
    return path


def _is(data: bytes, source: Download) -> bool:
    return hashlib.sha256(data).hexdigest() == source.sha256


def _download(url: str) -> bytes:
    """Return what a public https address holds."""
    if urlsplit(url).scheme != "https":
        raise DownloadError(f"{url} is no https address")
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as response:
            data = response.read(LARGEST + 1)
    except (OSError, HTTPException) as error:
        said = error.reason if isinstance(error, URLError) else error
        raise DownloadError(f"{urlsplit(url).hostname} cannot be reached: {said}") from error
    if len(data) > LARGEST:
        raise DownloadError(f"{url} is larger than {LARGEST:,} bytes")
    return data


def _write(path: Path, data: bytes) -> None:
    """Write the file whole or not at all, also beside another process that does the same."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(part).replace(path)
    except OSError:
        Path(part).unlink(missing_ok=True)
        raise
