"""Fixtures of the whole suite. Shapes are checked at run time in tests, and only there."""

import gzip
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from jaxtyping import install_import_hook

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", HF_DATASETS_OFFLINE="1", TOKENIZERS_PARALLELISM="false")
CACHE = tempfile.TemporaryDirectory(prefix="llm-jepa-tests-")
os.environ["LLM_JEPA_CACHE"] = CACHE.name
torch.set_num_threads(1)
# The layers whose signatures carry shapes. Must come before their first import, hence no import of the package, nor of
# transformers (which reads the variables above), at the top of this file.
install_import_hook(
    ["llm_jepa.packing", "llm_jepa.model", "llm_jepa.objective"],
    "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))",  # an int is a float, as for every type checker
)

SHARED = Path(__file__).resolve().parents[1].parent / "shared"

ReadRows = Callable[..., list[dict[str, Any]]]


def _in_shared(*parts: str) -> Path:
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"{path} is not on this machine: real tokenizers and data are read in place, never copied")
    return path


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data and tokenizers beside the project."""
    return _in_shared()


@pytest.fixture(scope="session")
def real_tokenizer() -> Callable[[str], Any]:
    """Return a function from a folder of `shared/tokenizers` to its tokenizer, loaded once."""
    from transformers import AutoTokenizer

    loaded: dict[str, Any] = {}

    def load(name: str) -> Any:
        folder = _in_shared("tokenizers", name)
        if name not in loaded:
            loaded[name] = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        return loaded[name]

    return load


@pytest.fixture(scope="session")
def real_rows() -> ReadRows:
    """Return a function from a file of `shared/data` to `count` of its rows, taken evenly from all over it."""

    def read(name: str, count: int) -> list[dict[str, Any]]:
        with gzip.open(_in_shared("data", f"{name}.jsonl.gz"), "rt", encoding="utf-8") as lines:
            rows = [json.loads(line) for line in lines]
        return rows[:: max(1, len(rows) // count)][:count]

    return read


@pytest.fixture
def words() -> Any:
    """A word-level tokenizer trained in memory, with the ChatML format of SmolLM2."""
    from tests.helpers import word_tokenizer

    return word_tokenizer()


@pytest.fixture(scope="session")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of good input with a finished run, made once."""
    from tests.corpus.world import write_world

    folder = tmp_path_factory.mktemp("good")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_world(folder)
    return folder


@pytest.fixture
def here(good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of it to spoil, as the working folder."""
    from tests.experiments.small_runs import restored_logging

    copy = tmp_path / "here"
    shutil.copytree(good, copy)
    monkeypatch.chdir(copy)
    with restored_logging():
        yield copy
