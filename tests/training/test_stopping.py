"""What ends a training early: deadlines, signals, budgets; and what the metrics file keeps of it."""

import json
import os
import signal
import time
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tests.helpers import conversations, packed_model, train
from torch import nn
from transformers import TrainerControl, TrainerState, TrainingArguments

from llm_jepa.errors import Terminated, terminate
from llm_jepa.objective.jepa import JEPA
from llm_jepa.training import deadline as clock
from llm_jepa.training.callbacks import Budget, CleanStop, MetricsFile, whole_epochs
from llm_jepa.training.deadline import NEVER, Deadline, minutes_from_start, saving_time
from llm_jepa.training.meters import StepMeter

CPU: Any = SimpleNamespace(device=torch.device("cpu"), save_strategy="no")


def test_a_deadline_counts_from_the_start_of_the_process(monkeypatch):
    monkeypatch.setattr(clock.psutil, "Process", lambda: SimpleNamespace(create_time=lambda: 1000.0))
    monkeypatch.setattr(clock.time, "time", lambda: 1007.0)
    monkeypatch.setattr(clock.time, "monotonic", lambda: 50.0)
    assert minutes_from_start(2.0) == Deadline(163.0)
    assert minutes_from_start(0.5).at == 73.0


@pytest.mark.parametrize("jump", [-86400.0, 86400.0])
def test_a_clock_that_is_set_moves_no_deadline(jump, monkeypatch):
    wall = time.time
    deadline = minutes_from_start(60.0)
    monkeypatch.setattr(clock.time, "time", lambda: wall() + jump)
    assert not deadline.passed(reserve=1800.0)
    assert deadline.passed(reserve=3601.0)


@pytest.mark.parametrize(("now", "reserve", "passed"), [(99.0, 0.0, False), (99.0, 1.0, True), (100.0, 0.0, True)])
def test_a_deadline_passes_when_no_more_than_the_reserve_is_left(now, reserve, passed, monkeypatch):
    monkeypatch.setattr(clock.time, "monotonic", lambda: now)
    assert Deadline(100.0).passed(reserve=reserve) is passed
    assert not NEVER.passed(reserve=1e12)


def test_the_time_to_save_is_reckoned_from_what_is_trained():
    model = nn.Linear(1000, 1000)
    assert saving_time(model) == pytest.approx(1 + 3 * 4 * 1001000 / clock.WRITING)
    model.weight.requires_grad = False
    assert saving_time(model) == pytest.approx(1 + 3 * 4 * 1000 / clock.WRITING)


def test_the_time_of_a_step_and_of_a_checkpoint_is_kept_free(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    stop, control, state = CleanStop(Deadline(100.0)), TrainerControl(), TrainerState()

    def step(seconds: float, saving: float = 0.0) -> bool:
        stop.on_step_begin(CPU, state, control)
        now[0] += seconds
        stop.on_step_end(CPU, state, control)
        now[0] += saving
        if saving:
            stop.on_save(CPU, state, control)
        return control.should_training_stop

    assert not step(10.0, saving=20.0)  # from now on a step takes up to 10 s, a checkpoint 30 s with its reserve
    assert not step(5.0)
    assert not step(14.0)  # 49 s: 51 s are left, and a step as long as this one with a checkpoint takes 44 s
    assert step(10.0)  # 41 s are left


@pytest.mark.parametrize(("steps", "stopped"), [(1, False), (2, False), (3, True)])
def test_training_stops_when_another_step_would_not_fit(steps, stopped, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    stop, control, state = CleanStop(Deadline(39.0)), TrainerControl(), TrainerState()
    for _ in range(steps):
        stop.on_step_begin(CPU, state, control)
        now[0] += 10.0
        stop.on_step_end(CPU, state, control)
    assert (stop.stopped, control.should_training_stop, control.should_save) == (stopped,) * 3


@pytest.mark.parametrize(("epoch", "whole"), [(1.0, True), (2.9999999999, True), (1.5, False), (None, False)])
def test_whole_epochs_are_told_from_parts(epoch, whole):
    assert whole_epochs(TrainerState(epoch=epoch)) is whole


def test_a_stop_within_an_epoch_leaves_out_what_belongs_to_its_end():
    for epoch, left in ((0.5, False), (1.0, True)):
        control = TrainerControl(should_log=True, should_evaluate=True, should_save=True)
        stop = CleanStop()
        stop.stopped = True
        stop.on_epoch_end(CPU, TrainerState(epoch=epoch), control)
        assert (control.should_log, control.should_evaluate, control.should_save) == (left,) * 3


def test_a_signal_in_a_step_saves_and_stops_and_gives_the_signals_back(tmp_path):
    before = signal.getsignal(signal.SIGTERM)

    class Kick(CleanStop):
        def on_step_begin(self, args, state, control, **kwargs):
            super().on_step_begin(args, state, control, **kwargs)
            if state.global_step == 1:
                os.kill(os.getpid(), signal.SIGTERM)

    stop = Kick()
    logs = train(packed_model(), conversations(16), JEPA(), folder=tmp_path, callbacks=[stop])
    assert (len(logs), stop.signal, stop.stopped) == (2, signal.SIGTERM, True)
    assert (tmp_path / "checkpoint-2").is_dir()
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize(("later", "ended"), [(0.5, False), (10.0, True)])
def test_a_second_signal_ends_at_once_unless_it_comes_with_the_first(later, ended, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    stop = CleanStop()
    before = signal.signal(signal.SIGTERM, terminate)
    try:
        with stop.listening():
            os.kill(os.getpid(), signal.SIGTERM)
            assert stop.due()
            now[0] += later
            with pytest.raises(Terminated) if ended else nullcontext():
                os.kill(os.getpid(), signal.SIGTERM)
        assert signal.getsignal(signal.SIGTERM) == terminate
    finally:
        signal.signal(signal.SIGTERM, before)
    assert stop.signal == signal.SIGTERM


@pytest.mark.parametrize(("strategy", "saved"), [("no", False), ("steps", True)])
def test_a_budget_ends_training_with_the_step_that_reaches_it(strategy, saved, tmp_path):
    arguments = TrainingArguments(str(tmp_path), save_strategy=strategy, use_cpu=True)
    counts = iter([5.0, 9.9, 10.0])
    budget, control = Budget(10.0, lambda: next(counts)), TrainerControl()
    ended = []
    for _ in range(3):
        budget.on_step_end(arguments, TrainerState(), control)
        ended.append((control.should_training_stop, control.should_save))
    assert ended == [(False, False), (False, False), (True, saved)]


@pytest.mark.parametrize(("step", "kept"), [(0, []), (2, [1, 2, 2]), (5, [1, 2, 2, 3])])
def test_the_metrics_file_keeps_what_the_checkpoint_knows(step, kept, tmp_path):
    path: Path = tmp_path / "metrics.jsonl"
    rows = [{"step": 1}, {"step": 2}, {"step": 2, "eval_accuracy": 0.5}, {"step": 3}, {"step": 3, "test_loss": 1.0}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"step": 3, "lo')
    file = MetricsFile(path, closing=("test_",))
    state = TrainerState(global_step=step)
    state.is_world_process_zero = True
    file.on_train_begin(CPU, state, TrainerControl())
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == kept


def test_the_seconds_of_training_leave_pauses_out(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    meter, accelerator = StepMeter(), SimpleNamespace(num_processes=1)

    def seconds() -> float:
        return meter.totals(accelerator)["seconds"]  # pyright: ignore[reportArgumentType]

    def event(happen: Any) -> None:
        happen(CPU, TrainerState(), TrainerControl())

    now[0] = 5.0
    assert seconds() == 0.0
    event(meter.on_train_begin)
    now[0] = 8.0
    assert seconds() == 3.0
    with meter.paused():
        now[0] = 100.0
        assert seconds() == 3.0
    now[0] = 101.0
    event(meter.on_train_end)
    now[0] = 200.0
    assert seconds() == 4.0
