"""Downloads: once, whole, checked, and one reason when they fail."""

import hashlib
import io
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError

import pytest

from llm_jepa.tasks import download
from llm_jepa.tasks.download import DownloadError, fetch
from llm_jepa.tasks.task import Download

DATA = b'{"messages": []}\n'
SOURCE = Download(url="https://example.org/at/commit/rows.jsonl", sha256=hashlib.sha256(DATA).hexdigest())


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], list[str]]:
    """Return a function that sets what the network answers: bytes or an error; it returns the list of addresses asked."""
    asked: list[str] = []
    monkeypatch.setattr(download.constants, "HF_HUB_OFFLINE", False)

    def network(what: Any) -> list[str]:
        def urlopen(url: str, timeout: float) -> io.BytesIO:
            assert 0 < timeout <= 60
            asked.append(url)
            if isinstance(what, Exception):
                raise what
            return io.BytesIO(what)

        monkeypatch.setattr(urllib.request, "urlopen", urlopen)
        return asked

    return network


def test_a_file_is_downloaded_once(answer: Callable[[Any], list[str]], tmp_path: Path) -> None:
    asked = answer(DATA)
    first, second = fetch(SOURCE, cache=tmp_path), fetch(SOURCE, cache=tmp_path)
    assert first == second
    assert first.name == "rows.jsonl"
    assert first.read_bytes() == DATA
    assert asked == [SOURCE.url]


def test_the_cache_is_beside_that_of_hugging_face(
    answer: Callable[[Any], list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(DATA)
    monkeypatch.setattr(download.constants, "HF_HOME", str(tmp_path))
    assert fetch(SOURCE).is_relative_to(tmp_path / "llm-jepa")


def test_another_file_is_refused_and_leaves_nothing(answer: Callable[[Any], list[str]], tmp_path: Path) -> None:
    answer(DATA + b"\n")
    with pytest.raises(DownloadError, match="has another SHA-256 than"):
        fetch(SOURCE, cache=tmp_path)
    assert not list(tmp_path.rglob("*"))


def test_a_damaged_file_in_the_cache_is_replaced(answer: Callable[[Any], list[str]], tmp_path: Path) -> None:
    answer(DATA)
    path = fetch(SOURCE, cache=tmp_path)
    path.write_bytes(DATA[:5])
    assert fetch(SOURCE, cache=tmp_path).read_bytes() == DATA


def test_offline_only_the_cache_is_read(
    answer: Callable[[Any], list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = answer(DATA)
    monkeypatch.setattr(download.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(DownloadError, match="HF_HUB_OFFLINE"):
        fetch(SOURCE, cache=tmp_path)
    monkeypatch.setattr(download.constants, "HF_HUB_OFFLINE", False)
    fetch(SOURCE, cache=tmp_path)
    monkeypatch.setattr(download.constants, "HF_HUB_OFFLINE", True)
    assert fetch(SOURCE, cache=tmp_path).is_file()
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (URLError("no route"), "example.org cannot be reached: no route"),
        (TimeoutError("timed out"), "example.org cannot be reached: timed out"),
        (HTTPError(SOURCE.url, 404, "Not Found", None, None), "example.org cannot be reached: Not Found"),  # type: ignore[arg-type]
    ],
)
def test_a_network_that_fails_is_a_reason(
    error: Exception, said: str, answer: Callable[[Any], list[str]], tmp_path: Path
) -> None:
    answer(error)
    with pytest.raises(DownloadError, match=f"^{said}$"):
        fetch(SOURCE, cache=tmp_path)


@pytest.mark.parametrize("url", ["http://example.org/rows.jsonl", "file:///etc/passwd"])
def test_only_https_is_fetched(url: str, answer: Callable[[Any], list[str]], tmp_path: Path) -> None:
    asked = answer(DATA)
    with pytest.raises(DownloadError, match="is no https address"):
        fetch(Download(url=url, sha256=SOURCE.sha256), cache=tmp_path)
    assert asked == []


def test_a_file_without_end_is_refused(
    answer: Callable[[Any], list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(DATA)
    monkeypatch.setattr(download, "LARGEST", len(DATA) - 1)
    with pytest.raises(DownloadError, match="is larger than"):
        fetch(SOURCE, cache=tmp_path)


def test_a_cache_that_cannot_be_written_is_a_reason(answer: Callable[[Any], list[str]], tmp_path: Path) -> None:
    answer(DATA)
    (tmp_path / "file").touch()
    with pytest.raises(DownloadError, match=r"the cache .* cannot be written"):
        fetch(SOURCE, cache=tmp_path / "file")
