"""Checkpoints on the disk: whole or not there, damage named, old ones removed by their steps whatever the clock says."""

import json
import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.helpers import conversations, packed_model, train

from llm_jepa.objective.jepa import JEPA
from llm_jepa.training import checkpoints
from llm_jepa.training.checkpoints import DRAFTS, MANIFEST, damage, latest_whole, recover, rotate, seal


def draft(folder: Path, step: int, content: str = "weights") -> Path:
    """Return a checkpoint as it is before it is sealed."""
    made = folder / DRAFTS / f"checkpoint-{step}"
    (made / "shards").mkdir(parents=True)
    (made / "model.bin").write_text(content)
    (made / "shards" / "0.bin").write_text("more")
    return made


def sealed(folder: Path, step: int, content: str = "weights") -> Path:
    place = folder / f"checkpoint-{step}"
    seal(draft(folder, step, content), place)
    return place


def truncate(checkpoint: Path) -> None:
    (checkpoint / "model.bin").write_text("wei")


def remove(checkpoint: Path) -> None:
    (checkpoint / "shards" / "0.bin").unlink()


def flip(checkpoint: Path) -> None:
    (checkpoint / "model.bin").write_text("weightS")


def remove_manifest(checkpoint: Path) -> None:
    (checkpoint / MANIFEST).unlink()


def tear_manifest(checkpoint: Path) -> None:
    text = (checkpoint / MANIFEST).read_text()
    (checkpoint / MANIFEST).write_text(text[: len(text) // 2])


def foreign_manifest(checkpoint: Path) -> None:
    (checkpoint / MANIFEST).write_text("[1, 2]")


DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "truncated": (truncate, "model.bin has 3 bytes instead of 7"),
    "missing": (remove, "shards/0.bin is missing"),
    "corrupted": (flip, "model.bin has another content than was written"),
    "without a manifest": (remove_manifest, "manifest.json is missing"),
    "with a torn manifest": (tear_manifest, "manifest.json cannot be read"),
    "with a foreign manifest": (foreign_manifest, "manifest.json cannot be read"),
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_taken(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before, latest = sealed(tmp_path, 2), sealed(tmp_path, 10)
    assert latest_whole(tmp_path) == latest
    spoil, what = DAMAGES[kind]
    spoil(latest)
    with caplog.at_level(logging.WARNING):
        assert latest_whole(tmp_path) == before
    assert f"checkpoint-10 is damaged: {what}" in caplog.text
    assert caplog.text.count("damaged") == 1


def test_a_manifest_tells_size_and_checksum_of_every_file(tmp_path: Path) -> None:
    kept = json.loads((sealed(tmp_path, 1) / MANIFEST).read_text())["files"]
    assert kept == {
        "model.bin": {"bytes": 7, "sha256": "9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c"},
        "shards/0.bin": {"bytes": 4, "sha256": "187897ce0afcf20b50ba2b37dca84a951b7046f29ed5ab94f010619f69d6e189"},
    }


@pytest.mark.parametrize("moment", ["before the manifest", "before the first renaming", "between both renamings"])
def test_a_kill_while_a_checkpoint_is_replaced_leaves_the_old_or_the_new_one(moment: str, tmp_path: Path) -> None:
    place = sealed(tmp_path, 4, "old")
    made = draft(tmp_path, 4, "new")
    if moment != "before the manifest":
        seal(made, tmp_path / "aside")
        made.parent.mkdir()
        (tmp_path / "aside").replace(made)
    if moment == "between both renamings":
        place.replace(made.with_name("_replaced"))
    recover(tmp_path)
    assert latest_whole(tmp_path) == place
    assert (place / "model.bin").read_text() == ("new" if moment == "between both renamings" else "old")
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-4"]


def test_an_interruption_while_a_checkpoint_is_replaced_puts_the_old_one_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = sealed(tmp_path, 4, "old")
    made = draft(tmp_path, 4, "new")

    def interrupted(part: Path, path: Path) -> None:
        if path == place:
            raise KeyboardInterrupt

    monkeypatch.setattr(checkpoints, "put", interrupted)
    with pytest.raises(KeyboardInterrupt):
        seal(made, place)
    assert latest_whole(tmp_path) == place
    assert (place / "model.bin").read_text() == "old"


def test_the_oldest_go_by_their_steps_and_the_best_one_stays(tmp_path: Path) -> None:
    made = {step: sealed(tmp_path, step) for step in (8, 9, 10, 11)}
    for age, step in enumerate((11, 10, 9, 8)):  # a clock that ran backwards: the newest looks the oldest
        os.utime(made[step], (1000 + age, 1000 + age))
    rotate(tmp_path, limit=2, best=str(made[8]))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-11", "checkpoint-8"]
    rotate(tmp_path, limit=None, best=None)
    rotate(tmp_path, limit=1, best=None)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-11"]


def test_a_training_seals_its_checkpoints_and_keeps_the_newest_though_the_clock_runs_backwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = checkpoints.put

    def put_earlier(part: Path, path: Path) -> None:
        age = int(part.name.rpartition("-")[2])
        put(part, path)
        os.utime(path, (10**9 - age, 10**9 - age))

    monkeypatch.setattr(checkpoints, "put", put_earlier)
    model = packed_model("llama")
    options = {"save_strategy": "steps", "save_steps": 1, "save_total_limit": 2, "steps": 4}
    train(model, conversations(8), JEPA(), folder=tmp_path, **options)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-3", "checkpoint-4"]
    assert [damage(path) for path in tmp_path.iterdir()] == ["", ""]
    names = set(json.loads((tmp_path / "checkpoint-4" / MANIFEST).read_text())["files"])
    assert {"model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json"} <= names


def test_the_best_checkpoint_is_known_by_its_place(tmp_path: Path) -> None:
    samples = conversations(8)
    options = {"save_strategy": "steps", "save_steps": 1, "eval_strategy": "steps", "eval_steps": 1, "save_total_limit": 1}
    options |= {"load_best_model_at_end": True, "metric_for_best_model": "loss", "steps": 3, "learning_rate": 0.5}
    train(packed_model("llama"), samples, JEPA(), folder=tmp_path, eval_samples=samples[:4], **options)
    newest = latest_whole(tmp_path)
    assert newest is not None
    state = json.loads((newest / "trainer_state.json").read_text())
    best = Path(state["best_model_checkpoint"])
    assert best.parent == tmp_path
    assert best.name == f"checkpoint-{state['best_global_step']}"
    assert damage(best) == ""
