"""Files that are whole or not there: what an error leaves, and what is forced to the disk before anything is renamed."""

import os
from pathlib import Path

import pytest

from llm_jepa import durable


def test_a_write_that_fails_leaves_the_old_content(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    durable.write(path, "old")
    with pytest.raises(UnicodeEncodeError):
        durable.write(path, "new \ud800")
    assert path.read_text() == "old"
    durable.write(path, "né\n")
    assert path.read_bytes() == b"n\xc3\xa9\n"
    assert [entry.name for entry in tmp_path.iterdir()] == ["results.json"]


def test_content_is_on_the_disk_before_its_name_and_the_name_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def noted_fsync(handle: int) -> None:
        done.append(f"fsync {Path(os.readlink(f'/proc/self/fd/{handle}')).name}")
        fsync(handle)

    def noted_replace(part: Path, path: Path) -> Path:
        done.append(f"rename {part.name} {path.name}")
        return replace(part, path)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(Path, "replace", noted_replace)
    durable.write(tmp_path / "a", "text")
    assert done == ["fsync a.partial", "rename a.partial a", f"fsync {tmp_path.name}"]


def test_every_file_and_folder_of_a_tree_is_forced_to_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "b").write_text("b")
    (tmp_path / "a").write_text("a")
    done: list[Path] = []
    monkeypatch.setattr(durable, "sync", done.append)
    durable.sync_tree(tmp_path)
    assert done == [tmp_path / "a", tmp_path / "inner", tmp_path / "inner" / "b", tmp_path]
