"""What Trainer's logging integrations get: the named terms and the monitors, beside its own loss."""

from pathlib import Path

import pytest
from tests.helpers import conversations, packed_model, train

from llm_jepa.objective.jepa import JEPA


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard_gets_the_terms_and_the_monitors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "board"))
    logs = train(packed_model("llama"), conversations(8), JEPA(), folder=tmp_path, steps=2, report_to=["tensorboard"])
    board = accumulator.EventAccumulator(str(tmp_path / "board")).Reload()
    for name in ("loss", "next_token", "jepa", "cosine_gap", "retrieval_at_1", "effective_rank"):
        shown = [event.value for event in board.Scalars(f"train/{name}")]
        assert shown == pytest.approx([entry[name] for entry in logs], rel=1e-5), name
