"""What a person sees of a run whose standard error is no terminal."""

from __future__ import annotations

import pytest

from impasto.hosts.events import FrameDone, RunStarted, TrainingStep
from impasto.hosts.terminal.progress_bar import LINE_EVERY_S, ProgressBar


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_log_shows_life_of_a_training_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with ProgressBar(clock) as bar:
        for step in range(1, 10):
            bar.show(TrainingStep(step * 50, step / 10, clock.now - 100, 187, {"loss": 0.25}))
            clock.now += LINE_EVERY_S / 3
    assert capsys.readouterr().err.splitlines() == [
        "training: step 200, loss 0.2500, 3:07 left",
        "training: step 350, loss 0.2500, 3:07 left",
    ]


def test_a_log_shows_life_of_a_long_render(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with ProgressBar(clock) as bar:
        bar.show(RunStarted("plate.mov", "o.mov", "fake", 1, 3, 0, 32, 16, 24.0))
        for number in range(1, 4):
            clock.now += LINE_EVERY_S
            bar.show(FrameDone(number, "o.mov", number, 3, 0.0, None, 0))
    assert capsys.readouterr().err.splitlines() == ["painting: 1/3", "painting: 2/3", "painting: 3/3"]
